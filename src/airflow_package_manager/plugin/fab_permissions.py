"""What a role of Flask-AppBuilder needs; two names and no import, so that nothing can keep Airflow from making them."""

from __future__ import annotations

RESOURCE = "Package Management"
"""What the permissions are on. Not the name of the menu entry: Flask-AppBuilder would take `menu_access` on it from
every role at each start."""
READ, CHANGE = "can_read", "can_edit"
"""The actions, in Flask-AppBuilder's own words so that Airflow's roles editor shows them."""
