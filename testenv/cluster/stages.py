"""Turns `stages.yaml` into the Stage objects that KWOK reads: a node that is ready, and pods that do as scripted.

`immediateNextStage` is not used: KWOK 0.7 then takes its own copy of a pod beside the one that the watch brings, and a
copy that comes late cancels the stage after the next (a pod stays Ready that should have completed).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

AT_ONCE = 16
"""Pods whose status is written at the same time."""
SOURCE = Path(__file__).with_name("stages.yaml")
_NODE_STATUS = """
conditions: [{type: Ready, status: "True", reason: KubeletReady, lastHeartbeatTime: {{ Now | Quote }},
  lastTransitionTime: {{ Now | Quote }}}]
addresses: [{type: InternalIP, address: 127.0.0.1}]
allocatable: {cpu: 1k, memory: 1Ti, pods: 1M}
capacity: {cpu: 1k, memory: 1Ti, pods: 1M}
phase: Running
"""


def write(path: Path) -> Path:
    """Write all Stages as a configuration file of KWOK; returns its path."""
    configuration = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {"podPlayStageParallelism": AT_ONCE},
    }
    path.write_text("\n---\n".join(json.dumps(part, indent=1) for part in (configuration, *stages())))
    return path


def stages() -> list[dict[str, Any]]:
    """Return all Stages."""
    source = yaml.safe_load(SOURCE.read_text())
    not_ready = '[.status.conditions[]? | select(.type == "Ready" and .status == "True")] == []'
    node = _stage("node-is-ready", "Node", [_match(not_ready, "In", ["true"])], {"statusTemplate": _NODE_STATUS})
    return [node, *(_pod_stage(source, entry) for entry in source["stages"])]


def _pod_stage(source: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    functions = f"{source['functions']} def outcome: {source['outcome']}; "
    matches = [_match(functions + source["steps"][entry["step"]], "In", ["true"])]
    if "policy" in entry:
        matches.append(_match(".spec.restartPolicy", "In", entry["policy"]))
    for field, operator in (("outcome", "In"), ("unless", "NotIn")):
        if field in entry:
            matches.append(_match(functions + "outcome", operator, entry[field]))
    following: dict[str, Any] = {"delete": True} if entry.get("delete") else {}
    if "status" in entry:
        status = entry["status"]
        for word, meaning in entry.get("words", {}).items():
            status = status.replace(word, meaning)
        following["statusTemplate"] = source["definitions"] + status
    if "event" in entry:
        following["event"] = entry["event"]
    stage = _stage(entry["name"], "Pod", matches, following)
    if "delay" in entry:
        stage["spec"]["delay"] = {"durationFrom": {"expressionFrom": functions + entry["delay"]}}
    return stage


def _stage(name: str, kind: str, matches: list[dict[str, Any]], following: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": matches},
            "next": following,
        },
    }


def _match(expression: str, operator: str, values: Sequence[str]) -> dict[str, Any]:
    return {"key": expression, "operator": operator, "values": list(values)}
