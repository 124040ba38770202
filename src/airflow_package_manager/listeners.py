"""Beside the composition root: who the settings want to be told that a change has ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from airflow_package_manager.adapters import notices
from airflow_package_manager.domain.operation import Operation
from airflow_package_manager.endings import Hook
from airflow_package_manager.ports import Clock
from airflow_package_manager.settings import Settings
from airflow_package_manager.web import wire


def hooks(settings: Settings, clock: Clock, environ: Mapping[str, str] = os.environ) -> Mapping[str, Hook]:
    """Return a hook for each setting that names somebody, by its name; what they get is a row of the HTTP API."""
    tell: dict[str, Callable[[str], None]] = {}
    if settings.on_finished_command:
        program = notices.command(settings.on_finished_command, settings.on_finished_timeout, environ)
        tell["on_finished_command"] = program
    if settings.on_finished_url:
        tell["on_finished_url"] = notices.address(settings.on_finished_url, settings.on_finished_timeout)

    def hook(told: Callable[[str], None]) -> Hook:
        def heard(operation: Operation) -> None:
            told(wire.operation(operation, clock(), whole=False).to_json())

        return heard

    return {name: hook(told) for name, told in tell.items()}
