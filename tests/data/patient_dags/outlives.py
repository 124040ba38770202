"""Runs until it is told to go on, and writes down what it can import when it begins and when it ends."""

import importlib.util
import json
import os
import time
from pathlib import Path

from airflow.sdk import dag, task

HOME = Path(os.environ["AIRFLOW_HOME"])


def _write(what: str) -> None:
    found = importlib.util.find_spec("good_package") is not None
    with (HOME / "outlives.jsonl").open("a") as log:
        log.write(json.dumps({"what": what, "pid": os.getpid(), "has_package": found}) + "\n")


@dag(schedule=None, catchup=False)
def outlives():
    @task(retries=0)
    def wait() -> None:
        _write("began")
        end = time.monotonic() + 300
        while not (HOME / "go-on").exists() and time.monotonic() < end:
            time.sleep(0.2)
        _write("ended")

    wait()


outlives()
