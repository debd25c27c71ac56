"""A file system that does not flush: somebody does it afterwards, for many files at once."""

from __future__ import annotations

from typing import Any

from medserver.store.files import Files


class DeferredFiles:
    """`Files`, but for the flushes.

    Parameters
    ----------
    files : Files
        The file system.

    Attributes
    ----------
    is_needed : bool
        Whether anything was to be flushed.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self.is_needed = False

    def flush(self, descriptor: int) -> None:
        """Leave a file for later."""
        self.is_needed = True

    def flush_directory(self, path: str) -> None:
        """Leave a directory for later."""
        self.is_needed = True

    def __getattr__(self, name: str) -> Any:
        """Return what `Files` has."""
        return getattr(self._files, name)
