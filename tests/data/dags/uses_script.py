"""Its task calls a console script of an installed package, as a shell command would."""

import subprocess

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False)
def uses_script():
    @task
    def call() -> str:
        return subprocess.run(["good-script"], capture_output=True, text=True, check=True).stdout

    call()


uses_script()
