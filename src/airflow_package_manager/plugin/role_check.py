"""The check of `doctor` that says who gets in, whatever the auth manager."""

from __future__ import annotations

from collections.abc import Callable

from airflow_package_manager.domain.inventory import Check, CheckStatus

NAME = "role-mapping"


def judged(
    load: Callable[[], type], *, supported: Callable[[type], bool], supports: str, verdict: Callable[[], Check]
) -> Check:
    """Return `verdict` for an auth manager that is supported; `supports` says in words which ones are."""
    try:
        manager = load()
    except Exception as error:  # noqa: BLE001  whatever a foreign class raises is this check's answer
        return Check(
            NAME,
            CheckStatus.FAILED,
            f"Airflow's auth manager cannot be loaded ({type(error).__name__}).",
            "Correct [core] auth_manager.",
        )
    if not supported(manager):
        return Check(
            NAME,
            CheckStatus.FAILED,
            f"{manager.__module__}.{manager.__qualname__} is not supported: nobody gets in.",
            f"Use {supports} with this version, or the command line.",
        )
    return verdict()
