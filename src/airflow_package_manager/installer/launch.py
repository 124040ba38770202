"""What a child process is before it becomes its command: `python -I -S launch.py PARENT RECORD COMMAND…`.

Runs as a script, alone: it must work before anything of ours can be imported. It asks the kernel to end this process
when its supervisor dies, writes down which process it is (`RECORD`, a path, or ``-``), and becomes the command. So
there is no moment in which a command runs that the next supervisor could not find.

PARENT 0 means detached: a session and a life of its own, whatever becomes of who started it.

The signal is SIGTERM: a scheduler whose supervisor was killed still lets its running tasks finish.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
DETACHED = 0
NOT_FOUND = 127
NOT_EXECUTABLE = 126
PARENT_IS_GONE = 143


def main(arguments: list[str]) -> int:
    """Become the command; return an exit status only where that is not possible."""
    parent, record, command = int(arguments[0]), arguments[1], arguments[2:]
    if parent == DETACHED:
        if os.fork():
            return 0
        os.setsid()
    else:
        _die_with_parent()
        if os.getppid() != parent:  # it died before the kernel could be asked
            return PARENT_IS_GONE
    if record != "-":
        _write_record(record)
    try:
        os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point
    except FileNotFoundError:
        sys.stderr.write(f"airflow-package-manager: {command[0]}: command not found\n")
        return NOT_FOUND
    except OSError as error:
        sys.stderr.write(f"airflow-package-manager: {command[0]}: {error.strerror}\n")
        return NOT_EXECUTABLE


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def _write_record(path: str) -> None:
    """Append our number and start time to the supervisor's record; failing is loud but no reason not to run."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - no pathlib here
            text = stream.read()
        start = text[text.rindex(")") + 2 :].split()[19]
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        try:
            os.write(descriptor, f"child {os.getpid()} {start}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        sys.stderr.write(f"airflow-package-manager: {path} cannot be written: {error.strerror}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
