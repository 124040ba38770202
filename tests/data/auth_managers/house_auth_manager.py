"""An auth manager of the tests: Airflow's published interface, and no to everything but what its users carry.

`HOUSE_AUTH_MANAGER` is the import path under which `Standing` shows itself, so that it stands for an auth manager whose
server we do not have. It asks nobody, and takes `HOUSE_SECONDS` for each answer as one does that asks over the network.
"""

import os
import time

from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


class User(BaseUser):
    """`may` is what the server that is not there would allow: (method, resource)."""

    def __init__(self, name, id=None, may=(), **more):
        self.name, self.id, self.may = name, id or f"id-{name}", [tuple(pair) for pair in may]
        self.more = more
        vars(self).update(more)

    def get_id(self):
        return self.id

    def get_name(self):
        return self.name


class House(BaseAuthManager):
    asked = []
    seconds = float(os.environ.get("HOUSE_SECONDS", "0"))

    def serialize_user(self, user):
        return {"sub": user.id, "name": user.name, "may": user.may, "more": user.more}

    def deserialize_user(self, token):
        return User(token["name"], token["sub"], token["may"], **token["more"])

    def get_url_login(self, **kwargs):
        return "/nowhere"

    def is_authorized_custom_view(self, *, method, resource_name, user):
        self.asked.append((method, resource_name))
        time.sleep(self.seconds)
        if method not in {"GET", "POST", "PUT", "DELETE"}:
            raise RuntimeError(f"the server does not know the method {method}")  # as Keycloak's answers
        return (method, resource_name) in user.may

    def _no(self, **_):
        return False

    is_authorized_configuration = is_authorized_connection = is_authorized_dag = is_authorized_backfill = _no
    is_authorized_asset = is_authorized_asset_alias = is_authorized_pool = is_authorized_variable = _no
    is_authorized_view = is_authorized_team = _no

    def filter_authorized_menu_items(self, menu_items, *, user):
        return []


def standing_for(path):
    """Return the class under another import path."""
    module, _, name = path.rpartition(".")
    return type(name, (House,), {"__module__": module, "__qualname__": name})


Standing = standing_for(os.environ.get("HOUSE_AUTH_MANAGER", f"{__name__}.House"))
