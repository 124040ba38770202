"""One machine: the store in a directory, the rollout by supervisors that watch it. No Airflow, no SQL."""
