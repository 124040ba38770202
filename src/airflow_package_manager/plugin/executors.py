"""Which executors Airflow is configured with, for all or for a team, by name, path or alias."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.configuration import conf

_OF_TWO: Mapping[str, tuple[str, str]] = {
    "CeleryKubernetesExecutor": ("CeleryExecutor", "KubernetesExecutor"),
    "LocalKubernetesExecutor": ("LocalExecutor", "KubernetesExecutor"),
}
"""Airflow 2's executors that hand each task to one of two."""


def configured() -> tuple[str, ...]:
    """Return the class names of `[core] executor`."""
    return names(conf.get("core", "executor", fallback=""))


def names(executors: str) -> tuple[str, ...]:
    """Return the class names in a value of `[core] executor`, each once, in their order; for one of two those two."""
    found = (name for team in executors.split(";") for name in team.rpartition("=")[2].split(","))
    short = (name.strip().rpartition(":")[2].rpartition(".")[2] for name in found)
    return tuple(dict.fromkeys(one for name in short if name for one in _OF_TWO.get(name, (name,))))
