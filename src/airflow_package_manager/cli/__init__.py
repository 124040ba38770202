"""The command line: the same use cases, rules and codes as the HTTP API, for a terminal and for scripts.

Parsing and printing only. `run` and `standalone` import nothing but the installer's room, so that a bad package
cannot disable its own rescue; every other command imports Airflow when it is called, not before.
"""
