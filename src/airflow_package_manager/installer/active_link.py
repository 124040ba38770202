"""The link by which the main container of a pod finds the site that its installer made."""

from __future__ import annotations

import os
from pathlib import Path


def point(active: Path, site: Path | None, root: Path) -> None:
    """Let `active` lead to the site, atomically; None: there is no link any more. Raises `OSError`.

    Within the installer's own directory `root` the link is relative, so that the main container may mount the volume
    somewhere else; from anywhere else it is absolute.
    """
    if site is None:
        active.unlink(missing_ok=True)
        return
    target = os.path.relpath(site, active.parent) if active.is_relative_to(root) else str(site)
    if active.is_symlink() and str(active.readlink()) == target:
        return
    active.parent.mkdir(parents=True, exist_ok=True)
    # In a volume that pods share each of them may be process 1.
    fresh = active.with_name(f"{active.name}.{os.urandom(8).hex()}")
    fresh.symlink_to(target)
    try:
        fresh.replace(active)
    except OSError:
        fresh.unlink()
        raise
