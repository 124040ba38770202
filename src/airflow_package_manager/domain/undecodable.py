"""Bytes of a file that are no UTF-8: one lone surrogate each (PEP 383) while we hold them, U+FFFD where they go out.

The file is written back byte for byte; no JSON reader, database or terminal takes half of a surrogate pair.
"""

from __future__ import annotations

import re
from collections import defaultdict

_BYTE = re.compile(r"[\udc80-\udcff]")
_HALF = re.compile(r"[\ud800-\udfff]")


def readable(text: str) -> str:
    """Return the text as it may go out: with the replacement character for each half of a surrogate pair."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def without_bytes(text: str) -> str:
    """Return the text without the bytes that are no UTF-8."""
    return text if text.isascii() else _BYTE.sub("", text)


def byte_of(character: str) -> int | None:
    """Return the byte that a character stands for, None for any other character."""
    return ord(character) - 0xDC00 if _BYTE.fullmatch(character) else None


def given_back(text: str, base: str) -> str:
    """Return `text` with its bytes again in each line that is a line of `base` as `readable` shows it.

    Whoever was shown a file and sends it back has not touched the lines that look the same.
    """
    lost: dict[str, list[str]] = defaultdict(list)
    for line in base.splitlines():
        if _BYTE.search(line):
            lost[readable(line)].append(line)
    if not lost:
        return text
    lines = []
    for line in text.splitlines(keepends=True):
        body = line.splitlines()[0]
        same = lost.get(body)
        lines.append(same.pop(0) + line[len(body) :] if same else line)
    return "".join(lines)
