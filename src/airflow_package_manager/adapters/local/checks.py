"""What `doctor` looks at on one machine: the directory, and the supervisors that report in it."""

from __future__ import annotations

import os

from airflow_package_manager.domain.inventory import Check, CheckStatus
from airflow_package_manager.domain.rollout import Status
from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.installer.directory import Directory
from airflow_package_manager.ports import RequirementStore, RolloutTarget

STORE = "store-writable"
SUPERVISORS = "supervisors-alive"


def store(directory: Directory, requirements: RequirementStore) -> Check:
    """Whether the requirements can be read, and their directory written."""
    try:
        requirements.read()
    except PackageManagerError as error:
        return Check(STORE, CheckStatus.FAILED, error.detail, error.next_action)
    root = directory.root
    if not os.access(root, os.W_OK | os.X_OK):
        return Check(
            STORE,
            CheckStatus.FAILED,
            f"{root} cannot be written by this process (uid {os.getuid()}).",
            "Make it belong to Airflow's user.",
        )
    return Check(STORE, CheckStatus.OK, f"{root} can be read and written.")


def supervisors(target: RolloutTarget) -> Check:
    """Whether each component is run by a supervisor that beats, on what it was told to use."""
    try:
        seen = {component: target.observe(component, None) for component in target.components()}
    except PackageManagerError as error:
        return Check(SUPERVISORS, CheckStatus.FAILED, error.detail, error.next_action)
    if not seen:
        return Check(
            SUPERVISORS,
            CheckStatus.FAILED,
            "No component runs under the package manager, so nothing could be restarted.",
            "Start each with 'airflow-package-manager run --component NAME -- COMMAND', or all with"
            " 'airflow-package-manager standalone'.",
        )
    wrong = [f"{component}: {found.message}" for component, found in seen.items() if found.status != Status.CURRENT]
    if wrong:
        return Check(SUPERVISORS, CheckStatus.WARNING, "; ".join(wrong) + ".", "Look at the component's own output.")
    return Check(SUPERVISORS, CheckStatus.OK, f"{', '.join(seen)}: all current.")
