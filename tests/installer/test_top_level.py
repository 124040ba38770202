from __future__ import annotations

import pytest

from airflow_package_manager.installer.top_level import MAXIMUM, top_level_modules


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], ()),
        (["pandas/__init__.py", "pandas/core/__init__.py", "pandas/core/frame.py"], ("pandas",)),
        (["six.py", "six-1.0.dist-info/METADATA"], ("six",)),
        (["_cffi_backend.cpython-311-x86_64-linux-gnu.so"], ("_cffi_backend",)),
        (["fast/__init__.cpython-311-x86_64-linux-gnu.so"], ("fast",)),
        (["google/cloud/storage/__init__.py", "google/cloud/storage/blob.py"], ("google.cloud.storage",)),
        (["google/api/http.py", "google/type/date.py"], ("google.api.http", "google.type.date")),
        (["airflow/providers/ssh/__init__.py", "airflow/providers/ssh/hooks/ssh.py"], ("airflow.providers.ssh",)),
        (["pkg/__init__.py", "tests/__init__.py", "tests/test_pkg.py", "docs/conf.py"], ("pkg",)),
        (["pkg-stubs/__init__.pyi", "pkg-stubs/__init__.py"], ()),
        (["../../bin/tool", "bin/tool.py", "share/x.py", "setup.py", "conftest.py"], ()),
        (["pkg/__main__.py", "pkg/__init__.py"], ("pkg",)),
        (["loose/__main__.py"], ()),
        (["pkg/data.json", "pkg/lib.so.1", "pkg/module.pyc"], ()),
        (["libs/libthing.so", "fast.so"], ("fast",)),
        (["numpy.libs/libopenblas.so"], ()),
        (["one/__init__.py", "two.py"], ("one", "two")),
    ],
)
def test_modules_of_a_record(paths: list[str], expected: tuple[str, ...]) -> None:
    assert top_level_modules(paths) == expected


def test_is_bounded() -> None:
    assert len(top_level_modules(f"space/m{number}.py" for number in range(1000))) == MAXIMUM
