"""Scripted misfortune, shared by the fakes: an error in place of an effect, a lost answer, a kill between two."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


class Killed(BaseException):
    """The process died here: nothing may catch it, as nothing catches SIGKILL."""


class Faults:
    """What goes wrong, and where; every effect of a fake goes through `around`."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._before: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._after: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._boundaries_left: int | None = None
        self._hooks: defaultdict[str, deque[Callable[[], object]]] = defaultdict(deque)
        self.effects: list[str] = []
        """Every effect that happened, in order, for example ``store.write``."""
        self.suffered = 0
        """Errors raised and hands that acted meanwhile, so far; a test may set it back."""

    def fail(self, effect: str, error: BaseException, *, times: int = 1) -> None:
        """Raise in place of the next `times` such effects."""
        with self._guard:
            self._before[effect].extend([error] * times)

    def lose_answer(self, effect: str, error: BaseException) -> None:
        """Do the next such effect, then raise all the same."""
        with self._guard:
            self._after[effect].append(error)

    def meanwhile(self, effect: str, action: Callable[[], object]) -> None:
        """Let somebody else act right before the next such effect."""
        with self._guard:
            self._hooks[effect].append(action)

    def kill_after(self, boundaries: int | None) -> None:
        """Die at the n-th boundary from now (each effect has one before and one after it); None: live on."""
        with self._guard:
            self._boundaries_left = boundaries

    def heal(self) -> None:
        """Forget all that was scripted."""
        with self._guard:
            self._before.clear()
            self._after.clear()
            self._hooks.clear()
            self._boundaries_left = None

    def around(self, effect: str, act: Callable[[], Answer], *, deadly: bool = True) -> Answer:
        """Do one effect, or suffer what was scripted for it; `deadly`: a process may die right before and after."""
        if deadly:
            self._boundary()
        with self._guard:
            hook = self._hooks[effect].popleft() if self._hooks[effect] else None
            error = self._before[effect].popleft() if self._before[effect] else None
            self.suffered += (hook is not None) + (error is not None)
        if hook is not None:
            hook()
        if error is not None:
            raise error
        answer = act()
        with self._guard:
            self.effects.append(effect)
            error = self._after[effect].popleft() if self._after[effect] else None
            self.suffered += error is not None
        if deadly:
            self._boundary()
        if error is not None:
            raise error
        return answer

    def _boundary(self) -> None:
        with self._guard:
            if self._boundaries_left is None:
                return
            self._boundaries_left -= 1
            if self._boundaries_left <= 0:
                self._boundaries_left = None
                raise Killed
