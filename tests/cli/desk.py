"""Somebody at a keyboard: the command line over the whole house on fakes, with its answers caught."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_package_manager.cli.application import Application as CommandApplication
from airflow_package_manager.cli.main import main
from airflow_package_manager.domain.access import Identity, Permission, Principal
from tests.fakes.application import Application

ME = Principal(Identity("cli", "ada@host", "cli:ada@host"), frozenset(Permission), None)


@dataclass(frozen=True)
class Said:
    """What one command ended with."""

    status: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401  that is JSON
        return json.loads(self.out)


class Keyboard(io.StringIO):
    """Standard input; a terminal, or a pipe."""

    def __init__(self, text: str, *, terminal: bool) -> None:
        super().__init__(text)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Interrupted(Keyboard):
    """A terminal at which Ctrl-C is pressed instead of an answer."""

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]  # as io.StringIO itself
        raise KeyboardInterrupt


class Desk:
    """Runs commands, one after another, on the same house."""

    def __init__(
        self,
        house: Application,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.house = house
        self.sleep: Callable[[float], None] = house.clock.sleep
        self.drive: Callable[[str], None] = house.drive
        self.opened: list[bool] = []
        """Of each opened application, whether it drives."""
        self.stopped = 0
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(
        self, *words: str, typed: str | None = None, piped: str = "", keyboard: Keyboard | None = None
    ) -> Said:
        """Run one command; `typed` at a terminal, `piped` without one."""
        chosen = keyboard or Keyboard(piped if typed is None else typed, terminal=typed is not None)
        self._monkeypatch.setattr("sys.stdin", chosen)
        self._capsys.readouterr()
        try:
            status = main(words, opened=self._open)
        except SystemExit as error:  # argparse's way to end
            status = error.code if isinstance(error.code, int) else 1
        out, err = self._capsys.readouterr()
        return Said(status, out, err)

    def _open(self, *, drive: bool) -> CommandApplication:
        self.opened.append(drive)
        return CommandApplication(
            manager=self.house.manager,
            principal=ME,
            planning_deadline=120,
            drive=self.drive,
            close=self._close,
            clock=self.house.clock,
            sleep=self.sleep,
        )

    def _close(self, _seconds: float) -> None:
        self.stopped += 1
