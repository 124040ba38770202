"""Where people's requests arrive: each line of standard input is one request, answered by a forked process of its own.

A request is a JSON object with `do` and arguments; its answer one JSON line: `{"is": …}`, `{"problem": …}` for what
was refused, or `{"died": signal}`. So each request, and each driver, is a real process that may be killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from airflow_package_manager.background import Background
from airflow_package_manager.domain.access import Identity, Permission, Principal
from airflow_package_manager.domain.operation import ACTIVE, TERMINAL, Operation, State
from airflow_package_manager.domain.plan import Action, Change, ChangeSet
from airflow_package_manager.errors import PackageManagerError
from tests.crash.house import House, build

_POLL = 0.03


def principal(name: str) -> Principal:
    return Principal(Identity("simple", name, name), frozenset(Permission), "127.0.0.1")


def plan(house: House, *, who: str, changes: list[list[str]]) -> dict[str, Any]:
    """Plan, and wait for the answer."""
    wanted = ChangeSet(tuple(Change(Action(action), text) for action, text in changes))
    operation, token = house.manager.plan(principal(who), wanted)
    while operation.state is State.PLANNING:
        time.sleep(_POLL)
        operation = house.repository.get(operation.id)
    return {**_shown(house, operation), "token": token}


def apply(house: House, *, who: str, id: str, token: str, digest: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    return _shown(house, house.manager.apply(principal(who), id, token, digest))


def cancel(house: House, *, who: str, id: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    return _shown(house, house.manager.cancel(principal(who), id))


def look(house: House, *, id: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    return _shown(house, house.repository.get(id))


def drive(house: House, *, id: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    """Drive it, as a command that waits does."""
    return _shown(house, house.driver.run(id))


def resume(house: House, *, id: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    """Adopt what nobody drives, as the command `resume` and the watch do, until it has ended."""
    while house.repository.get(id).state in ACTIVE:
        house.driver.adopt_orphan()
        time.sleep(_POLL)
    return _shown(house, house.repository.get(id))


def progress(house: House, *, id: str, who: str) -> dict[str, Any]:  # noqa: A002 - as in the API
    """Ask for progress, as an open page does, until it has ended: asking alone has it adopted."""
    drives = Background("drive", house.driver.run)
    house.manager._drive_soon = drives.soon
    while house.manager.operation(principal(who), id).state not in TERMINAL:
        time.sleep(_POLL)
    drives.join(10)
    return _shown(house, house.repository.get(id))


def active(house: House) -> str | None:
    found = house.repository.active()
    return None if found is None else found.id


REQUESTS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function for function in (plan, apply, cancel, look, drive, resume, progress, active)
}


def _shown(house: House, operation: Operation) -> dict[str, Any]:
    found = operation.plan
    return {
        "id": operation.id,
        "state": operation.state.value,
        "summary": operation.summary,
        "revision": operation.revision,
        "digest": operation.plan_digest,
        "problem": operation.problem,
        "leased": operation.lease_until is not None,
        "lock_digest": None if found is None else found.lock.digest(),
        "components": None if found is None else found.components,
        "texts": None if found is None else [found.base_text, found.proposed_text],
        "verified": dict(operation.progress.verified),
        "events": [
            dataclasses.asdict(event) for event in house.manager._events.of_operation(operation.id, after=0, limit=1000)
        ],
        "effects": house.accidents.effects,
    }


def _answered(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"is": REQUESTS[request.pop("do")](build(), **request)}
    except PackageManagerError as error:
        return {"problem": error.as_problem()}
    except BaseException:  # noqa: BLE001 - a forked process must not run on into its parent's loop
        return {"broken": traceback.format_exc()}


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answer = json.dumps(_answered(json.loads(line)))
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            sys.stdout.write(json.dumps({"died": os.WTERMSIG(status)}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
