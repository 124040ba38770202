"""Airflow's name for this process: pods of a node that use its network would all have the node's name."""

from __future__ import annotations

import os


def of_this_pod() -> str:
    """Return the pod's name."""
    return os.environ["POD_NAME"]
