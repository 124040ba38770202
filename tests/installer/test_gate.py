from __future__ import annotations

import base64
import csv
import hashlib
import os
from pathlib import Path

import pytest

from airflow_package_manager.domain.lock import Lock, Pin
from airflow_package_manager.installer import gate
from airflow_package_manager.installer.image import ImageDistribution
from airflow_package_manager.installer.site_owners import Refusal
from testenv.catalogue import overwrites
from testenv.package_index import PackageIndexServer
from testenv.wheels import wheel
from tests.installer.environment import Installer

IMAGE = {
    "image-package": {"image_package/__init__.py": "WHO = 1\n", "image_package/part.py": "", "image_data.txt": "mine"},
    "single-file": {"single_file.py": "A = 1\n"},
    "compiled": {"compiled.cpython-311-x86_64-linux-gnu.so": "binary"},
    "cloud-one": {"cloud/one/__init__.py": ""},
    "apache-airflow-core": {"airflow/__init__.py": "extend_path()"},
    "apache-airflow-providers-standard": {"airflow/providers/standard/__init__.py": ""},
    "old-namespace": {"oldspace/__init__.py": "__path__ = extend_path(__path__, __name__)\n", "oldspace/a.py": ""},
    "careless": {"careless.py": "", "tests/__init__.py": "", "tests/test_one.py": ""},
}


def digest_of(text: str) -> str:
    """Return what a RECORD says of a file."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


class World:
    """An image and a site, made of files."""

    def __init__(self, root: Path) -> None:
        self.packages = root / "site-packages"
        self.site = root / "site"
        self.packages.mkdir()
        self.site.mkdir()
        self.image: dict[str, ImageDistribution] = {}
        self.pins: list[Pin] = []
        for name, files in IMAGE.items():
            info = self._write(self.packages, name, files)
            self.image[name] = ImageDistribution(name, "1.0", str(self.packages), str(info))

    def install(self, name: str, files: dict[str, str]) -> None:
        self._write(self.site, name, files)
        self.pins.append(Pin(name, "1.0", ("0" * 64,)))

    def _write(self, root: Path, name: str, files: dict[str, str]) -> Path:
        info = root / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        with (info / "RECORD").open("w", newline="") as stream:
            rows = csv.writer(stream)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
                rows.writerow((path, digest_of(text), len(text)))
        return info

    def refusal(self) -> Refusal | None:
        lock = Lock("cp311", "linux_x86_64", "0" * 64, "0" * 64, tuple(sorted(self.pins)))
        return gate.refusal(str(self.site), lock, self.image)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ALLOWED: dict[str, tuple[str, dict[str, str]]] = {
    "a package": ("new-package", {"new_package/__init__.py": "", "new_package/data.json": "{}"}),
    "a file beside": ("new-package", {"new_package.py": "", "new_package_more.so": ""}),
    "scripts": ("new-package", {"new_package.py": "", "bin/airflow": "#!/usr/bin/python\n"}),
    "a part of a namespace": ("cloud-two", {"cloud/two/__init__.py": "", "cloud/three.py": ""}),
    "a new provider": ("apache-airflow-providers-new", {"airflow/providers/new/__init__.py": ""}),
    "a new nested provider": ("apache-airflow-providers-a-b", {"airflow/providers/a/b/__init__.py": ""}),
    "an update of the owner": ("image-package", {"image_package/__init__.py": "WHO = 2\n", "image_package/new.py": ""}),
    "an update that becomes a file": ("image-package", {"image_package.py": "WHO = 2\n"}),
    "an update that becomes a package": ("single-file", {"single_file/__init__.py": ""}),
    "an update of something compiled": ("compiled", {"compiled.cpython-311-x86_64-linux-gnu.so": "other"}),
    "a part of an old namespace": (
        "old-two",
        {"oldspace/__init__.py": "__path__ = extend_path(__path__, __name__)\n", "oldspace/b.py": ""},
    ),
    "careless tests": ("new-package", {"new_package.py": "", "tests/__init__.py": "", "tests/test_two.py": ""}),
    "the standard library's name, which never wins": ("new-package", {"json/__init__.py": ""}),
    "what setuptools brings": ("setuptools", {"distutils-precedence.pth": "import os\n", "setuptools/__init__.py": ""}),
    "a .pth that Python never reads": ("new-package", {"new_package/a.pth": "import os\n"}),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_lets_through(world: World, case: str) -> None:
    world.install(*ALLOWED[case])
    assert world.refusal() is None


REFUSED: dict[str, tuple[str, dict[str, str], str, str]] = {
    "root .pth": ("evil", {"evil.pth": "import os\n"}, "evil.pth", "every start of Python"),
    "a file of setuptools from another": (
        "evil",
        {"distutils-precedence.pth": "import os\n"},
        "distutils-precedence.pth",
        "every start of Python",
    ),
    "another file of setuptools": ("setuptools", {"more.pth": "import os\n"}, "more.pth", "every start of Python"),
    "root .PTH": ("evil", {"evil.PTH": ""}, "evil.PTH", "every start of Python"),
    "sitecustomize file": ("evil", {"sitecustomize.py": ""}, "sitecustomize.py", "every start of Python"),
    "local settings": ("evil", {"airflow_local_settings.py": ""}, "airflow_local_settings.py", "local settings"),
    "sitecustomize package": ("evil", {"sitecustomize/__init__.py": ""}, "sitecustomize/__init__.py", "every start"),
    "usercustomize file": ("evil", {"usercustomize.py": ""}, "usercustomize.py", "every start of Python"),
    "sitecustomize compiled": ("evil", {"sitecustomize.abi3.so": ""}, "sitecustomize.abi3.so", "every start of Python"),
    "airflow root": ("evil", {"airflow/__init__.py": ""}, "airflow/__init__.py", "change Airflow itself"),
    "airflow module": ("evil", {"airflow/sneaky.py": ""}, "airflow/sneaky.py", "change Airflow itself"),
    "airflow sdk": ("evil", {"airflow/sdk/new/x.py": ""}, "airflow/sdk/new/x.py", "change Airflow itself"),
    "airflow.py": ("evil", {"airflow.py": ""}, "airflow.py", "replace Airflow itself"),
    "providers root": (
        "evil",
        {"airflow/providers/__init__.py": ""},
        "airflow/providers/__init__.py",
        "change Airflow",
    ),
    "a module among providers": ("evil", {"airflow/providers/x.py": ""}, "airflow/providers/x.py", "change Airflow"),
    "known provider": (
        "evil",
        {"airflow/providers/standard/__init__.py": "x"},
        "airflow/providers/standard",
        "apache-airflow-providers-standard 1.0",
    ),
    "more of a known provider": (
        "evil",
        {"airflow/providers/standard/more.py": ""},
        "airflow/providers/standard",
        "apache-airflow-providers-standard 1.0",
    ),
    "a file of the image": ("evil", {"image_package/part.py": "x"}, "image_package/part.py", "image-package 1.0"),
    "a data file of the image": ("evil", {"image_data.txt": "x"}, "image_data.txt", "image-package 1.0"),
    "a package over one of the image": (
        "evil",
        {"image_package/__init__.py": ""},
        "image_package",
        "image-package 1.0",
    ),
    "a file over a package": ("evil", {"image_package.py": ""}, "image_package.py", "image-package 1.0"),
    "a package over a file": ("evil", {"single_file/__init__.py": ""}, "single_file", "single-file 1.0"),
    "a file over something compiled": ("evil", {"compiled.py": ""}, "compiled.py", "compiled 1.0"),
    "a package over a namespace": ("evil", {"cloud/__init__.py": ""}, "cloud", "cloud-one 1.0"),
    "a file over a namespace": ("evil", {"cloud.py": ""}, "cloud.py", "cloud-one 1.0"),
    "metadata of another": (
        "evil",
        {"apache_airflow_core-9.dist-info/METADATA": ""},
        "apache_airflow_core",
        "the lock",
    ),
    "metadata of another in capitals": (
        "evil",
        {"apache_airflow-99.DIST-INFO/METADATA": "Name: apache-airflow\nVersion: 99\n"},
        "apache_airflow-99.DIST-INFO",
        "the lock",
    ),
    "metadata that says another name inside": (
        "evil",
        {"evil-1.0.dist-info/METADATA": "Name: apache-airflow\nVersion: 99\n"},
        "evil-1.0.dist-info",
        "apache-airflow 99",
    ),
    "a second version of itself": (
        "evil",
        {"evil-0.9.dist-info/METADATA": "Name: evil\nVersion: 0.9\n"},
        "evil-1.0.dist-info",
        "the lock",
    ),
    "a compiled start of a namespace beside its text": (
        "evil",
        {"cloud/__init__.py": "extend_path()", "cloud/__init__.abi3.so": ""},
        "cloud",
        "cloud-one 1.0",
    ),
    "an egg of another": (
        "evil",
        {"other.egg-info/PKG-INFO": "Name: other\nVersion: 1\n"},
        "other.egg-info",
        "the lock",
    ),
    "ourselves": ("evil", {"airflow_package_manager/__init__.py": ""}, "airflow_package_manager", "package manager"),
    "our activation": (
        "evil",
        {"airflow_package_manager_site.py": ""},
        "airflow_package_manager_site",
        "package manager",
    ),
    "tests of the image": (
        "evil",
        {"tests/__init__.py": "", "tests/test_one.py": "x"},
        "tests/test_one.py",
        "careless 1.0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_and_names_path_and_owner(world: World, case: str) -> None:
    name, files, path, says = REFUSED[case]
    world.install(name, files)
    found = world.refusal()
    assert found is not None
    assert found.path.startswith(path)
    assert says in found.reason
    assert path in found.reason


def test_refuses_links(world: World) -> None:
    world.install("evil", {"evil.py": ""})
    (world.site / "evil_link").symlink_to("/etc")
    found = world.refusal()
    assert found is not None
    assert "'evil_link' is a link" in found.reason


def test_refuses_what_is_no_file(world: World) -> None:
    world.install("evil", {"evil.py": ""})
    os.mkfifo(world.site / "pipe")
    found = world.refusal()
    assert found is not None
    assert found.path == "pipe"


@pytest.mark.parametrize("path", ["../outside.py", "/etc/passwd", "a/../../b"])
def test_refuses_a_record_that_leads_out(world: World, path: str) -> None:
    world.install("evil", {"evil.py": ""})
    with (world.site / "evil-1.0.dist-info" / "RECORD").open("a") as stream:
        stream.write(f"{path},sha256=x,1\n")
    found = world.refusal()
    assert found is not None
    assert "leads out of the site" in found.reason


def test_refuses_two_owners_of_one_path_unless_they_agree(world: World) -> None:
    world.install("first", {"shared.txt": "same"})
    world.install("second", {"shared.txt": "same"})
    assert world.refusal() is None
    world.install("third", {"shared.txt": "other"})
    found = world.refusal()
    assert found is not None
    assert "first" in found.reason
    assert "third" in found.reason


@pytest.mark.parametrize("digest", ["", digest_of("good"), digest_of("evil")])
def test_believes_no_record_about_a_path_with_two_owners(world: World, digest: str) -> None:
    world.install("victim", {"victim.py": "good"})
    world.install("evil", {"victim.py": "evil"})
    for name in ("victim", "evil"):
        (world.site / f"{name}-1.0.dist-info" / "RECORD").write_text(f"victim.py,{digest},4\n")
    found = world.refusal()
    assert (found is None) == (digest == digest_of("evil"))  # then both say that this is what they bring


BYTECODE = {
    "of a package": {"victim/__pycache__/__init__.cpython-311.pyc": ""},
    "optimised": {"victim/__pycache__/__init__.cpython-311.opt-1.pyc": ""},
    "at the root": {"__pycache__/single.cpython-311.pyc": ""},
    "with the source brought along": {
        "__pycache__/single.cpython-311.pyc": "",
        "single.py": "",
    },
    "for a source of the image": {"__pycache__/single_file.cpython-311.pyc": ""},
    "for no source": {"evil/__pycache__/other.cpython-311.pyc": ""},
    "deeper": {"victim/__pycache__/more/data": ""},
}


@pytest.mark.parametrize("case", BYTECODE)
def test_refuses_bytecode_for_the_source_of_another_wheel(world: World, case: str) -> None:
    world.install("victim", {"victim/__init__.py": "", "single.py": ""})
    world.install("evil", {"evil/__init__.py": "", **BYTECODE[case]})
    found = world.refusal()
    assert found is not None
    assert "__pycache__" in found.path
    assert "evil" in found.reason
    assert "would stand for" in found.reason


def test_lets_careless_bytecode_of_a_wheels_own_through(world: World) -> None:
    files = {
        "own/__init__.py": "",
        "own/__pycache__/__init__.cpython-311.pyc": "",
        "__pycache__/one.cpython-311.pyc": "",
    }
    world.install("own", {**files, "one.py": ""})
    assert world.refusal() is None


@pytest.mark.parametrize("path", ["victim/part.abi3.so", "victim/part/__init__.py", "victim/part.pyc", "victim.so"])
def test_refuses_a_second_form_of_another_wheels_module(world: World, path: str) -> None:
    world.install("victim", {"victim/__init__.py": "", "victim/part.py": ""})
    world.install("evil", {path: ""})
    found = world.refusal()
    assert found is not None
    assert "are the same module" in found.reason
    assert path in found.reason


def test_refuses_what_no_distribution_of_the_image_names(world: World) -> None:
    (world.packages / "unowned.py").write_text("A = 1\n")
    world.install("evil", {"unowned.py": "A = 2\n"})
    found = world.refusal()
    assert found is not None
    assert "none of its distributions names" in found.reason


def test_same_content_replaces_nothing(world: World) -> None:
    (world.packages / "LICENSE").write_text("terms")
    world.install("careless-two", {"LICENSE": "terms", "careless_two.py": ""})
    assert world.refusal() is None


@pytest.mark.parametrize(
    ("project", "says"),
    [
        ("root-pth", "root_pth.pth"),
        ("ships-sitecustomize", "sitecustomize.py"),
        ("ships-usercustomize", "usercustomize/__init__.py"),
        ("airflow-root-file", "airflow/sneaky.py"),
    ],
)
def test_installer_reports_it_as_final_and_leaves_nothing(
    installer: Installer, index: PackageIndexServer, project: str, says: str
) -> None:
    (file,) = index.listing(project) or []
    status, answer = installer.install(installer.environment.lock(file))
    assert (status, answer["code"], answer["retryable"]) == (1, "gate", False)
    assert says in answer["cause"]
    assert project.replace("-", "_") in answer["cause"]
    assert [path.name for path in installer.directory.sites.iterdir()] == [".lock"]


def test_installer_refuses_files_of_another_distribution(installer: Installer, index: PackageIndexServer) -> None:
    file = overwrites("image_package/part.py", "3.0")
    index.add(file)
    status, answer = installer.install(installer.environment.lock(file))
    assert (status, answer["code"]) == (1, "gate")
    assert "image-package 1.0" in answer["cause"]


def test_installer_lets_an_acknowledged_update_through(installer: Installer, index: PackageIndexServer) -> None:
    file = wheel("image-package", "1.5", files={"image_package/__init__.py": "WHO = 'site'\n"})
    index.add(file)
    assert installer.install(installer.environment.lock(file))[0] == 0


def test_whole_site_passes_the_gate_again_when_the_image_changed(
    installer: Installer, index: PackageIndexServer
) -> None:
    file = wheel("later-in-image", "1.0", files={"later_in_image/__init__.py": "A = 1\n"})
    index.add(file)
    lock = installer.environment.lock(file)
    assert installer.install(lock)[0] == 0
    packages = installer.environment.packages
    other = wheel("other-owner", "1.0", files={"later_in_image/__init__.py": "A = 2\n"})
    installer.environment.add(installer.directory.tmp / "wheels", other)
    try:
        status, answer = installer.run()
    finally:
        for path in ("later_in_image/__init__.py", "other_owner-1.0.dist-info/METADATA"):
            (packages / path).unlink()
        for left in (packages / "other_owner-1.0.dist-info").iterdir():
            left.unlink()
        (packages / "other_owner-1.0.dist-info").rmdir()
        (packages / "later_in_image").rmdir()
    assert (status, answer["code"]) == (1, "gate")
    assert "other-owner 1.0" in answer["cause"]


def test_deep_directories_are_looked_through(world: World) -> None:
    world.install("deep", {})
    folder = os.open(world.site, os.O_RDONLY)
    for _ in range(1500):  # deeper than Python recurses; opened step by step, paths have a limit
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.symlink("/etc/passwd", "link", dir_fd=folder)
    os.close(folder)
    try:
        found = world.refusal()
    finally:  # what comes after us removes directories by recursion
        while (world.site / "d" / "d").exists():
            (world.site / "d" / "d").rename(world.site / "next")
            (world.site / "d").rmdir()
            (world.site / "next").rename(world.site / "d")
    assert found is not None
    assert "is a link" in found.reason
