"""What may be shown of a text that may hold an address with credentials; standard library only."""

from __future__ import annotations

import re

_USER_OF_ADDRESS = re.compile(r"(?<=://)[^\s@/:]*(?::\S*)?@")
_SECRET_OF_QUERY = re.compile(r"([?&][^=&\s]*(?:token|password|secret|key|auth)[^=&\s]*=)[^&\s#]+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return the text with user, password and tokens of every address in it masked."""
    return _SECRET_OF_QUERY.sub(r"\1****", _USER_OF_ADDRESS.sub("****@", text))
