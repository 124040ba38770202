"""A refusal as text: cause, what was found, next action. Standard library only: `run` needs it too."""

from __future__ import annotations

from collections.abc import Mapping


def problem(body: Mapping[str, object]) -> str:
    """Return the lines of a problem body (RFC 9457 members and the context of its code)."""
    lines = [f"{body.get('title', '')}: {body.get('detail', '')}"]
    for key in ("violations", "causes", "lines"):
        rows = body.get(key)
        if isinstance(rows, list):
            lines += ["  " + str(row.get("message") or row.get("reason")) for row in rows if isinstance(row, dict)]
    for key in ("acknowledgements", "suggestions", "available"):
        names = body.get(key)
        if isinstance(names, list) and names:
            lines.append(f"  {key}: " + ", ".join(map(str, names)))
    for key in ("difference", "resolver"):
        text = body.get(key)
        if isinstance(text, str):
            lines += [f"  {line}" for line in text.splitlines()]
    lines.append(f"Next: {body.get('next_action', '')}")
    return "\n".join(lines)
