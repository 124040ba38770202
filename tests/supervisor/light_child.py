"""A child that behaves as its site says: `light_child.py LOG [COMMAND…]`.

The site's file `behaviour` holds words: exit=N (at once), exit-after=SECONDS, ignore-term, task=SECONDS (a
grandchild, as LocalExecutor has them; `task=told` ends when the test says so), idle=TITLE (another one, which calls
itself airflow TITLE -- LocalExecutor and never ends), answer=PORT (an HTTP answer). LOG gets one line per event.
"""

from __future__ import annotations

import http.server
import os
import signal
import sys
import threading
import time
from pathlib import Path

LOG = Path(sys.argv[1])
SITE = os.environ["AIRFLOW_PACKAGE_MANAGER_SITE"]


def log(event: str) -> None:
    with LOG.open("a") as stream:
        stream.write(f"{event} {os.getpid()} {Path(SITE).name}\n")


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    words = dict(word.partition("=")[::2] for word in behaviour().split())
    stopping = threading.Event()
    for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        signal.signal(signum, lambda number, _: log(signal.Signals(number).name))
    log("start")
    if "exit" in words:
        return int(words["exit"])
    task = run_task(words["task"]) if "task" in words else None
    if "idle" in words:
        wait_for_ever(words["idle"])
    if "ignore-term" in words:
        signal.signal(signal.SIGTERM, lambda *_: log("SIGTERM"))
    else:
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    if "answer" in words:
        server = http.server.HTTPServer(("127.0.0.1", int(words["answer"])), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    until = time.monotonic() + float(words.get("exit-after", 1000))
    while not stopping.wait(0.02) and time.monotonic() < until:
        pass
    if not stopping.is_set():
        log("gave up")
        return 9
    log("SIGTERM")
    if task is not None:
        os.waitpid(task, 0)
    log("end")
    return int(words.get("status", 0))


def behaviour() -> str:
    file = Path(SITE) / "behaviour"
    return file.read_text() if file.exists() else os.environ.get("LIGHT_BEHAVIOUR", "")


def run_task(length: str) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log("task begins")
        if length != "told":
            time.sleep(float(length))
        while length == "told" and not LOG.with_name("tasks-may-end").exists():
            time.sleep(0.02)
        log("task done")
        os._exit(0)
    return pid


def wait_for_ever(title: str) -> None:
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        reading, writing = os.pipe()
        os.dup2(reading, 0)
        os.set_inheritable(writing, True)  # noqa: FBT003  its only writer is itself, so it waits for ever
        log("idles")
        os.execv("/bin/cat", [f"airflow {title} -- LocalExecutor"])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
