"""The HTTP API and the page: one framework-free endpoint table and one thin adapter per web framework.

Translation only: no Airflow import, no decision, no SQL. The two framework adapters do not know each other.
"""
