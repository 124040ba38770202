"""A refusal as text: cause, what was found, next action. Standard library only: `run` needs it too."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping


def problem(body: Mapping[str, object]) -> str:
    """Return the lines of a problem body (RFC 9457 members and the context of its code)."""
    lines = [f"{body.get('title', '')}: {body.get('detail', '')}"]
    for key in ("violations", "causes", "lines"):
        rows = body.get(key)
        if isinstance(rows, list):
            lines += [f"  {line}" for row in rows if isinstance(row, dict) for line in _row(row)]
    for key in ("acknowledgements", "suggestions", "available", "allowed"):
        names = body.get(key)
        if isinstance(names, list) and names:
            lines.append(f"  {key}: " + ", ".join(map(str, names)))
    if isinstance(body.get("operation"), str):
        lines.append(f"  operation: {body['operation']}")
    for key in ("difference", "resolver"):
        text = body.get(key)
        if isinstance(text, str):
            lines += [f"  {line}" for line in text.splitlines()]
    lines.append(f"Next: {body.get('next_action', '')}")
    lines += [f"  {command}" for command in commands(body)]
    names = body.get("acknowledgements")
    if body.get("code") == "acknowledgement-required" and isinstance(names, list):
        lines.append("Add:  " + " ".join(f"--acknowledge {shlex.quote(str(name))}" for name in names))
    return "\n".join(lines)


def commands(body: Mapping[str, object]) -> list[str]:
    """Return what a person may type to bring components back by hand."""
    found = body.get("commands")
    return [str(command) for command in found] if isinstance(found, list) else []


def problem_json(body: Mapping[str, object]) -> str:
    """Return the problem as the HTTP API sends it."""
    from airflow_package_manager.web.problems import stored_problem  # noqa: PLC0415  text needs no pydantic

    return json.dumps(stored_problem(body), indent=2)


def _row(row: Mapping[str, object]) -> Iterable[str]:
    said = str(row.get("message") or row.get("reason") or "")
    number = row.get("number")
    yield f"line {number}: {said}" if isinstance(number, int) else said
    if row.get("next_action"):
        yield f"  {row['next_action']}"
