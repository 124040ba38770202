import time

import pytest

from airflow_package_manager.domain.requirements import RequirementsFile
from airflow_package_manager.redaction import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:password@packages.example.com/simple", "https://****@packages.example.com/simple"),
        ("https://user@packages.example.com/", "https://****@packages.example.com/"),
        ("https://u:p@ss/w@one.example.com x://v:w@two", "https://****@one.example.com x://****@two"),
        (
            "https://packages.example.com/?a=b?token=x&key=y#z",
            "https://packages.example.com/?a=b?token=****&key=****#z",
        ),
        ("https://packages.example.com/?API_KEY=x", "https://packages.example.com/?API_KEY=****"),
        ("pandas @ team", "pandas @ team"),
        ("user@example.com", "user@example.com"),
    ],
)
def test_credentials_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "?" * 100_000,
        "x?" + "token" * 20_000,
        "?token" * 20_000,
        "://" * 30_000 + "@",
        "://a:b@" + "://a:" * 20_000,
        "x" * 100_000,
        "six" + " " * 100_000 + "x",
        "#" * 50_000 + " " * 50_000,
    ],
    ids=lambda text: text[:6],
)
def test_no_text_keeps_the_reader_busy(text: str) -> None:
    started = time.process_time()
    without_credentials(text)
    RequirementsFile.parse(text)
    assert time.process_time() - started < 1, "one megabyte must not take minutes"
