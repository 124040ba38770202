"""The values on the Kubernetes page fit what `kubernetes values` prints, joined as Helm joins them."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_package_manager.adapters.kubernetes import pod_template
from airflow_package_manager.adapters.kubernetes.kinds import DEPLOYMENT
from airflow_package_manager.adapters.kubernetes.manifests import Installation, manifest
from airflow_package_manager.adapters.kubernetes.stamping import Workload
from tests.cluster import official_chart

Object = dict[str, Any]
PAGE = Path(__file__).parents[2] / "docs" / "kubernetes.md"
KEYS = {
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dagProcessor",
    "api-server": "apiServer",
    "worker": "workers",
}
"""Component -> its key in the chart's values."""


def blocks(heading: str) -> list[Object]:
    """Return the YAML blocks below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [yaml.safe_load(text) for text in re.findall(r"^ *```yaml\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)]


def joined(below: Object, above: Object) -> Object:
    """Return what Helm makes of two files of values: maps are joined, lists are replaced."""
    made = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(made.get(key), dict)
        made[key] = joined(made[key], value) if both else value
    return made


def printed() -> Object:
    found: Object = yaml.safe_load(manifest("values-official.yaml", Installation()))
    return found


def workload(component: str, values: Object) -> Workload:
    """Return the chart's workload of a component with these values."""
    body = official_chart.workload(official_chart.component(component), "n")
    own, spec = values[KEYS[component]], body["spec"]["template"]["spec"]
    spec["initContainers"] += own["extraInitContainers"]
    spec["volumes"] = values["volumes"]
    spec["containers"][0] |= {"env": values["env"] + own.get("env", []), "volumeMounts": values["volumeMounts"]}
    return Workload(DEPLOYMENT, body)


@pytest.mark.parametrize("component", KEYS)
def test_with_one_volume_for_all_pods_no_template_lacks_anything(component: str) -> None:
    claim, values = blocks("One volume for all pods")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    one = workload(component, joined(printed(), values))
    assert pod_template.unknown(one, "package-manager") is None
    assert pod_template.lacks(one, "package-manager", Installation().config_maps[1]) == ()
    named = {"persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
    assert [volume for volume in one.template["spec"]["volumes"] if named.items() <= volume.items()]


def test_with_one_volume_for_all_pods_the_installer_is_the_printed_one() -> None:
    """But for where it installs, and that it compiles, because nobody can write there later."""
    _, values = blocks("One volume for all pods")
    (ours,) = copy.deepcopy(values["scheduler"]["extraInitContainers"])
    (theirs,) = printed()["scheduler"]["extraInitContainers"]
    ours["command"][ours["command"].index("--directory") + 1] = "/opt/package-manager"
    compiles, sites = ours["env"].pop(), ours["volumeMounts"].pop()
    assert compiles == {"name": "AIRFLOW__PACKAGE_MANAGER__COMPILE_BYTECODE", "value": "yes"}
    assert sites == {"name": "package-manager-sites", "mountPath": "/opt/package-manager-sites"}
    assert ours | {"image": ""} == theirs | {"image": ""}
    mounts = {mount["name"]: mount.get("readOnly", False) for mount in values["volumeMounts"]}
    assert mounts["package-manager-sites"], "a component may read what all others run on, and no more"


def test_the_private_index_is_the_same_for_plans_and_for_the_init_containers() -> None:
    (values,) = blocks("Private index, no network")
    wanted = values["apiServer"]["env"]
    commented = re.findall(r"^        # (?=- |  )(.*)$", manifest("values-official.yaml", Installation()), re.MULTILINE)
    offered = {entry["name"]: entry for entry in yaml.safe_load("\n".join(commented))}
    assert [offered[entry["name"]] for entry in wanted] == wanted
    assert workload("api-server", joined(printed(), values)).template["spec"]["containers"][0]["env"][-2:] == wanted
