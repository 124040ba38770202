"""Cannot be imported until good-package is installed."""

import good_package

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False)
def needs_good_package():
    @task
    def use() -> str:
        return str(good_package.__name__)

    use()


needs_good_package()
