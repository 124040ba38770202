"""What is printed: text from elsewhere (an index, a file, a log) must not steer the terminal that shows it.

Standard library only: `run` needs it too.
"""

from __future__ import annotations

import io
import re
import sys

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, what turns the direction of text, and half surrogate pairs."""


def plain(text: str) -> str:
    """Return the text with each character that a terminal would obey spelled out."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def say(text: str) -> None:
    """Write lines to standard output, at once."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()


def say_json(text: str) -> None:
    """Write JSON to standard output, at once: what `plain` spells out is escaped so that it stays the same JSON."""
    say(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def tell(text: str) -> None:
    """Write lines to standard error: what is no answer."""
    sys.stderr.write(plain(text) + "\n")
    sys.stderr.flush()


def accept_any_encoding() -> None:
    """Let a terminal that cannot show a character get its number instead of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
