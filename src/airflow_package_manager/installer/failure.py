"""The one exception inside the installer: why a lock cannot be installed."""

from __future__ import annotations


class InstallFailure(Exception):
    """The lock cannot be installed; becomes a FAILED report."""

    def __init__(self, code: str, cause: str, *, tail: str | None = None, retryable: bool = False) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.tail = tail
        self.retryable = retryable
