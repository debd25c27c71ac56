"""Files with secrets: private keys, passcodes, tokens. What others can read is not used."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from medserver.errors import ConfigError

SECRET_BYTES_MAX = 64 * 1024


def check_private(path: Path, what: str) -> None:
    """Check that nobody else can read a file.

    Parameters
    ----------
    what : str
        What is in it, for the message.

    Raises
    ------
    ConfigError
        Others can, or it belongs to somebody else than this user or root.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{path}: the {what} belongs to another user; run: chown {os.geteuid()} {path}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigError(f"{path}: others can read or change the {what}; run: chmod 600 {path}")


def read_secret(path: Path, what: str) -> bytes:
    """Return the first line of a file that nobody else can read.

    Raises
    ------
    ConfigError
        Others can read it, it cannot be read, or there is nothing in it.
    """
    check_private(path, what)
    try:
        with open(path, "rb") as stream:
            secret = stream.readline(SECRET_BYTES_MAX).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if not secret:
        raise ConfigError(f"{path}: the {what} is empty")
    return secret
