"""Checks of `doctor` that only Airflow's configuration can answer: who gets in, and what running tasks survive."""

from __future__ import annotations

import socket

from airflow_package_manager.checks import tasks
from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.plugin import AIRFLOW_2, config
from airflow_package_manager.plugin.named_admins import NamedAdmins
from airflow_package_manager.settings import Settings


def checks(settings: Settings) -> tuple[Check, ...]:
    """Return the checks, each with its cause and next action."""
    found = config.read()
    # In Airflow 2 a task talks to the database, and never to the webserver.
    of_tasks = () if found.tasks is None else (tasks(settings, found.tasks),)
    return (_role_mapping(settings), *of_tasks, _log_servers(found), _address(found))


def _role_mapping(settings: Settings) -> Check:
    if AIRFLOW_2:
        from airflow_package_manager.plugin import airflow2_auth  # noqa: PLC0415  only there it can be imported

        return airflow2_auth.check(NamedAdmins.of(settings))
    from airflow_package_manager.plugin import auth  # noqa: PLC0415  same

    return auth.check(NamedAdmins.of(settings))


def _log_servers(found: config.AirflowConfiguration) -> Check:
    name = "log-servers"
    ports = {"scheduler or worker": found.worker_log_server_port, "triggerer": found.trigger_log_server_port}
    open_ports = [f"{who} (port {port})" for who, port in ports.items() if _answers(_own_address(), port)]
    if open_ports:
        return Check(
            name,
            CheckStatus.WARNING,
            f"The log server of {' and '.join(open_ports)} can be reached from other machines.",
            "On one machine start scheduler and triggerer with --skip-serve-logs: logs are read from the disk.",
        )
    return Check(name, CheckStatus.OK, "No log server can be reached from other machines.")


def _address(found: config.AirflowConfiguration) -> Check:
    name = "base-url"
    if found.base_url is None:
        # In Airflow 2 tasks never call the webserver.
        harm = "" if AIRFLOW_2 else "tasks call port 8080, and "
        return Check(
            name,
            CheckStatus.WARNING,
            f"[{config.WEB_SECTION}] base_url is not set: {harm}only the Host header says where we are.",
            f"Set [{config.WEB_SECTION}] base_url to the address that people use.",
        )
    return Check(name, CheckStatus.OK, f"[{config.WEB_SECTION}] base_url is {found.base_url}.")


def _own_address() -> str | None:
    """Return an address of this machine that others could use, None when it has only loopback."""
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        return None
    return None if address.startswith("127.") else address


def _answers(address: str | None, port: int) -> bool:
    if address is None:
        return False
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except OSError:
        return False
