import threading

import pytest

from airflow_package_manager.background import Background


def test_a_key_at_work_is_not_started_again_and_can_be_afterwards() -> None:
    go_on, done = threading.Event(), threading.Event()
    seen: list[str] = []

    def work(key: str) -> None:
        seen.append(key)
        go_on.wait(5)
        done.set()

    background = Background("test", work)
    for _ in range(50):
        background.soon("a")
    go_on.set()
    assert done.wait(5)
    background.join(5)
    assert seen == ["a"]
    background.soon("a")
    background.join(5)
    assert seen == ["a", "a"]


def test_an_unexpected_error_is_logged_and_ends_one_key_only(caplog: pytest.LogCaptureFixture) -> None:
    def work(key: str) -> None:
        raise RuntimeError(f"broken {key}")

    background = Background("test", work)
    background.soon("a")
    background.join(5)
    background.soon("b")
    background.join(5)
    assert "broken a" in caplog.text
    assert "broken b" in caplog.text
