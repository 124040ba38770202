"""`python -m testenv.cluster build` builds the programs; `… up` runs a control plane until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import signal
import time
from types import FrameType

from testenv.cluster import build, control_plane


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m testenv.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what is not cached, print where it is")
    building.add_argument("program", nargs="*", help=f"default: {' '.join(build.CONTROL_PLANE)}")
    commands.add_parser("up", help="run a control plane until Ctrl-C")
    arguments = parser.parse_args()
    if arguments.command == "build":
        for path in build.programs(*(arguments.program or build.CONTROL_PLANE)).values():
            print(path)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    begun = time.monotonic()
    with control_plane() as cluster:
        print(f"Ready after {time.monotonic() - begun:.1f} s. Ctrl-C ends it.\nexport KUBECONFIG={cluster.kubeconfig}")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
