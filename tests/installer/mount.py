"""A ConfigMap as the kubelet mounts it: every key a link through `..data`, which is swapped by a rename."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from airflow_package_manager.domain.lock import Lock

_numbers = itertools.count()


class Mount:
    """The directory of one mounted ConfigMap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: dict[str, str] = {}
        folder.mkdir()
        self.write({})

    def write(self, keys: dict[str, str]) -> None:
        """Show these keys, as the kubelet does after the ConfigMap changed."""
        self.keys = dict(keys)
        data = self.folder / "..data"
        before = data.readlink() if data.is_symlink() else None
        fresh = self.folder / f"..2026_{next(_numbers)}"
        fresh.mkdir()
        for name, text in keys.items():
            (fresh / name).write_text(text)
        swap = self.folder / "..data_tmp"
        swap.symlink_to(fresh.name)
        swap.replace(data)
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in keys:
                path.unlink()
        for name in keys:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        if before is not None:
            shutil.rmtree(self.folder / before)

    def stage(self, lock: Lock, revision: int, *, current: int | None = None) -> Lock:
        """Add a lock, and move `current`."""
        placed = lock.with_revision(revision)
        keys = {**self.keys, f"lock.{revision}": placed.render()}
        self.write({**keys, "current": f"{current}\n"} if current is not None else keys)
        return placed

    def without(self, *names: str) -> None:
        """Lose keys."""
        self.write({name: text for name, text in self.keys.items() if name not in names})
