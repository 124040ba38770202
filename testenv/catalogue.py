"""The packages that the tests install: well-behaved ones, and each kind of misbehaviour under a name that says it.

Names of modules are the projects' names with underscores.
"""

from __future__ import annotations

from testenv.wheels import IndexFile, sdist, wheel

SLOW = "slow-answer"
"""The index answers for it after `SLOW_SECONDS`."""
SLOW_SECONDS = 30.0
CHANGING = "changing-hash"
"""Its bytes differ at each download; the listing keeps the first hash."""
STATUS = {"unauthorised-project": 401, "forbidden-project": 403, "server-error-project": 500}
"""Names for which the index answers with this status."""

COMPONENTS = ("scheduler", "worker", "triggerer", "dag-processor", "api-server", "webserver", "light-child")
COMPONENT_VARIABLE = "TESTENV_COMPONENT"
"""Names the component that a light child plays; a real Airflow process is known by its command line."""

_AM_I = """\
import os
import sys


def _am_i(component):
    played = os.environ.get("TESTENV_COMPONENT")
    # What serves as Airflow 2's webserver is gunicorn, under this name.
    return played == component if played else not {component, "airflow-" + component}.isdisjoint(sys.argv[1:])

"""
_PLUGIN = """\

try:
    from airflow.plugins_manager import AirflowPlugin
except ImportError:  # a light child has no Airflow
    AirflowPlugin = object


class Plugin(AirflowPlugin):
    name = "{module}"
"""


def breaks(component: str, version: str = "1.0") -> IndexFile:
    """Return `breaks-<component>`: importable everywhere, but the component itself dies (status 3) when it starts.

    Airflow loads it through its `airflow.plugins` entry point; `os._exit` because Airflow survives exceptions there.
    """
    action = f'if _am_i("{component}"):\n    sys.stderr.write("breaks-{component}: dying as asked\\n")\n'
    return _plugin(f"breaks-{component}", version, _AM_I + action + "    sys.stderr.flush()\n    os._exit(3)\n")


def stalls(component: str, version: str = "1.0") -> IndexFile:
    """Return `stalls-<component>`: importable everywhere, but the component itself never gets ready."""
    action = f'if _am_i("{component}"):\n    import time\n\n    while True:\n        time.sleep(1)\n'
    return _plugin(f"stalls-{component}", version, _AM_I + action)


def overwrites(path: str, version: str = "1.0") -> IndexFile:
    """Return `overwrites-another`, which ships `path`, a file that another distribution owns."""
    return wheel("overwrites-another", version, files={"overwrites_another.py": "", path: "STOLEN = True\n"})


def conflicting(requirement: str = "sqlalchemy<1.4", version: str = "1.0") -> IndexFile:
    """Return `conflicting`, which needs what the image forbids."""
    return wheel("conflicting", version, requires=[requirement])


def catalogue() -> tuple[IndexFile, ...]:
    """Return all of them, in one version each unless versions are the point."""
    return (
        *_good(),
        *_breaking_on_import(),
        *_stopped_by_the_gate(),
        *_odd_releases(),
        *(breaks(component) for component in COMPONENTS),
        *(stalls(component) for component in COMPONENTS),
        wheel(SLOW, "1.0"),
        wheel(CHANGING, "1.0"),
        *(wheel(name, "1.0") for name in STATUS),
    )


def _good() -> tuple[IndexFile, ...]:
    return (
        *(wheel("good-package", version, summary="A package that works") for version in ("1.0", "1.1", "2.0")),
        wheel("good-with-dependency", "1.0", requires=["good-package>=1.0"]),
        *(wheel("brings-another", version, requires=["brought-along"]) for version in ("1.0", "1.1")),
        wheel("brought-along", "1.0"),
        *(wheel(f"plain-{number}", "1.0") for number in ("one", "two", "three", "four")),
        wheel("good-extra", "1.0", extras={"more": ["good-package<2"]}),
        wheel(
            "good-script",
            "1.0",
            files={"good_script.py": 'def main():\n    print("good script")\n'},
            entry_points={"console_scripts": {"good-script": "good_script:main"}},
        ),
        _plugin("good-plugin", "1.0", "", groups=("airflow.plugins",)),
        _plugin("another-plugin", "1.0", "", groups=("airflow.plugins",)),
        wheel(
            "apache-airflow-providers-example",
            "1.0.0",
            files={
                "airflow/providers/example/__init__.py": '__version__ = "1.0.0"\n',
                "airflow/providers/example/get_provider_info.py": (
                    "def get_provider_info():\n"
                    '    return {"package-name": "apache-airflow-providers-example", "name": "Example",\n'
                    '            "description": "An example provider"}\n'
                ),
            },
            entry_points={
                "apache_airflow_provider": {
                    "provider_info": "airflow.providers.example.get_provider_info:get_provider_info"
                }
            },
        ),
    )


def _breaking_on_import() -> tuple[IndexFile, ...]:
    bodies = {
        "broken-on-import": 'raise RuntimeError("broken on import, as asked")\n',
        "hangs-on-import": "import time\n\nwhile True:\n    time.sleep(1)\n",
        "exits-on-import": "import os\n\nos._exit(0)\n",
        "system-exit-on-import": "raise SystemExit(0)\n",
        "forks-on-import": "import os\nimport time\n\nif os.fork() == 0:\n    time.sleep(3600)\n    os._exit(0)\n",
        "crashes-on-import": "import os\nimport signal\n\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    }
    wheels = [wheel(name, "1.0", files={f"{name.replace('-', '_')}.py": body}) for name, body in bodies.items()]
    wheels.append(wheel("needs-broken", "1.0", requires=["broken-on-import"]))
    return tuple(wheels)


def _stopped_by_the_gate() -> tuple[IndexFile, ...]:
    return (
        wheel("root-pth", "1.0", files={"root_pth.py": "", "root_pth.pth": "import os\n"}),
        wheel("ships-sitecustomize", "1.0", files={"sitecustomize.py": "STOLEN = True\n"}),
        wheel("ships-usercustomize", "1.0", files={"usercustomize/__init__.py": "STOLEN = True\n"}),
        wheel("airflow-root-file", "1.0", files={"airflow/sneaky.py": "STOLEN = True\n"}),
        overwrites("packaging/version.py"),
        conflicting(),
        wheel("sqlalchemy", "1.3.24"),
    )


def _odd_releases() -> tuple[IndexFile, ...]:
    return (
        wheel("yanked-release", "0.9"),
        wheel("yanked-release", "1.0", yanked="it eats files"),
        wheel("prerelease-only", "1.0rc1"),
        wheel("prerelease-too", "1.0"),
        wheel("prerelease-too", "2.0b1"),
        wheel("needs-prerelease", "1.0", requires=["prerelease-too>=2.0b1"]),
        sdist("sdist-only", "1.0"),
        wheel("sdist-newest", "1.0"),
        sdist("sdist-newest", "2.0"),
        wheel("other-platform", "1.0", tag="cp311-cp311-win_amd64"),
        wheel("other-python", "1.0", requires_python=">=4"),
        wheel("needs-missing", "1.0", requires=["no-such-project"]),
    )


# A Celery worker loads no plugin of Airflow when it starts, but every command that a package brings to Celery.
_AT_START = ("airflow.plugins", "celery.commands")


def _plugin(name: str, version: str, body: str, groups: tuple[str, ...] = _AT_START) -> IndexFile:
    module = name.replace("-", "_")
    return wheel(
        name,
        version,
        files={f"{module}.py": body + _PLUGIN.format(module=module)},
        entry_points={group: {module: f"{module}:Plugin"} for group in groups},
    )
