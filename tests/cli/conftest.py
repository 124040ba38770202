import pytest

from tests.cli.desk import Desk
from tests.fakes.application import Application

TEXT = "six==1.0  # pinned\n"


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("AIRFLOW_PACKAGE_MANAGER_TOKEN", raising=False)
    return Desk(Application(TEXT, at_once=True), capsys, monkeypatch)


@pytest.fixture
def idle(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk in a house where nobody plans and nobody drives."""
    found = Desk(Application(TEXT), capsys, monkeypatch)
    found.drive = found.house.driven.append
    return found
