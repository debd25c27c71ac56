"""Directories whose way down from the root is known to be on stable storage."""

from __future__ import annotations

import os
from contextlib import suppress

from medserver.store.files import Files

# One minute directory a minute: what lies further back is not written to again, and may be forgotten.
_KNOWN_MAX = 1000


class DurableDirectories:
    """Make the directories of a volume, each durable before anything is put into it.

    Parameters
    ----------
    files : Files
        The file system, whose relative paths begin at the root of the volume.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: set[str] = set()

    def ensure(self, path: str) -> str:
        """Make a directory below the root unless it is known, and return its path.

        A directory that exists but is not known may have been made just now by another process that has not
        flushed it yet: so the flush of its parent is done here too.
        """
        if path in self._known:
            return path
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            ancestor = "/".join(parts[:depth])
            if ancestor not in self._known:
                _make(ancestor, self._files)
                self._known.add(ancestor)
        return path

    def forget(self) -> None:
        """Trust nothing any more: a directory has vanished, or a flush has failed."""
        self._known.clear()


def make_durably(path: str, files: Files) -> None:
    """Make a directory at an absolute path, and what is missing above it."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for each in reversed(missing):
        _make(each, files)


def _make(path: str, files: Files) -> None:
    with suppress(FileExistsError):
        files.make_directory(path)
    files.flush_directory(os.path.dirname(path) or ".")
