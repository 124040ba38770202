"""Users of Flask-AppBuilder in a home that was migrated, by its own security manager, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping

from testenv.airflow_home import Airflow

_SCRIPT = """
import json, sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

with get_application_builder() as builder:
    builder.sm.sync_roles()  # as a web server's first start does: before it there are but Admin and Public
    for name, (role, password) in json.load(sys.stdin).items():
        found = builder.sm.find_role(role.capitalize()) or builder.sm.add_role(role.capitalize())
        added = builder.sm.add_user(name, name.capitalize(), "Tester", f"{name}@example.com", found, password)
        assert added, f"{name} was not added"
"""


def add(airflow: Airflow, roles: Mapping[str, str]) -> None:
    """Add users, each with one role, which is made when there is none of that name."""
    run(airflow, _SCRIPT, json.dumps({name: (role, airflow.passwords[name]) for name, role in roles.items()}))


def run(airflow: Airflow, script: str, text: str = "") -> str:
    """Run a Python script in the home and return what it printed; raises `RuntimeError` when it failed."""
    done = airflow.run(str(airflow.python), "-c", script, text=text)
    if done.returncode != 0:
        raise RuntimeError(f"a script ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout
