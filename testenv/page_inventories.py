"""Inventories, files, histories and checks for the page's gallery."""

from __future__ import annotations

from datetime import timedelta

from airflow_package_manager.web import operation_schemas as ops
from airflow_package_manager.web import schemas
from testenv.page_answers import (
    ADMIN,
    COMPONENTS,
    NOW,
    cells,
    check,
    component,
    event,
    instance,
    package,
    release,
    revision,
)

TEXT = """# Data engineering, owned by the platform team
pandas>=2.2,<3
pyarrow~=17.0
duckdb==1.1.3

# reports
openpyxl
Jinja2-time>=0.2  # used by one DAG only
great-expectations[sqlalchemy]>=1.2 ; python_version >= "3.10"
"""
TEXT_AFTER = TEXT.replace("pandas>=2.2,<3", "pandas==2.3.1") + "polars>=1.9\n"

HOSTILE = "<img src=x onerror=document.title='owned'>"
RIGHT_TO_LEFT = "\u202egnp.exe \u0645\u0631\u062d\u0628\u0627"
LONG = "an-extraordinarily-long-distribution-name-that-nobody-should-ever-have-published-but-somebody-did-" * 2


def usual() -> list[schemas.Package]:
    """Return about forty projects: requested, brought along, of the image, protected."""
    rows = [
        package("pandas", requested="pandas>=2.2,<3", locked="2.2.3", summary="Powerful data structures for analysis"),
        package("pyarrow", requested="pyarrow~=17.0", locked="17.0.0", summary="Python library for Apache Arrow"),
        package("duckdb", requested="duckdb==1.1.3", locked="1.1.3", summary="DuckDB in-process database"),
        package(
            "openpyxl",
            requested="openpyxl",
            locked="3.1.5",
            summary="A Python library to read/write Excel 2010 xlsx/xlsm files",
            installed=cells(scheduler="3.1.5", triggerer="3.1.5", dag_processor="3.1.2", api_server="3.1.5"),
        ),
        package("jinja2-time", requested="Jinja2-time>=0.2", badges=["direct", "pending"], summary="Jinja2 time tags"),
        package(
            "great-expectations",
            requested='great-expectations[sqlalchemy]>=1.2; python_version >= "3.10"',
            locked="1.2.4",
            summary="Always know what to expect from your data",
            badges=["direct", "unknown"],
            installed=cells(scheduler="1.2.4", triggerer="unknown", dag_processor="1.2.4", api_server="unknown"),
        ),
        package("protobuf", requested="protobuf>=5", locked="5.28.3", image="4.25.5", summary="Protocol Buffers"),
        package("numpy", locked="2.1.3", required_by=["pandas", "pyarrow"], summary="Fundamental package for arrays"),
        package("pytz", locked="2024.2", required_by=["pandas"], summary="World timezone definitions"),
        package("tzdata", image="2024.2", required_by=["pandas", "pendulum"], summary="IANA time zone data"),
        package(
            "et-xmlfile", locked="2.0.0", required_by=["openpyxl"], summary="Low memory writer for large XML files"
        ),
        package("altair", locked="5.4.1", required_by=["great-expectations"], summary="Vega-Altair: charts"),
        package("narwhals", locked="1.13.3", required_by=["altair"], summary="Compatibility layer between dataframes"),
        package("marshmallow", locked="3.23.1", required_by=["great-expectations"]),
    ]
    protected = ["image", "protected"]
    rows += [
        package("apache-airflow", image="3.3.2", badges=protected, summary="Programmatically author workflows"),
        package("apache-airflow-core", image="3.3.2", badges=protected, required_by=["apache-airflow"]),
        package("apache-airflow-task-sdk", image="1.3.2", badges=protected, required_by=["apache-airflow"]),
        package("apache-airflow-providers-standard", image="1.9.0", badges=protected),
        package("apache-airflow-providers-common-sql", image="1.28.0", badges=protected),
        package("airflow-package-manager", image="0.1.0", badges=protected),
        package("uv", image="0.13.2", badges=protected),
    ]
    image = (
        "alembic asgiref attrs certifi click cryptography fastapi httpx idna jinja2 jsonschema lazy-object-proxy"
        " pendulum pluggy psutil pydantic pyyaml requests rich sqlalchemy structlog tenacity uvicorn"
    )
    rows += [
        package(name, image=f"{2 + index % 3}.{index % 7}.{index % 4}") for index, name in enumerate(image.split())
    ]
    return sorted(rows, key=lambda row: row.name)


def many(count: int) -> list[schemas.Package]:
    """Return so many requested projects."""
    return [
        package(
            f"library-{index:03d}",
            requested=f"library-{index:03d}>={index % 9}.1",
            locked=f"{index % 9}.{index % 13}.{index % 5}",
            summary="One of very many" if index % 3 else "",
        )
        for index in range(count)
    ]


def strange() -> list[schemas.Package]:
    """Return names, summaries and requirements that try to be more than text."""
    return [
        package(HOSTILE, requested=f"{HOSTILE}>=1", locked="1.0", summary="<script>document.title='owned'</script>"),
        package(LONG, requested=f"{LONG}>=1.0,<2.0,!=1.5,!=1.6", locked="1.0.0+local.build.20261123.abcdef0123456789"),
        package("rtl", requested=RIGHT_TO_LEFT, locked="1.0", summary=RIGHT_TO_LEFT),
        package(
            "javascript", requested="javascript:alert(1)", locked="1", summary="\u0007bell\u2028line & <b>bold</b>"
        ),
    ]


def releases() -> list[schemas.Release]:
    """Return what an index has of one project: with a pre-release, a yanked one, one without a wheel."""
    return [
        release("3.0.0rc1", 6),
        release("2.3.2", 20, has_wheel=False, requires_python=">=3.13"),
        release("2.3.1", 41),
        release("2.3.0", 90, yanked="wrong results in merge on nullable keys"),
        *[release(f"2.2.{patch}", 180 + 30 * (3 - patch)) for patch in (3, 2, 1, 0)],
        *[release(f"2.1.{patch}", 480 + 25 * (4 - patch)) for patch in (4, 3, 2, 1, 0)],
        *[release(f"1.{minor}.0", 900 + 60 * (5 - minor)) for minor in (5, 4, 3, 2, 1, 0)],
    ]


def kept_lines() -> list[schemas.KeptLine]:
    """Return lines that are shown and never used."""
    return [
        schemas.KeptLine(number=2, kind="option", text="--index-url https://****@packages.example.com/simple"),
        schemas.KeptLine(number=9, kind="direct-reference", text="tool @ git+https://git.example.com/tool.git@main"),
        schemas.KeptLine(number=12, kind="invalid", text="pandas >> 3"),
    ]


def components(broken: str | None = None) -> schemas.Components:
    """Return components that are well; `broken` names one that failed, and then others are strange too."""
    rows = [component(name) for name in COMPONENTS]
    if broken:
        failed = instance(
            broken,
            status="Failed",
            message="went back to the last good packages",
            restarts=2,
            install_outcome="failed",
            install_code="hash-mismatch",
            install_cause="The file of polars 1.12.0 on the index has another SHA-256 than the lock.",
        )
        rows[0] = component(broken, "Failed", message="went back to the last good packages", instances=[failed])
        silent = instance(
            "triggerer", 2, status="Unknown", alive=False, message="Its supervisor is gone.", lock_digest=None
        )
        rows[1] = component("triggerer", "Unknown", message="its supervisor is silent", instances=[silent])
        rows[2] = component("dag-processor", "NotFound", message="no instance of this component is known", instances=[])
    return schemas.Components(components=rows, revision=7)


def health(*, bad: bool = False) -> schemas.Health:
    """Return the checks of `doctor`."""
    checks = [
        check("uv-found", "ok", "uv 0.13.2 at /opt/airflow/.venv/bin/uv."),
        check("index-reachable", "ok", "packages.example.com answers in 84 ms."),
        check("tables-present", "ok", "Schema version 1."),
        check("store-writable", "ok", "/opt/airflow/package_manager can be written."),
        check("supervisors-alive", "ok", "4 of 4 components have a supervisor that beats."),
        check("site-active", "ok", "This interpreter uses the site of revision 7, untampered."),
        check("role-mapping", "ok", "Simple auth manager: role admin may do everything."),
        check("retry-settings", "ok", "Tasks wait up to 6 min for the api-server."),
    ]
    if bad:
        checks[1] = check(
            "index-reachable",
            "failed",
            "packages.example.com does not answer: connection refused.",
            "Check index_url and the network of the server that runs Airflow.",
        )
        checks[4] = check(
            "supervisors-alive",
            "warning",
            "The triggerer was started without a supervisor.",
            "Start it with: airflow-package-manager run --component triggerer -- airflow triggerer",
        )
        checks[7] = check(
            "retry-settings",
            "unknown",
            "The workers' configuration cannot be read from here.",
            "Compare [workers] execution_api_retries on each worker.",
        )
    return schemas.Health(checks=checks)


def revisions() -> ops.Revisions:
    """Return what can be restored."""
    return ops.Revisions(
        revisions=[
            revision(7, "update pyarrow~=17.0", 1, current=True),
            revision(6, "add great-expectations[sqlalchemy]>=1.2, openpyxl", 6),
            revision(4, "remove polars", 12),
            revision(3, "add polars, duckdb==1.1.3", 12),
            revision(1, "add pandas>=2.2,<3", 30),
            revision(0, "as it was found", 30),
        ]
    )


def audit() -> list[ops.Event]:
    """Return a page of the audit record."""
    other = schemas.Who(auth_manager="simple", id="9", name="viewer")
    viewer = {"principal": other, "address": "192.0.2.31", "operation": None}
    mine = {"principal": ADMIN, "address": "192.0.2.17"}
    rows = [
        event(12, "operation.succeeded", "Every component runs revision 7", state="SUCCEEDED"),
        event(11, "component.verified", "heartbeat seen", component="dag-processor"),
        event(10, "component.restarted", "told to use revision 7", component="scheduler"),
        event(
            9,
            "operation.accepted",
            "The plan was accepted",
            state="ACCEPTED",
            details={"before": "pyarrow~=16.1", "after": "pyarrow~=17.0", "token": "used"},
            **mine,
        ),
        event(8, "operation.planned", "update pyarrow~=17.0", state="PLANNED", **mine),
        event(7, "access.refused", "viewer lacks the permission package_manager:plan", **viewer),
        event(6, "operation.refused", "These requirements cannot be installed together", state="REFUSED", **mine),
    ]
    for index, row in enumerate(rows):
        row.at = NOW - timedelta(minutes=7 * index + 3)
    return rows
