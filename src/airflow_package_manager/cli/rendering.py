"""Domain values as text for a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from airflow_package_manager.cli.problem import commands
from airflow_package_manager.domain.inventory import CheckStatus, Inventory, PackageDetail, PackageRow, Source
from airflow_package_manager.domain.operation import Event, Operation, expired
from airflow_package_manager.domain.plan import Effect, Plan
from airflow_package_manager.domain.planning import text_difference
from airflow_package_manager.domain.rollout import ComponentStatus, Instance, Stamp

_SIGN = {
    Effect.NEW: "+",
    Effect.UPGRADED: "↑",
    Effect.DOWNGRADED: "↓",
    Effect.REMOVED: "-",
    Effect.UNCHANGED_IMAGE: "=",
}
_MARK = {CheckStatus.OK: "ok", CheckStatus.WARNING: "WARNING", CheckStatus.FAILED: "FAILED", CheckStatus.UNKNOWN: "?"}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return columns aligned by spaces, the header in capitals."""
    lines = [[cell.upper() for cell in header], *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def moment(at: float | None) -> str:
    """Return Unix seconds as local time, to the second."""
    return "" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def inventory(found: Inventory) -> str:
    """Return one line per project, a column per component, then what else should be known."""
    rows = [
        [row.name, row.requested or "", row.locked or "", row.image or "", _installed(row), " ".join(row.badges)]
        for row in found.rows
    ]
    parts = [table(["name", "requested", "locked", "image", "installed", "badges"], rows) if rows else "No packages."]
    parts += [
        f"line {line.number} is kept but never used ({line.kind.value}): {line.text}" for line in found.kept_lines
    ]
    if found.edited_by_hand:
        parts.append("The file was edited outside the package manager: 'plan --file' with the same text adopts it.")
    parts.append("revision: " + ("none yet" if found.revision is None else str(found.revision)))
    return "\n".join(parts)


def package(detail: PackageDetail) -> str:
    """Return one project whole."""
    row = detail.row
    lines = [
        f"{row.name}  {row.summary}".rstrip(),
        f"requested    {row.requested or '-'}",
        f"locked       {row.locked or '-'}",
        f"image        {row.image or '-'}",
        f"installed    {_installed(row) or '-'}",
        f"required by  {', '.join(row.required_by) or '-'}",
        f"requires     {', '.join(detail.requires) or '-'}",
    ]
    if detail.project is None:
        lines.append(f"releases     unknown: {detail.index_problem}")
    else:
        releases = []
        for release in detail.project.releases[:15]:
            marks = ["yanked"] if release.yanked is not None else []
            marks += ["no wheel here"] if release.has_wheel is False else []
            releases.append(release.version + (f" ({', '.join(marks)})" if marks else ""))
        lines.append(
            f"releases     {', '.join(releases)}" + (" …" if len(detail.project.releases) > len(releases) else "")
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return whole seconds as people say them, as the page does, for example ``29 min`` or ``1 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or "0 s"


def plan(planned: Plan) -> str:
    """Return a plan as a difference that people understand."""
    lines = ["Packages:"]
    for change in planned.package_changes:
        move = " → ".join(version for version in (change.before, change.after) if version) or "?"
        notes = ["direct"] if change.direct else []
        notes += [f"shadows the image's {change.image_version}"] if change.shadows else []
        notes += [f"required by {', '.join(change.required_by)}"] if change.required_by and not change.direct else []
        text = f"  {_SIGN[change.effect]} {change.name} {move}  {change.effect.value}"
        lines.append(text + (f"  ({'; '.join(notes)})" if notes else ""))
    difference = text_difference(planned.base_text, planned.proposed_text)
    if difference:
        lines += ["requirements.txt:", *(f"  {line}" for line in difference.splitlines())]
    if planned.components:
        times = [] if planned.usual_seconds is None else [f"usually about {duration(planned.usual_seconds)}"]
        times += [] if planned.longest_seconds is None else [f"at most {duration(planned.longest_seconds)}"]
        lines.append("Restarts, one after another: " + ", ".join(planned.components))
        lines[-1] += f" ({', '.join(times)})" if times else ""
        lines += planned.tasks
        if planned.longest_seconds is not None:
            lines.append(
                "If one does not come back well, everything goes back by itself, which may take as long again."
            )
    else:
        lines.append("Restarts nothing.")
    lines += [f"Warning: {warning.message}" for warning in planned.warnings]
    return "\n".join(lines)


def operation(found: Operation, now: float) -> str:
    """Return how one operation stands."""
    state = found.state.value + (" (expired)" if expired(found, now) else "")
    lines = [
        f"operation  {found.id}",
        f"state      {state}" + (f": {found.step}" if found.step else ""),
        f"asked      {found.summary}",
        f"by         {found.owner.name} at {moment(found.created_at)}",
    ]
    if found.revision is not None:
        lines.append(f"revision   {found.revision}")
    if found.plan_digest:
        lines.append(f"digest     {found.plan_digest}")
    if found.problem:
        lines.append(f"reason     {found.problem.get('detail', '')}")
        lines.append(f"next       {found.problem.get('next_action', '')}")
        lines += [f"           {command}" for command in commands(found.problem)]
    return "\n".join(lines)


def history(found: Sequence[Operation]) -> str:
    """Return one line per operation."""
    rows = [
        [
            one.id,
            "" if one.revision is None else str(one.revision),
            one.state.value,
            moment(one.created_at),
            one.owner.name,
            one.summary,
        ]
        for one in found
    ]
    return table(["operation", "revision", "state", "at", "by", "asked"], rows) if rows else "No operations yet."


def components(found: Sequence[tuple[Stamp, ComponentStatus]], now: float) -> str:
    """Return one line per component, then one per instance; `now` in Unix seconds."""
    rows = []
    for stamp, status in found:
        said = [status.message.partition("\n")[0]]
        said += ["no package's fault"] if status.infrastructure else []
        said += [f"not verified: {status.unverified}"] if status.unverified else []
        rows.append([status.name, status.status.value, _revision(stamp.revision), "", "", "", "; ".join(said)])
        rows += [_instance(one, now) for one in status.instances]
    header = ["component", "status", "stamp", "instance", "node", "age", "message"]
    return table(header, rows) if rows else "No components are known."


def _instance(one: Instance, now: float) -> list[str]:
    age = "" if one.started_at is None else short_age(now - one.started_at)
    said = [part for part in (one.reason, one.message.partition("\n")[0]) if part]
    if one.install_cause and one.install_cause not in one.message:
        said.append(one.install_cause)
    said += [f"{one.restarts} restarts"] if one.restarts else []
    return ["", one.status.value, _revision(one.stamp), one.name, one.node or "", age, "; ".join(said)]


def short_age(seconds: float) -> str:
    """Return seconds as the largest unit that fits, the way kubectl shows an age."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def event(found: Event) -> str:
    """Return one line of progress."""
    where = f" {found.component}:" if found.component else ""
    return f"{moment(found.at)}{where} {found.message}"


def checks_mark(status: CheckStatus) -> str:
    """Return the word that stands before a check."""
    return _MARK[status]


def _installed(row: PackageRow) -> str:
    words = {cell.component: cell.version or ("?" if cell.source is Source.UNKNOWN else "-") for cell in row.installed}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return " ".join(f"{component}={version}" for component, version in words.items())


def _revision(stamp: int | None) -> str:
    return "" if stamp is None else str(stamp)
