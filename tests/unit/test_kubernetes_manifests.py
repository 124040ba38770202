from __future__ import annotations

import re

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import permissions
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT, STATEFUL_SET
from airflow_package_manager.adapters.kubernetes.manifests import FILES, FURTHER, Installation, manifest, manifests
from airflow_package_manager.adapters.kubernetes.preflight_job import LOCKS_PATH, RECORD, SITE_FOLDER
from airflow_package_manager.adapters.kubernetes.stamping import ANNOTATION

OTHER = Installation(
    namespace="airflow",
    account="web",
    account_namespace="platform",
    config_map="packages",
    workloads={DEPLOYMENT: ("one", "two")},
    template=(STATEFUL_SET, "three"),
    image="registry.example.com:5000/airflow/with-packages:1.2",
)


@pytest.mark.parametrize("name", [*FILES, *FURTHER])
@pytest.mark.parametrize("installation", [Installation(), OTHER])
def test_every_file_is_filled_in_and_can_be_read(name: str, installation: Installation) -> None:
    text = manifest(name, installation)
    assert not re.search(r"<[a-z-]+>", text)
    assert all(list(yaml.safe_load_all(text)))
    if installation is OTHER:
        assert "data-orchestration" not in text
        assert "airflow-config-pypi" not in text


def test_the_role_is_the_table_of_permissions() -> None:
    for installation in (Installation(), OTHER):
        role, binding = yaml.safe_load_all(manifest("role.yaml", installation))
        assert role["rules"] == permissions.rules(installation.config_maps, installation.workloads)
        assert binding["subjects"][0]["name"] == installation.account
    assert binding["subjects"][0]["namespace"] == "platform"
    assert role["metadata"]["namespace"] == "airflow"


def test_a_role_grants_no_more_than_is_used() -> None:
    role = next(iter(yaml.safe_load_all(manifest("role.yaml", Installation()))))
    for rule in role["rules"]:
        assert not {"*", "update", "deletecollection", "escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert not {"*", "secrets", "leases", "pods/exec", "pods/log", "serviceaccounts"} & set(rule["resources"])
        if "patch" in rule["verbs"]:
            assert rule["resourceNames"]


def test_policies_of_two_airflows_do_not_meet() -> None:
    names = [
        {(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(manifests(installation))}
        for installation in (Installation(namespace="one"), Installation(namespace="two"))
    ]
    cluster_wide = [{row for row in found if row[0].startswith("ValidatingAdmission")} for found in names]
    assert len(cluster_wide[0]) == 6
    assert not cluster_wide[0] & cluster_wide[1]


def test_all_is_one_stream_for_kubectl() -> None:
    kinds = [one["kind"] for one in yaml.safe_load_all(manifests(OTHER))]
    assert kinds[:2] == ["Role", "RoleBinding"]
    assert kinds[2:] == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] * 3


@pytest.mark.parametrize(
    "values",
    [
        {"namespace": "a b"},
        {"namespace": "x'y"},
        {"account": "x\nrules: []"},
        {"config_map": ""},
        {"workloads": {DEPLOYMENT: ("ok", "No")}},
        {"image": "no-tag"},
        {"image": "a:b\nc"},
        {"web_server": "flower"},
    ],
)
def test_what_is_no_name_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Installation(**values)  # type: ignore[arg-type]


def test_values_for_airflow_2_have_its_webserver_instead_of_the_api_server_and_all_else_alike() -> None:
    old = yaml.safe_load(manifest("values-official.yaml", Installation(web_server="webserver")))
    new = yaml.safe_load(manifest("values-official.yaml", Installation()))
    assert old.pop("webserver") == new.pop("apiServer")
    assert old == new
    assert "enabled" not in new["dagProcessor"], "its chart knows which Airflow needs one"


def test_values_of_the_chart_agree_with_the_code() -> None:
    values = yaml.safe_load(manifest("values-official.yaml", OTHER))
    (installer,) = values["scheduler"]["extraInitContainers"]
    for part in ("triggerer", "dagProcessor", "apiServer", "workers"):
        assert values[part]["extraInitContainers"] == [installer]
    command = installer["command"]
    assert command[command.index("--locks") + 1] == LOCKS_PATH
    assert command[command.index("--directory") + 1] == SITE_FOLDER
    assert command[command.index("--report") + 1] == RECORD
    active = command[command.index("--active") + 1]
    assert {"name": "AIRFLOW_PACKAGE_MANAGER_SITE", "value": active} in values["env"]
    (stamp,) = [one for one in installer["env"] if one["name"] == "PACKAGE_MANAGER_STAMP"]
    assert stamp["valueFrom"]["fieldRef"]["fieldPath"] == f"metadata.annotations['{ANNOTATION}']"
    assert f"--stamp=$({stamp['name']})" in command
    locks, _site = values["volumes"]
    assert locks["configMap"] == {"name": "packages-locks", "optional": True}
    assert (values["defaultAirflowRepository"], values["defaultAirflowTag"]) == (
        "registry.example.com:5000/airflow/with-packages",
        "1.2",
    )
    assert installer["image"] == OTHER.image
