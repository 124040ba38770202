"""Runs for a minute, so that a restart happens under it."""

import time

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False)
def sleeps():
    @task(retries=0)
    def sleep() -> str:
        time.sleep(60)
        return "awake"

    sleep()


sleeps()
