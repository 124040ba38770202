"""What Airflow can run, by the names under which people know it; standard library only, as the settings need it."""

SCHEDULER = "scheduler"
WORKER = "worker"
TRIGGERER = "triggerer"
DAG_PROCESSOR = "dag-processor"
WEB_SERVERS = ("api-server", "webserver")
"""Airflow 3's and Airflow 2's; one machine has one of them."""
COMPONENTS = (SCHEDULER, WORKER, TRIGGERER, DAG_PROCESSOR, *WEB_SERVERS)
"""All, in the default order of a rollout: what executes before what parses, the web server last."""
