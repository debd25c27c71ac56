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
    root : str
        Absolute path of the volume.
    files : Files
        The file system.
    """

    def __init__(self, root: str, files: Files) -> None:
        self._root = root
        self._files = files
        self._known: set[str] = set()
        self._has_root = False

    def ensure_root(self) -> None:
        """Make the root and what is missing above it, once.

        A root that vanishes later is a failure, not a fresh start.
        """
        if self._has_root:
            return
        missing = []
        path = self._root
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            self._make(path)
        self._has_root = True

    def renew_root(self) -> None:
        """Make the root although it was there and has vanished: somebody wants a fresh start."""
        self._has_root = False
        self.forget()
        self.ensure_root()

    def ensure(self, relative: str) -> str:
        """Make a directory below the root unless it is known, and return its absolute path.

        A directory that exists but is not known may have been made just now by another process that has not
        flushed it yet: so the flush of its parent is done here too.
        """
        path = f"{self._root}/{relative}"
        if relative in self._known:
            return path
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        parts = relative.split("/")
        for depth in range(1, len(parts) + 1):
            ancestor = "/".join(parts[:depth])
            if ancestor not in self._known:
                self._make(f"{self._root}/{ancestor}")
                self._known.add(ancestor)
        return path

    def forget(self) -> None:
        """Trust nothing any more: a directory has vanished, or a flush has failed."""
        self._known.clear()

    def _make(self, path: str) -> None:
        with suppress(FileExistsError):
            self._files.make_directory(path)
        self._files.flush_directory(os.path.dirname(path))
