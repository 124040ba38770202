from __future__ import annotations

from pathlib import Path

import pytest

from airflow_package_manager import settings
from airflow_package_manager.errors import InvalidSetting
from airflow_package_manager.index_access import CREDENTIALS_VARIABLE, Credentials, IndexAccess, index_access

HOME = {"AIRFLOW_HOME": "/nonexistent", "HOME": "/nonexistent"}
PREFIX = settings.ENVIRONMENT_PREFIX


def _access(**environ: str) -> IndexAccess:
    merged = {**HOME, **environ}
    return index_access(settings.load(merged), merged)


def test_without_anything_uv_chooses_the_index_and_nothing_is_secret() -> None:
    access = _access()
    assert access.environment() == {"UV_INDEX_STRATEGY": "first-index"}
    assert access.credentials("https://packages.example.com/simple") is None


def test_credentials_of_the_variable_reach_uv_in_its_environment_only() -> None:
    access = _access(
        **{
            PREFIX + "INDEX_URL": "https://packages.example.com/simple",
            PREFIX + "EXTRA_INDEX_URLS": "https://team.example.com:8443/simple https://open.example.com/simple",
            CREDENTIALS_VARIABLE: "https://me:p%40ss@packages.example.com https://you:word@team.example.com:8443",
        }
    )
    values = access.environment()
    assert values["UV_DEFAULT_INDEX"] == "https://me:p%40ss@packages.example.com/simple"
    assert values["UV_INDEX"] == "https://you:word@team.example.com:8443/simple https://open.example.com/simple"
    assert access.credentials("https://packages.example.com/files/x.whl") == Credentials("me", "p@ss")
    assert access.credentials("https://open.example.com/") is None
    assert "ss" not in repr(access.by_host)
    assert "word" not in repr(access)


def test_a_netrc_file_named_by_the_setting_counts(tmp_path: Path) -> None:
    file = tmp_path / "index.netrc"
    file.write_text("machine packages.example.com login me password hush\n")
    access = _access(**{PREFIX + "INDEX_CREDENTIALS_FILE": str(file)})
    assert access.credentials("https://packages.example.com/simple") == Credentials("me", "hush")
    assert access.environment()["NETRC"] == str(file)


@pytest.mark.parametrize("content", [None, "machine packages.example.com secret hush\n"])
def test_an_unreadable_netrc_file_is_refused_without_quoting_it(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "index.netrc"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidSetting) as refused:
        _access(**{PREFIX + "INDEX_CREDENTIALS_FILE": str(file)})
    assert str(file) in refused.value.detail
    assert "hush" not in f"{refused.value.detail} {refused.value.context}"


@pytest.mark.parametrize("raw", ["packages.example.com", "https://packages.example.com", "https://[x:hush@y"])
def test_a_malformed_variable_is_refused_without_quoting_it(raw: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        _access(**{CREDENTIALS_VARIABLE: raw})
    assert "hush" not in f"{refused.value.detail} {refused.value.context}"


def test_redaction_masks_addresses_and_bare_secrets() -> None:
    access = IndexAccess(by_host={"packages.example.com": Credentials("me", "p@ss/word")})
    text = access.redact("GET https://me:x@other.example.com/simple with p@ss/word or p%40ss%2Fword")
    assert text == "GET https://****@other.example.com/simple with **** or ****"


@pytest.mark.parametrize("address", ["https://t%2Fken@h.example.com", "https://t%2Fken:@h.example.com"])
def test_a_user_that_is_a_token_is_a_secret(address: str) -> None:
    access = _access(**{CREDENTIALS_VARIABLE: address})
    assert access.redact("no t/ken, no t%2Fken") == "no ****, no ****"


def test_a_long_user_beside_a_password_may_be_a_token_and_a_short_one_is_a_name() -> None:
    known = {"a": Credentials("ghp_0123456789abcdef", "x-oauth-basic"), "b": Credentials("me", "hush")}
    text = IndexAccess(by_host=known).redact("ghp_0123456789abcdef for me: hush")
    assert text == "**** for me: ****"


@pytest.mark.parametrize("userinfo", ["user:p@ss", "p@ss", "user:p@ss@", "user:p:w"])
def test_an_address_is_masked_to_its_last_at_sign(userinfo: str) -> None:
    text = f"tunnel error: 'http://{userinfo}@proxy.example.com:3128/' (see https://h/x) and a@b"
    masked = IndexAccess().redact(text)
    assert masked == "tunnel error: 'http://****@proxy.example.com:3128/' (see https://h/x) and a@b"


def test_redaction_of_uv_output_touches_no_other_value() -> None:
    text = '{"url":"https://u:p@h.example.com:8080/x","by":"a@b","at":"https://h.example.com/y@1"}'
    assert IndexAccess.redact_addresses(text) == text.replace("u:p@", "****@")


def test_hosts_of_netrc_are_told_apart_as_hosts_are(tmp_path: Path) -> None:
    file = tmp_path / "index.netrc"
    file.write_text("machine Packages.Example.COM login me password hush\n")
    access = _access(**{PREFIX + "INDEX_CREDENTIALS_FILE": str(file)})
    assert access.credentials("https://packages.example.com/simple") == Credentials("me", "hush")
    assert access.credentials("https://PACKAGES.example.com/simple") == Credentials("me", "hush")
