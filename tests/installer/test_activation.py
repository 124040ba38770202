from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import airflow_package_manager_site
from airflow_package_manager.installer.image import MARKER
from testenv.package_index import PackageIndexServer
from testenv.wheels import wheel
from tests.installer.environment import UV, Environment, Installer, run

SITE = "AIRFLOW_PACKAGE_MANAGER_SITE"
PATHS = "import sys, json; print(json.dumps(sys.path))"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A complete site, by hand."""
    made = tmp_path / "site"
    made.mkdir()
    (made / MARKER).write_text("{}")
    (made / "only_here.py").write_text("")
    return made


def paths(environment: Environment, *, environ: dict[str, str], options: tuple[str, ...] = ()) -> list[str]:
    done = environment.run(*options, "-c", PATHS, environ=environ)
    assert done.stderr == ""
    found: list[str] = json.loads(done.stdout)
    return found


def test_comes_after_the_standard_library_and_before_the_image(environment: Environment, site: Path) -> None:
    found = paths(environment, environ={SITE: str(site)})
    place = found.index(str(site))
    assert found[place + 1] == str(environment.packages)
    assert any(entry.endswith("lib-dynload") for entry in found[:place])


def test_standard_library_wins(environment: Environment, site: Path) -> None:
    (site / "json").mkdir()
    (site / "json" / "__init__.py").write_text("raise SystemExit('shadowed')")
    assert environment.run("-c", "import json; json.dumps(1)", environ={SITE: str(site)}).stderr == ""


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
@pytest.mark.parametrize("again", [False, True])
def test_standard_library_wins_whatever_pythonpath_names(
    environment: Environment, site: Path, tmp_path: Path, name: str, *, again: bool
) -> None:
    (site / "json.py").write_text("raise SystemExit('shadowed')")
    theirs = tmp_path / "theirs" / name
    theirs.mkdir(parents=True)
    standard = [str(Path(os.__file__).parent)] if again else []
    environ = {SITE: str(site), "PYTHONPATH": os.pathsep.join([str(theirs), *standard, str(theirs)])}
    found = paths(environment, environ=environ)
    place = found.index(str(site))
    assert found[place + 1] == str(environment.packages)
    assert any(entry.endswith("lib-dynload") for entry in found[:place])


def test_pth_inside_a_site_never_runs(environment: Environment, site: Path) -> None:
    (site / "evil.pth").write_text("import sys; sys.stderr.write('ran')\n")
    assert environment.run("-c", "pass", environ={SITE: str(site)}).stderr == ""


def test_link_named_active_is_the_default_and_is_resolved(environment: Environment, site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "package_manager"
    folder.mkdir(parents=True)
    environ = {"AIRFLOW_HOME": str(tmp_path / "home")}
    assert str(site) not in paths(environment, environ=environ)
    (folder / "active").symlink_to(site)
    assert str(site) in paths(environment, environ=environ)
    assert str(site) not in paths(environment, environ={**environ, SITE: "off"})


@pytest.mark.parametrize("options", [("-I",), ("-B",), ("-X", "utf8"), ("-W", "error", "-u")])
def test_python_options_change_nothing(environment: Environment, site: Path, options: tuple[str, ...]) -> None:
    assert str(site) in paths(environment, environ={SITE: str(site)}, options=options)


def test_without_site_packages_there_is_no_site(environment: Environment, site: Path) -> None:
    assert str(site) not in paths(environment, environ={SITE: str(site)}, options=("-S",))


@pytest.mark.parametrize("missing", [True, False])
def test_incomplete_site_is_loud_and_never_prevents_a_start(
    environment: Environment, tmp_path: Path, *, missing: bool
) -> None:
    torn = tmp_path / "torn"
    if not missing:
        torn.mkdir()
        (torn / "json.py").write_text("")
    done = environment.run("-c", PATHS, environ={SITE: str(torn)})
    assert str(torn) not in json.loads(done.stdout)
    assert f"{torn} is not a complete site" in done.stderr
    assert done.stderr.count("\n") == 1


def test_dangling_active_is_loud(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "package_manager"
    folder.mkdir()
    (folder / "active").symlink_to(tmp_path / "gone")
    done = environment.run("-c", "pass", environ={"AIRFLOW_HOME": str(tmp_path)})
    assert "is not a complete site" in done.stderr


@pytest.mark.parametrize("value", ["\udce9", "x" * 5000, "a\nb"])
def test_odd_values_never_prevent_a_start(environment: Environment, value: str) -> None:
    done = run([environment.python, "-c", "print(1)"], environ={SITE: value})
    assert done.stdout == "1\n"
    assert "airflow-package-manager" in done.stderr


def test_closed_standard_error_never_prevents_a_start(environment: Environment) -> None:
    command = f"exec '{environment.python}' -c 'print(1)' 2>&-"
    assert run(["sh", "-c", command], environ={SITE: "/nonexistent"}).stdout == "1\n"


def test_installer_never_runs_on_the_site(environment: Environment, site: Path) -> None:
    stolen = site / "airflow_package_manager" / "installer"
    stolen.mkdir(parents=True)
    for path in (stolen.parent / "__init__.py", stolen / "__init__.py"):
        path.write_text("print('STOLEN')\n")
    assert "STOLEN" in environment.run("-c", "import airflow_package_manager", environ={SITE: str(site)}).stdout
    for module in ("airflow_package_manager.installer", "airflow_package_manager.installer.preflight_check"):
        for options in (["-m", module], [f"-m{module}"], ["-Im", module], ["-X", "utf8", "-m", module]):
            done = environment.run(*options, "--help", environ={SITE: str(site)}, check=False)
            assert "usage:" in done.stdout + done.stderr
            assert "STOLEN" not in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-m", "airflow_package_manager.installer"], True),
        (["-mairflow_package_manager.installer.preflight_check"], True),
        (["-IBm", "airflow_package_manager"], True),
        (["-X", "importtime", "-W", "error", "-m", "airflow_package_manager.cli"], True),
        (["-Wonce", "-Xdev", "-m", "airflow_package_manager.installer"], True),
        (["--check-hash-based-pycs", "never", "-m", "airflow_package_manager.installer"], True),
        (["/opt/bin/airflow-package-manager", "run"], True),
        (["-u", "airflow-package-manager"], True),
        (["-m", "airflow_package_manager_other"], False),
        (["-m", "airflow", "-m", "airflow_package_manager.installer"], False),
        (["-c", "pass", "airflow-package-manager"], False),
        (["-Ic", "pass"], False),
        (["/opt/bin/airflow", "scheduler", "-m", "airflow_package_manager"], False),
        (["-", "-m", "airflow_package_manager"], False),
        (["-m"], False),
        ([], False),
    ],
)
def test_rescue_is_known_by_its_command(words: list[str], *, expected: bool) -> None:
    assert airflow_package_manager_site._is_rescue([sys.executable, *words]) is expected


def test_command_line_never_runs_on_the_site(environment: Environment, site: Path) -> None:
    script = environment.root / "bin" / "airflow-package-manager"
    text = script.read_text()
    script.write_text(text.splitlines()[0] + f"\n{PATHS}\n")
    try:
        found = json.loads(run([script], environ={SITE: str(site)}).stdout)
    finally:
        script.write_text(text)
    assert str(site) not in found


def test_other_virtual_environments_see_nothing(environment: Environment, site: Path, tmp_path: Path) -> None:
    for option in ((), ("--system-site-packages",)):
        other = tmp_path / f"other{len(option)}"
        run([environment.python, "-m", "venv", "--without-pip", *option, other])
        done = run([other / "bin" / "python", "-c", PATHS], environ={SITE: str(site)})
        assert str(site) not in json.loads(done.stdout)
        assert done.stderr == ""


def test_foreign_environment_that_borrows_our_packages_sees_nothing(
    environment: Environment, site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "borrower"
    run([UV, "venv", "--quiet", "--offline", "--python", os.path.realpath(sys.executable), other])
    (packages,) = (other / "lib").glob("python3*/site-packages")
    (packages / "borrow.pth").write_text(f"import site; site.addsitedir({str(environment.packages)!r})\n")
    done = run([other / "bin" / "python", "-c", PATHS + "; import image_package"], environ={SITE: str(site)})
    assert str(site) not in json.loads(done.stdout)


def test_installed_package_works_with_entry_points_scripts_and_updates(
    installer: Installer, index: PackageIndexServer
) -> None:
    update = wheel("image-package", "1.5", files={"image_package/__init__.py": "WHO = 'site'\n"})
    index.add(update)
    files = [
        (index.listing(name) or [])[0] for name in ("good-script", "good-plugin", "apache-airflow-providers-example")
    ]
    lock = installer.environment.lock(update, *files)
    assert installer.install(lock)[0] == 0
    environ = {SITE: str(installer.site(lock)), "PATH": os.defpath}
    code = (
        "import importlib.metadata as m, json, image_package, shutil, subprocess\n"
        "import airflow.providers.standard, airflow.providers.example as example\n"
        "print(json.dumps([image_package.WHO, m.version('image-package'), example.__version__,\n"
        "  [e.load().name for e in m.entry_points(group='airflow.plugins') if e.name == 'good_plugin'],\n"
        "  [e.name for e in m.entry_points(group='apache_airflow_provider')],\n"
        "  subprocess.run(['good-script'], capture_output=True, text=True).stdout]))"
    )
    plugins = "\nclass AirflowPlugin: pass\n"
    (installer.environment.packages / "airflow" / "plugins_manager.py").write_text(plugins)
    namespace = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    start = installer.environment.packages / "airflow" / "__init__.py"
    original = start.read_text()
    start.write_text(namespace + original)
    try:
        found = json.loads(installer.environment.run("-c", code, environ=environ).stdout)
    finally:
        start.write_text(original)
        (installer.environment.packages / "airflow" / "plugins_manager.py").unlink()
    assert found == ["site", "1.5", "1.0.0", ["good_plugin"], ["provider_info"], "good script\n"]


def test_scripts_come_last_on_path_and_once(environment: Environment, site: Path) -> None:
    code = (
        "import os, subprocess, sys; print(os.environ['PATH']);"
        "sys.stdout.flush(); subprocess.run([sys.executable, '-c', 'import os; print(os.environ[\"PATH\"])'])"
    )
    first, second = environment.run("-c", code, environ={SITE: str(site), "PATH": "/one:/two"}).stdout.split()
    assert first == second == f"/one:/two:{site}/bin"


def test_uninstalling_removes_the_activation(our_wheel: Path, tmp_path: Path, site: Path) -> None:
    run([UV, "venv", "--quiet", "--offline", "--python", os.path.realpath(sys.executable), tmp_path / "venv"])
    made = Environment(tmp_path / "venv")
    made.install(our_wheel)
    assert str(site) in paths(made, environ={SITE: str(site)})
    run([UV, "pip", "uninstall", "--quiet", "--offline", "--python", made.python, "airflow-package-manager"])
    assert str(site) not in paths(made, environ={SITE: str(site)})
    assert not list(made.packages.glob("airflow_package_manager*"))
