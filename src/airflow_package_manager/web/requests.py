"""What comes in: strict models, unknown fields are refused by name.

Bodies are JSON values and therefore strict (`"1"` is no number); queries are text and are converted.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

MAXIMUM_CHANGES = 100
MAXIMUM_REQUIREMENT = 1_000
MAXIMUM_FILE = 1_048_576
"""Characters of a whole requirements file."""
MAXIMUM_LINES = 5_000
"""Lines of a whole requirements file, those joined by a backslash counted once; reading one takes up to 25 µs."""
MAXIMUM_PAGE = 200
"""Rows of one page of history, events or audit."""
MAXIMUM_NUMBER = 999_999_999

Text = Annotated[str, Field(max_length=MAXIMUM_REQUIREMENT)]


def _few_lines(text: str) -> str:
    joined = text.count("\\\n") + text.count("\\\r")
    if len(text.splitlines()) - joined > MAXIMUM_LINES:
        raise PydanticCustomError("too_many_lines", "A file has at most {lines} lines", {"lines": MAXIMUM_LINES})
    return text


class Request(BaseModel):
    """The root of what comes in."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ChangeRequest(Request):
    """One project to add, update or remove."""

    action: Literal["add", "update", "remove"]
    requirement: Text


class OperationRequest(Request):
    """Exactly one of `changes`, `requirements`, `restore`."""

    changes: Annotated[list[ChangeRequest], Field(max_length=MAXIMUM_CHANGES)] | None = None
    requirements: Annotated[str, Field(max_length=MAXIMUM_FILE), AfterValidator(_few_lines)] | None = None
    restore: Annotated[int, Field(ge=0, le=MAXIMUM_NUMBER)] | None = None
    acknowledge: Annotated[list[Text], Field(max_length=1000)] = []


class ApplyRequest(Request):
    """The token that was shown once, and the digest of the plan that was seen."""

    token: Annotated[str, Field(max_length=200)]
    digest: Annotated[str, Field(max_length=64)]


class CancelRequest(Request):
    """Nothing to say."""


class Query(BaseModel):
    """The root of what comes in behind the question mark; text is converted to numbers."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(Query):
    """Nothing."""


class PackagesQuery(Query):
    """Which rows of the inventory."""

    scope: Literal["all", "managed", "requested", "locked", "image"] = "all"
    q: Annotated[str, Field(max_length=200)] = ""
    """Part of the name or the summary, in any case of letters."""


class HistoryQuery(Query):
    """One page, newest first; `before` is the cursor that the page before it gave as `next`."""

    before: Annotated[str, Field(pattern=r"^[0-9A-Za-z._:-]{1,100}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=MAXIMUM_PAGE)] = 50


class EventsQuery(Query):
    """What came after the sequence number seen last."""

    after: Annotated[int, Field(ge=0, le=MAXIMUM_NUMBER)] = 0
    limit: Annotated[int, Field(ge=1, le=MAXIMUM_PAGE)] = MAXIMUM_PAGE


class AuditQuery(Query):
    """One page of the record, newest first."""

    before: Annotated[int, Field(ge=0, le=2**62)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAXIMUM_PAGE)] = 50


class RevisionQuery(Query):
    """Compare with another revision."""

    diff: Annotated[int, Field(ge=0, le=MAXIMUM_NUMBER)] | None = None
