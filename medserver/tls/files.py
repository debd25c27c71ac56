"""Files with certificates, keys and CRLs: read when they are needed, and again when they have changed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from medserver.errors import ConfigError
from medserver.log import Event, Whole

FILE_LENGTH_MAX = 64 * 1024 * 1024
"""The longest that is read: a CRL of a large CA has some megabytes."""

Content = TypeVar("Content")
logger = logging.getLogger(__name__)

_Signature = tuple[tuple[int, int, int], ...]


class Reread(Generic[Content]):
    """What is made of some files, made anew when one of them has changed; threads share it.

    What is wrong with changed files is logged once, and changes nothing: certificate and key are replaced one after the
    other, and whoever calls in between must not be refused for it.

    Parameters
    ----------
    read : callable
        Makes it of the paths of the files; raises ConfigError.
    """

    def __init__(self, read: Callable[..., Content]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._made: dict[tuple[Path, ...], tuple[_Signature, Content]] = {}
        self._failed: dict[tuple[Path, ...], tuple[_Signature, str]] = {}

    def of(self, *paths: Path) -> Content:
        """Return what is made of the files as they are now, or were when they could last be read.

        Raises
        ------
        ConfigError
            They could never be read.
        """
        signature = _signature(paths)
        with self._lock:
            made = self._made.get(paths)
            if made is not None and made[0] == signature:
                return made[1]
            failed = self._failed.get(paths)
            if failed is not None and failed[0] == signature:
                if made is None:
                    raise ConfigError(failed[1])
                return made[1]
            try:
                content = self._read(*paths)
            except ConfigError as error:
                self._failed[paths] = signature, str(error)
                if made is None:
                    raise
                logger.error(Event("tls", not_taken_over=Whole(error)))
                return made[1]
            self._failed.pop(paths, None)
            self._made[paths] = signature, content
            if made is not None:
                logger.info(Event("tls", read_again=Whole(", ".join(map(str, paths)))))
            return content


def _signature(paths: tuple[Path, ...]) -> _Signature:
    """Return what changes when one of some files does."""
    found = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    ConfigError
        It cannot be read, or is too long.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read(FILE_LENGTH_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if len(content) > FILE_LENGTH_MAX:
        raise ConfigError(f"{path}: more than {FILE_LENGTH_MAX} bytes")
    return content
