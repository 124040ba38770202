"""What stands at our address when the package manager could not start: an honest page, and a problem for programs.

It needs no settings, no database and no permission, and tells nothing but that the log has the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_package_manager.errors import PackageManagerError
from airflow_package_manager.web import pages, problems

STATUS = 503
HEADERS: Mapping[str, str] = dict(pages.HEADERS)


def answer(path: str) -> tuple[bytes, str]:
    """Return content and media type for an address below ours."""
    error = PackageManagerError(
        "The package manager could not start with this web server. Airflow itself runs without it.",
        next_action="Look for 'The package manager cannot start' in the web server's log, correct it, and restart it.",
    )
    if path == "":
        return pages.refusal(error), "text/html; charset=utf-8"
    return problems.to_json({**problems.problem(error), "status": STATUS}), problems.MEDIA_TYPE
