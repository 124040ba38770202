import pytest

from airflow_package_manager.adapters.kubernetes import manifests
from airflow_package_manager.cli.exit_status import STATUS_BY_CODE as EXIT_BY_CODE
from airflow_package_manager.cli.exit_status import STATUS_BY_STATE
from airflow_package_manager.domain.operation import TERMINAL
from airflow_package_manager.domain.reasons import REASONS
from airflow_package_manager.refusals import all_errors
from airflow_package_manager.web.problems import STATUS_BY_CODE
from testenv import reference_docs


def test_every_error_code_has_an_http_status_and_an_exit_status() -> None:
    codes = {error.code for error in all_errors()}
    assert len(codes) == len(all_errors())
    assert set(STATUS_BY_CODE) == codes
    assert set(EXIT_BY_CODE) == codes


def test_every_end_of_an_operation_that_was_accepted_has_an_exit_status() -> None:
    assert {state.value for state in TERMINAL} == {*STATUS_BY_STATE, "REFUSED"}


OF_THE_WORLD = {code for code, status in STATUS_BY_CODE.items() if status == 503}


@pytest.mark.parametrize("code", sorted({*REASONS, *OF_THE_WORLD}))
def test_the_runbook_says_what_to_do_about_each_end(code: str) -> None:
    """The request is not at fault: somebody who runs Airflow looks for the code there."""
    runbook = (reference_docs.DOCS / "runbook.md").read_text(encoding="utf-8")
    rows = [line for line in runbook.splitlines() if line.startswith("|") and f"`{code}`" in line.split("|")[1]]
    assert len(rows) == 1
    seen, done = (cell.strip() for cell in rows[0].split("|")[2:4])
    assert seen
    assert done


@pytest.mark.parametrize("name", sorted(reference_docs.PAGES))
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    written = (reference_docs.DOCS / name).read_text(encoding="utf-8")
    assert written == reference_docs.expected(name), "run `make docs`"
    prose = written.partition(reference_docs.MARKER)[0]
    assert prose.startswith("# ")
    assert len(prose.splitlines()) > 5


@pytest.mark.parametrize("name", [*manifests.FILES, *manifests.FURTHER])
def test_what_we_deploy_is_what_the_command_prints(name: str) -> None:
    assert (reference_docs.MANIFESTS / name).read_text(encoding="utf-8") == reference_docs.expected_manifest(name)
