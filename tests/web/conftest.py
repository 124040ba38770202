import pytest

from tests.web.house import FRAMEWORKS, House


@pytest.fixture(params=FRAMEWORKS)
def house(request: pytest.FixtureRequest) -> House:
    return House(framework=request.param)
