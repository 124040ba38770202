"""What may be shown of a text that may hold an address with credentials; standard library only.

Takes time that grows with the text and no faster, whatever stands in it: it reads what strangers send.
"""

from __future__ import annotations

import re

_USER_OF_ADDRESS = re.compile(r"(?<=://)[^\s@/:]*(?::\S*)?@")
_WORD_WITH_USER = re.compile(r"(?<!\S)\S*@")
_SECRET_OF_QUERY = re.compile(r"([?&](?=[^=&?\s]*(?:token|password|secret|key|auth))[^=&?\s]*=)[^&\s#]+", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return the text with user, password and tokens of every address in it masked."""
    # Each word up to its last @ by itself: a search that may still hope for one never runs to the end in vain.
    masked = _WORD_WITH_USER.sub(lambda word: _USER_OF_ADDRESS.sub("****@", word[0]), text) if "@" in text else text
    return _SECRET_OF_QUERY.sub(r"\1****", masked)
