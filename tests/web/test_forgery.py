import pytest

from airflow_package_manager.errors import CrossOrigin, CsrfFailed
from airflow_package_manager.web.forgery import is_bearer, require_own_origin

MARKER = {"x-package-manager": "1"}
BEARER = {"authorization": "Bearer abc.def.ghi"}
BASE = "https://airflow.example.com/team"


@pytest.mark.parametrize(
    ("headers", "base_url"),
    [
        ({"sec-fetch-site": "same-origin"}, None),
        ({"sec-fetch-site": "same-origin", "origin": "https://airflow.example.com"}, BASE),
        ({"origin": "https://airflow.example.com"}, BASE),
        ({"origin": "https://airflow.example.com:443"}, BASE),
        ({"origin": "http://10.0.0.5:8080", "host": "10.0.0.5:8080"}, None),
        ({"origin": "http://10.0.0.5:8080", "host": "10.0.0.5:8080"}, BASE),
        ({"origin": "https://AIRFLOW.example.com", "host": "airflow.example.com"}, None),
        ({"origin": "http://[::1]:8080", "host": "[::1]:8080"}, None),
        (BEARER, None),
        ({"authorization": "bearer x"}, BASE),
    ],
)
def test_our_own_page_and_programs_pass(headers: dict[str, str], base_url: str | None) -> None:
    require_own_origin({**headers, **MARKER}, base_url, by_header=is_bearer(headers), scheme="http")


@pytest.mark.parametrize(
    ("headers", "base_url"),
    [
        ({"sec-fetch-site": "cross-site"}, None),
        ({"sec-fetch-site": "same-site"}, None),
        ({"sec-fetch-site": "none"}, None),
        ({"sec-fetch-site": ""}, None),
        ({"sec-fetch-site": "same-origin, cross-site"}, None),
        ({"sec-fetch-site": "cross-site", **BEARER}, None),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, None),
        ({"origin": "null", **BEARER}, BASE),
        ({"origin": "https://evil.example.com", "host": "airflow.example.com"}, BASE),
        ({"origin": "https://evil.example.com", "host": "airflow.example.com", **BEARER}, BASE),
        ({"origin": "http://airflow.example.com"}, BASE),
        ({"origin": "http://airflow.example.com", "host": "airflow.example.com"}, BASE),
        ({"origin": "http://airflow.example.com:8080", "host": "airflow.example.com:8080"}, BASE),
        ({"origin": "https://airflow.example.com.evil.example.com"}, BASE),
        ({"origin": "https://airflow.example.com@evil.example.com"}, BASE),
        ({"origin": "http://10.0.0.5:8080", "host": "10.0.0.5:8081"}, None),
        ({"origin": "http://10.0.0.5", "host": "10.0.0.5:8080"}, None),
        ({"origin": "http://x:99999", "host": "x"}, None),
        ({"origin": "file://"}, None),
        ({"origin": ""}, BASE),
        ({"origin": "https://airflow.example.com, https://evil.example.com"}, BASE),
        ({}, None),
        ({}, BASE),
        ({"authorization": "Basic dTpw"}, None),
        ({"authorization": "Bearer "}, None),
    ],
)
def test_whatever_another_site_can_make_a_browser_send_is_refused(
    headers: dict[str, str], base_url: str | None
) -> None:
    with pytest.raises(CrossOrigin):
        require_own_origin({**headers, **MARKER}, base_url, by_header=is_bearer(headers), scheme="http")


@pytest.mark.parametrize("base_url", [None, BASE, "http://10.0.0.5:8080"])
def test_where_https_brought_the_request_no_page_without_it_is_ours(base_url: str | None) -> None:
    here = {**MARKER, "host": "10.0.0.5:8443"}
    require_own_origin({**here, "origin": "https://10.0.0.5:8443"}, base_url, by_header=False, scheme="https")
    with pytest.raises(CrossOrigin):
        require_own_origin({**here, "origin": "http://10.0.0.5:8443"}, base_url, by_header=False, scheme="https")


def test_a_proxy_that_hides_https_from_us_still_has_our_page_behind_it() -> None:
    hidden = {**MARKER, "host": "airflow.example.com"}
    for base_url in (None, BASE, "http://airflow:8080"):
        require_own_origin(
            {**hidden, "origin": "https://airflow.example.com"}, base_url, by_header=False, scheme="http"
        )


@pytest.mark.parametrize("marker", [{}, {"x-package-manager": "0"}, {"x-package-manager": "1, 1"}])
@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, BEARER])
def test_the_header_that_only_our_own_senders_know_is_wanted_from_all(
    headers: dict[str, str], marker: dict[str, str]
) -> None:
    with pytest.raises(CsrfFailed):
        require_own_origin({**headers, **marker}, None, by_header=is_bearer(headers), scheme="http")
