"""Settings: one table, two sources, and refusals that name the setting, the value and what is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from airflow_package_manager import settings
from airflow_package_manager.domain.components import COMPONENTS
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.redaction import without_credentials
from airflow_package_manager.setting_table import SETTINGS
from airflow_package_manager.settings import Settings

PREFIX = settings.ENVIRONMENT_PREFIX


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"AIRFLOW_HOME": str(tmp_path)}


def write(home: dict[str, str], text: str) -> Path:
    path = Path(home["AIRFLOW_HOME"]) / "airflow.cfg"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_and_the_values_have_the_same_names_in_the_same_order() -> None:
    assert [setting.name for setting in SETTINGS] == [field.name for field in dataclasses.fields(Settings)]
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


def test_every_default_is_allowed_and_every_row_explains_itself() -> None:
    for setting in SETTINGS:
        setting.parse(setting.default)
        assert setting.help.endswith(".")
        assert setting.since


def test_without_anything_the_defaults_hold(home: dict[str, str]) -> None:
    loaded = settings.load(home)
    assert loaded.directory == home["AIRFLOW_HOME"] + "/package_manager"
    assert loaded.components == ()
    assert loaded.rollout_order == COMPONENTS
    assert loaded.token_lifetime == 3600
    assert all(value.source == "default" for value in settings.read(home))


def test_the_environment_beats_the_file_and_each_value_says_where_it_is_from(home: dict[str, str]) -> None:
    path = write(home, "[core]\nx = %(y)s\n[package_manager]\nsoak = 7\ntoken_lifetime = 60\nindex_url =\n")
    environ = {**home, PREFIX + "SOAK": " 9 "}
    assert settings.load(environ).soak == 9
    sources = {value.name: (value.raw, value.source) for value in settings.read(environ)}
    assert sources["soak"] == ("9", "environment")
    assert sources["token_lifetime"] == ("60", str(path))
    assert sources["index_url"] == ("", str(path))


def test_airflow_config_names_another_file(home: dict[str, str], tmp_path: Path) -> None:
    elsewhere = tmp_path / "other.cfg"
    elsewhere.write_text("[package_manager]\nsoak = 5\n", encoding="utf-8")
    assert settings.load({**home, "AIRFLOW_CONFIG": str(elsewhere)}).soak == 5


def test_lists_are_read(home: dict[str, str]) -> None:
    loaded = settings.load(
        {
            **home,
            PREFIX + "COMPONENTS": "scheduler, api-server",
            PREFIX + "DENIED_PACKAGES": "telnetlib3, ,x",
            PREFIX + "EXTRA_INDEX_URLS": "https://a.example.com/s  http://b.example.com",
            PREFIX + "ROLLOUT_ORDER": ",".join(reversed(COMPONENTS)),
        }
    )
    assert loaded.components == ("scheduler", "api-server")
    assert loaded.denied_packages == ("telnetlib3", "x")
    assert loaded.extra_index_urls == ("https://a.example.com/s", "http://b.example.com")
    assert loaded.rollout_order == tuple(reversed(COMPONENTS))


def test_an_order_that_leaves_out_the_web_server_of_another_airflow_is_whole(home: dict[str, str]) -> None:
    written = "worker, triggerer, scheduler, dag-processor, api-server"
    loaded = settings.load({**home, PREFIX + "ROLLOUT_ORDER": written})
    assert loaded.rollout_order == (*written.split(", "), "webserver")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("target", "nomad", "auto, local, kubernetes"),
        ("target", "", "auto, local, kubernetes"),
        ("directory", "relative/path", "absolute path"),
        ("components", "scheduler, flower", "auto, or some of"),
        ("components", "scheduler, scheduler", "each once"),
        ("components", "auto, scheduler", "auto, or some of"),
        ("components", "", "auto, or some of"),
        ("rollout_order", "scheduler", "all of"),
        ("token_lifetime", "59", "from 60 to 86400"),
        ("token_lifetime", "1e3", "whole number"),
        ("token_lifetime", "-60", "whole number"),
        ("token_lifetime", "\u0663\u0663\u0663", "whole number"),
        ("token_lifetime", "9" * 5000, "whole number"),
        ("planning_timeout", "601", "from 5 to 600"),
        ("index_url", "packages.example.com/simple", "http or https"),
        ("index_url", "ftp://packages.example.com", "http or https"),
        ("index_url", "http://", "http or https"),
        ("index_url", "https://[::1", "http or https"),
        ("index_url", "https://[bad/x", "http or https"),
        ("index_url", "https://[:::]/simple", "http or https"),
        ("index_url", "https://packages.example.com:99999/simple", "http or https"),
        ("index_url", "https://packages.example.com:0/simple", "http or https"),
        ("extra_index_urls", "https://a.example.com https://b.example.com:65536/", "http or https"),
        ("index_url", "https://packages.example.com:port/", "http or https"),
        ("index_url", "https://packages.example.com/a b", "http or https"),
        ("index_url", "https://user:hunter2/x@packages.example.com", "without credentials"),
        ("index_url", "https://user:hunter2@packages.example.com", "without credentials"),
        ("extra_index_urls", "https://a.example.com https://user:hunter2@b.example.com", "without credentials"),
        ("index_credentials_file", "netrc", "absolute path"),
        ("scheduler_restart", "flower", "one of"),
        ("scheduler_restart", "kill", "handover, drain"),
        ("admin_users", "*", "no '*'"),
        ("admin_users", "ada, ada", "each once"),
        ("admin_users", "ada\u2028bob", "in full"),
        ("admin_users", "x" * 257, "in full"),
        ("admin_users", "ada, anonymous", "not Anonymous"),
        ("admin_roles", "Public", "not Public"),
        ("admin_roles", "Admin*", "no '*'"),
    ],
)
def test_a_wrong_value_is_refused_with_name_value_and_what_is_allowed(
    home: dict[str, str], name: str, value: str, allowed: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings.load({**home, PREFIX + name.upper(): value})
    error = caught.value
    assert error.context["setting"] == name
    assert allowed in str(error.context["allowed"])
    assert name in error.detail
    assert "environment" in error.detail
    assert allowed in error.detail
    assert "hunter2" not in error.detail + repr(error.context)
    if len(value) < 100 and "@" not in value:
        assert repr(value) in error.detail
    assert len(error.detail) < 1000


@pytest.mark.parametrize(
    "address", ["https://packages.example.com", "HTTP://127.0.0.1:8080/simple/", "https://[::1]:3141/root/dev/+simple/"]
)
def test_an_address_of_an_index_is_taken_as_it_is(home: dict[str, str], address: str) -> None:
    assert settings.load({**home, PREFIX + "INDEX_URL": address}).index_url == address


def test_a_name_that_does_not_exist_is_refused_wherever_it_stands(home: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match="'tokenlifetime'") as caught:
        settings.load({**home, PREFIX + "TOKENLIFETIME": "60"})
    assert "token_lifetime" in str(caught.value.context["allowed"])
    write(home, "[package_manager]\nsoack = 5\n")
    with pytest.raises(InvalidSetting, match="'soack'"):
        settings.load(home)


@pytest.mark.parametrize("text", ["no section\n", "[package_manager]\nsoak\n"])
def test_a_file_that_cannot_be_read_is_named(home: dict[str, str], text: str) -> None:
    path = write(home, text)
    with pytest.raises(InvalidSetting) as caught:
        settings.load(home)
    assert str(path) in caught.value.detail


def test_a_directory_in_place_of_the_file_is_named(home: dict[str, str]) -> None:
    (Path(home["AIRFLOW_HOME"]) / "airflow.cfg").mkdir()
    with pytest.raises(InvalidSetting, match="cannot be read"):
        settings.load(home)


def test_a_file_of_another_encoding_is_named(home: dict[str, str]) -> None:
    (Path(home["AIRFLOW_HOME"]) / "airflow.cfg").write_bytes(b"[package_manager]\nsoak = \xff\n")
    with pytest.raises(InvalidSetting, match="cannot be read"):
        settings.load(home)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("https://user:pw@host/x", "https://****@host/x"),
        ("https://tok@a/s http://u:p@b", "https://****@a/s http://****@b"),
        ("https://host/x", "https://host/x"),
        ("https://u:p@ss@host/x", "https://****@host/x"),
        ("https://u:p/ss@host/x", "https://****@host/x"),
        ("plain", "plain"),
    ],
)
def test_credentials_are_masked_wherever_a_value_is_shown(raw: str, shown: str) -> None:
    assert without_credentials(raw) == shown


def test_airflow_home_is_airflows_own_rule(tmp_path: Path) -> None:
    assert settings.airflow_home({"AIRFLOW_HOME": str(tmp_path)}) == tmp_path
    assert settings.airflow_home({}) == Path("~/airflow").expanduser()
    assert settings.airflow_home({"AIRFLOW_HOME": ""}) == Path("~/airflow").expanduser()


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("", ()),
        ("scheduler=Deployment/my-scheduler", (("scheduler", "Deployment/my-scheduler"),)),
        (
            " worker = StatefulSet/w.x ; triggerer=app=airflow,role=trigger;",
            (("worker", "StatefulSet/w.x"), ("triggerer", "app=airflow,role=trigger")),
        ),
    ],
)
def test_workloads_are_read(home: dict[str, str], raw: str, parsed: tuple[tuple[str, str], ...]) -> None:
    assert settings.load({**home, PREFIX + "WORKLOADS": raw}).workloads == parsed


@pytest.mark.parametrize(
    "raw",
    [
        "scheduler",
        "scheduler=",
        "nobody=Deployment/x",
        "worker=a=b;worker=Deployment/x",
    ],
)
def test_other_workloads_are_refused(home: dict[str, str], raw: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings.load({**home, PREFIX + "WORKLOADS": raw})
    assert caught.value.context["setting"] == "workloads"


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("NAMESPACE", ""),
        ("NAMESPACE", "Upper"),
        ("NAMESPACE", "a/b"),
        ("NAMESPACE", "a" * 64),
        ("CONFIG_MAP", "a" * 248),
        ("CONFIG_MAP", "../x"),
        ("RELEASE", "a b"),
        ("PREFLIGHT_LABELS", "team"),
        ("PREFLIGHT_LABELS", "team=a b"),
        ("KUBECONFIG", "relative/config"),
    ],
)
def test_names_that_kubernetes_would_refuse_are_refused_at_start(home: dict[str, str], name: str, raw: str) -> None:
    with pytest.raises(InvalidSetting):
        settings.load({**home, PREFIX + name: raw})


def test_a_kubeconfig_makes_kubernetes_the_target_and_nothing_makes_it_one_machine(home: dict[str, str]) -> None:
    assert settings.load(home).target == "local"
    assert settings.load({**home, PREFIX + "KUBECONFIG": "/etc/kubeconfig"}).target == "kubernetes"
    chosen = {**home, PREFIX + "KUBECONFIG": "/etc/kubeconfig", PREFIX + "TARGET": "local"}
    assert settings.load(chosen).target == "local"
    assert settings.load({**home, PREFIX + "PREFLIGHT_LABELS": "team=data, x="}).preflight_labels == (
        ("team", "data"),
        ("x", ""),
    )
