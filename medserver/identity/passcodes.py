"""Passcodes as they are kept: argon2id with a salt of its own for each (RFC 9106)."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from medserver.errors import ConfigError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

PASSCODE_BYTES_MIN, PASSCODE_BYTES_MAX = 8, 1024

_ONE_AT_A_TIME = threading.Lock()
"""Each check takes 64 MiB of memory: anybody who may name a user could ask for many at once."""


def hash_passcode(passcode: bytes) -> str:
    """Return what is kept of a passcode.

    Raises
    ------
    ValueError
        It is shorter or longer than is allowed.
    ConfigError
        There is no library for it.
    """
    normal = _normal(passcode)
    if not PASSCODE_BYTES_MIN <= len(normal) <= PASSCODE_BYTES_MAX:
        raise ValueError(f"a passcode has {PASSCODE_BYTES_MIN} to {PASSCODE_BYTES_MAX} bytes, this one {len(normal)}")
    return _hasher().hash(normal)


def is_passcode(passcode: bytes, kept: str) -> bool:
    """Tell whether a passcode is the one of which something was kept; that takes as long when nothing was.

    Parameters
    ----------
    kept : str
        What `hash_passcode` returned; empty if there is no such account, or it has no passcode.

    Raises
    ------
    ConfigError
        There is no library for it.
    """
    hasher = _hasher()
    from argon2.exceptions import InvalidHashError, VerificationError

    normal = _normal(passcode)
    with _ONE_AT_A_TIME:
        of_nobody = _of_nobody()  # made with the first check of a process, whosever that is
        try:
            hasher.verify(kept or of_nobody, normal if len(normal) <= PASSCODE_BYTES_MAX else b"")
        except (VerificationError, InvalidHashError):
            return False
    return bool(kept)


@cache
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise ConfigError(f"passcodes need argon2-cffi: install medserver[identity] ({error})") from None
    return PasswordHasher()


@cache
def _of_nobody() -> str:
    return _hasher().hash(secrets.token_bytes(32))


def _normal(passcode: bytes) -> bytes:
    """Return the one form of text that can be typed in several (RFC 8265 4.2); what is no text stays as it is."""
    try:
        return unicodedata.normalize("NFC", passcode.decode()).encode()
    except UnicodeDecodeError:
        return passcode
