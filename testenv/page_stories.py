"""Operations for the page's gallery, as frames: each look at the events shows the next one."""
# ruff: noqa: ANN401 - a scenario overrides any field of a model; pydantic checks the value

from __future__ import annotations

from typing import Any

from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import schemas
from testenv.page_answers import COMPONENTS, change, component, event, instance, operation, plan, problem, progress
from testenv.page_inventories import HOSTILE, LONG, RIGHT_TO_LEFT, TEXT, TEXT_AFTER

Frame = tuple[ops.Operation, list[ops.Event]]
ROUTE = ("scheduler", "triggerer", "dag-processor")


def the_plan(**over: Any) -> ops.Plan:
    """Return a plan with each class of result."""
    changes = [
        change(
            "polars", "new", None, "1.12.0", direct=True, size=32_300_000, summary="Blazingly fast DataFrame library"
        ),
        change("protobuf", "new", None, "5.28.3", image_version="4.25.5", shadows=True, required_by=["polars"]),
        change("pandas", "upgraded", "2.2.3", "2.3.1", direct=True, size=11_900_000, summary="Data structures"),
        change("numpy", "downgraded", "2.1.3", "2.0.2", required_by=["pandas", "pyarrow"], size=16_100_000),
        change("pytz", "removed", "2024.2", None, image_version="2024.1"),
        change("tzdata", "in-image", "2024.2", "2024.2", required_by=["pandas"], size=None),
    ]
    warnings = [
        ops.PlanWarning(
            code="downgrade", message="numpy goes back from 2.1.3 to 2.0.2, because pandas 2.3.1 needs numpy<2.1."
        ),
        ops.PlanWarning(
            code="running-tasks", message="3 task instances are running; they finish on their old packages."
        ),
    ]
    values: dict[str, Any] = {"warnings": warnings, "acknowledgements": ["shadows:protobuf"]}
    return plan(TEXT, TEXT_AFTER, changes, **{**values, **over})


def planning(*, endless: bool) -> list[Frame]:
    """Return frames from the question to the plan."""
    words = ["Reading the requirements", "Building the planning environment", "Resolving versions", "Writing the lock"]
    frames: list[Frame] = []
    seen: list[ops.Event] = []
    for number, word in enumerate(words[: 3 if endless else 4], 1):
        if number > 1:
            done = words[number - 2]
            seen = [*seen, event(number - 1, "operation.step", f"{done}: done in 0.{number} s")]
        frames.append((operation("PLANNING", step=word, actions=["cancel"]), seen))
    if not endless:
        frames.append((planned(), seen))
    return frames


def planned(**over: Any) -> ops.Operation:
    """Return a finished plan."""
    return operation("PLANNED", **{"plan": the_plan(), "actions": ["apply", "cancel"], **over})


def applying() -> list[Frame]:
    """Return frames from acceptance to success."""
    told = event(1, "operation.accepted", "The plan was accepted as revision 8", state="ACCEPTED")
    checked = event(2, "preflight.passed", "imports of polars and pandas work beside Airflow 3.3.2", state="PREFLIGHT")
    rows: list[Frame] = [
        (_at("ACCEPTED", "Staging the lock", ("waiting",) * 3), [told]),
        (_at("PREFLIGHT", "Importing the new packages in a process of its own", ("waiting",) * 3), [told]),
    ]
    seen = [told, checked]
    for index, name in enumerate(ROUTE):
        restarted = event(3 + 2 * index, "component.restarted", "told to use revision 8", component=name)
        stages = ("done",) * index + ("restarting",) + ("waiting",) * (2 - index)
        seen = [*seen, restarted.model_copy(update={"state": "ROLLING_OUT"})]
        rows.append((_at("ROLLING_OUT", f"Waiting until the {name} is well", stages), seen))
        seen = [*seen, event(4 + 2 * index, "component.verified", "heartbeat seen after 11 s", component=name)]
    rows.append((_at("VERIFYING", "Comparing what each instance installed with the lock", ("done",) * 3), seen))
    over = event(9, "operation.succeeded", "Every component runs revision 8", state="SUCCEEDED")
    rows.append((_at("SUCCEEDED", "", ("done",) * 3), [*seen, over]))
    return rows


def _at(state: str, step: str, stages: tuple[str, ...], **over: Any) -> ops.Operation:
    going = state not in {"SUCCEEDED", "ROLLED_BACK", "FAILED"}
    values: dict[str, Any] = {
        "step": step,
        "plan": the_plan(),
        "components": progress(*zip(ROUTE, stages, strict=True)),
        "actions": ["cancel"] if going and state != "ROLLING_BACK" else [],
    }
    return operation(state, **{**values, **over})


def rollout_components(frame: ops.Operation) -> schemas.Components:
    """Return what the target sees at this moment of an operation."""
    stages = {one.name: one.stage for one in frame.components}
    rows = []
    for number, name in enumerate(COMPONENTS, 1):
        stage = stages.get(name)
        new = {"stamp": 8, "message": "running on the wanted packages"}
        if stage == "restarting":
            old = instance(name, number, status="Terminating", message="finishing 2 running tasks", stamp=7)
            fresh = instance(
                name, number + 40, status="InProgress", message="installed 4 packages in 1.8 s; starting", stamp=8
            )
            rows.append(component(name, "InProgress", stamp=8, message="restarting", instances=[old, fresh]))
        elif stage == "done":
            rows.append(component(name, stamp=8, instances=[instance(name, number + 40, **new)]))
        else:
            rows.append(component(name))
    return schemas.Components(components=rows, revision=7)


BROKEN = problem(
    "component-failed",
    "The triggerer did not come back",
    500,
    "triggerer on airflow-1: ImportError: libpolars.so needs AVX2, which this processor does not have.",
    "Choose a build of polars without AVX2 (polars-lts-cpu), then plan again.",
    output="Traceback (most recent call last):\n  ...\nImportError: libpolars.so: illegal instruction",
)


def ended(state: str) -> list[Frame]:
    """Return the frame of an operation that did not reach its end."""
    events = applying()[3][1]
    back = event(8, "operation.rolling-back", "triggerer failed: putting everything back", state="ROLLING_BACK")
    if state == "FAILED":
        reason = problem(
            "rollback-incomplete",
            "The triggerer could not be put back in time",
            500,
            "It was told to use revision 7 again, but no instance has become well within 180 s.",
            "Run: airflow-package-manager doctor, then: airflow-package-manager resume. Its lock is still there.",
            components=[ROUTE[1]],
        )
        return [(_at("FAILED", "", ("done", "restarting", "waiting"), problem=reason), [*events, back])]
    return [
        (_at(state, "Putting the scheduler back", ("done", "restarting", "waiting"), problem=BROKEN), [*events, back])
    ]


def refused() -> ops.Operation:
    """Return a conflict with the image, explained."""
    causes = [
        {
            "project": "sqlalchemy",
            "wanted": "==1.4.54",
            "forbidden_by": "apache-airflow-core 3.3.2",
            "needs": "sqlalchemy>=2.0.50",
            "fits": ["2.0.52", "2.0.51", "2.0.50"],
            "message": "You ask for sqlalchemy 1.4.54; apache-airflow-core 3.3.2 of the image needs 2.0.50.",
        },
        {
            "project": "old-client",
            "wanted": ">=3",
            "forbidden_by": "pydantic 2.11.7",
            "needs": "pydantic-core==2.33.2",
            "fits": [],
            "message": "old-client needs pydantic-core<2, but pydantic 2.11.7 of the image needs pydantic-core 2.33.2.",
        },
    ]
    reason = problem(
        "resolution-impossible",
        "These requirements cannot be installed together",
        422,
        "2 requirements contradict what the image holds.",
        "Choose a version that fits; the causes name who forbids this one.",
        causes=causes,
        resolver="  x No solution found when resolving dependencies:\n  `-> Because apache-airflow-core==3.3.2 depends"
        " on sqlalchemy>=2.0.50 and you require sqlalchemy==1.4.54, your requirements are unsatisfiable.",
    )
    asked = {"changes": [{"action": "add", "requirement": name} for name in ("sqlalchemy==1.4.54", "old-client>=3")]}
    return operation("REFUSED", summary="add sqlalchemy==1.4.54, old-client>=3", request=asked, problem=reason)


def acknowledgement() -> ops.Operation:
    """Return a plan that waits for a person's word."""
    reason = problem(
        "acknowledgement-required",
        "This change must be acknowledged",
        422,
        "polars 1.12.0 brings protobuf 5.28.3, which would hide protobuf 4.25.5 of the image;"
        " googleapis-common-protos of the image uses it.",
        "Read what would be shadowed, then plan again with the listed acknowledgements.",
        acknowledgements=["shadows:protobuf", "shadows:grpcio"],
    )
    return operation("REFUSED", problem=reason)


def strange_plan() -> ops.Operation:
    """Return a plan whose every text tries to be more than text."""
    changes = [
        change(HOSTILE, "new", None, "1.0", direct=True, summary="<script>document.title='owned'</script>"),
        change(LONG, "upgraded", "1.0", "1.0.0+local.build.20261123.abcdef0123456789", required_by=[HOSTILE, LONG]),
        change("rtl", "new", None, "1", summary=RIGHT_TO_LEFT),
    ]
    warnings = [ops.PlanWarning(code="yanked", message=f"{HOSTILE} {RIGHT_TO_LEFT} was yanked")]
    told = plan(TEXT, TEXT + HOSTILE + "\n" + RIGHT_TO_LEFT + "\n", changes, warnings=warnings)
    return operation(
        "PLANNED", summary=f"add {HOSTILE}, {RIGHT_TO_LEFT}, {LONG}", plan=told, actions=["apply", "cancel"]
    )


def lines_refused() -> ops.Operation:
    """Return a file with lines that cannot be planned, and a protected name."""
    reason = problem(
        "invalid-requirements-file",
        "The requirements file has lines that cannot be used",
        422,
        "Line 4 is an option (and 1 more)",
        "Remove or correct the named lines.",
        lines=[
            {
                "number": 4,
                "text": "--index-url https://****@packages.example.com/simple",
                "rule": "option-line",
                "reason": "Options are not passed on to the installer.",
                "next_action": "Remove the line; set index_url in [package_manager] instead.",
            },
            {"number": 9, "text": "-e ./tool", "rule": "editable-line", "reason": "A directory is never run."},
        ],
        violations=[
            {
                "rule": "protected",
                "name": "apache-airflow",
                "message": "apache-airflow belongs to the image and never moves.",
                "next_action": "Build an image with the Airflow version that you want.",
            }
        ],
    )
    return operation("REFUSED", summary="edit requirements.txt", request={"requirements": TEXT}, problem=reason)


def version_refused() -> ops.Operation:
    """Return a version that the index does not have."""
    reason = problem(
        "unknown-version",
        "The package index has no such version",
        422,
        "The package index has no version of polars that fits polars>=99.",
        "Choose one of the versions that exist.",
        project="polars",
        wanted=">=99",
        available=["1.12.0", "1.11.0", "1.10.0"],
    )
    asked = {"changes": [{"action": "add", "requirement": "polars>=99"}]}
    return operation("REFUSED", summary="add polars>=99", request=asked, problem=reason)


def stale() -> ops.Problem:
    """Return the answer to an apply after somebody edited the file."""
    return problem(
        "stale-plan",
        "The requirements changed since this plan was made",
        409,
        "Somebody edited requirements.txt after this plan was made.",
        "Plan again; nothing was changed.",
        difference="--- planned\n+++ now\n@@ -1,2 +1,3 @@\n # Data\n+somebody-elses-package\n pandas>=2.2,<3\n",
    )


def denied() -> ops.Problem:
    """Return the answer to a question that a rule forbids at once."""
    row = {
        "rule": "denied",
        "name": "polars",
        "message": "polars is denied by the setting denied_packages.",
        "next_action": "Ask whoever runs this Airflow to lift it.",
    }
    other = {**row, "name": "pandas", "message": "pandas is denied by the setting denied_packages."}
    return problem(
        "policy-violation",
        "A rule forbids this change",
        422,
        "polars is denied by the setting denied_packages. (and 1 more)",
        "See each violation for who can lift it.",
        violations=[row, other],
    )
