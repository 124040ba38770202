"""Manage the Python packages of a running Apache Airflow.

This file holds the version and nothing else: every Airflow process imports it.
"""

__version__ = "0.1.0"
