"""What a test writes into a pod template so that the pods of a revision do on the fake node what the test is about."""

from __future__ import annotations

REVISION = "airflow-package-manager/revision"
"""The stamp, a pod template's annotation."""
PREFIX = "package-manager-test"
OUTCOMES = frozenset(
    {
        "ok",
        "fail-install",
        "heals",
        "hangs",
        "instant",
        "slow",
        "image-pull",
        "config-error",
        "never-ready",
        "crash-at-start",
        "crash-after-ready",
        "stuck-terminating",
    }
)
PREFLIGHT_OUTCOMES = (OUTCOMES - {"never-ready", "crash-at-start", "crash-after-ready"}) | {"fail-check"}


def script(
    revision: int | None, outcome: str = "ok", *, preflight: str = "ok", pod: str = "", **words: str
) -> dict[str, str]:
    """Return annotations that say what the pods of this revision (None: without a stamp) will do.

    `preflight` is for pods of Jobs. With `pod`, outcome and words are for the pod of that name only. The words are
    report, check, exit, install, drain, crash_after, back_off; their values are those that `stages.yaml` describes.
    Raises `ValueError` for an outcome that does not exist, which KWOK would take for "ok".
    """
    if outcome not in OUTCOMES or preflight not in PREFLIGHT_OUTCOMES:
        raise ValueError(f"no such outcome: {outcome}, or {preflight} of a preflight")
    key = str(revision or "none") + (f".{pod}" if pod else "")
    made = {f"{PREFIX}/outcome-{key}": outcome}
    if not pod:
        made[f"{PREFIX}/preflight-{key}"] = preflight
    return made | {f"{PREFIX}/{word.replace('_', '-')}-{key}": value for word, value in words.items()}
