"""Names of users as others send them: what can be none is refused before anybody looks it up or repeats it."""

from __future__ import annotations

from medserver.errors import IdentityRefused

NAME_BYTES_MAX = 200
"""In UTF-8."""


def checked_name(name: str) -> str:
    """Return a name that may be looked up, logged and recorded.

    Control characters, halves of surrogate pairs and bidirectional overrides stand in no name, and not every database
    holds them.

    Raises
    ------
    IdentityRefused
        It is empty or too long, or has such characters.
    """
    if not name.isprintable():
        raise IdentityRefused("the user name has characters that cannot be printed")
    if not name.strip() or len(name.encode()) > NAME_BYTES_MAX:
        raise IdentityRefused("the user name is empty or too long")
    return name
