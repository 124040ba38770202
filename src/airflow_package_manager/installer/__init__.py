"""What runs inside each component: installer, gate, preflight check, supervisor, and the directory they share.

Imports `domain.lock`, `domain.report`, `uv_command`, `settings`, `errors` and the standard library only, because it
must work where a bad package broke everything else. Never airflow, kubernetes, sqlalchemy or packaging.
"""
