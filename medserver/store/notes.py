"""Small texts beside the objects of a directory volume: what only an index would know else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from medserver.store.directory.incoming import Incoming
from medserver.store.files import Files

TOMBSTONES, PERFORMED_STEPS, DECISIONS = "tombstones", "performed-steps", "decisions"
NOTES = (TOMBSTONES, PERFORMED_STEPS, DECISIONS)
"""The kinds of notes, which are the names of their directories."""

_SUFFIX = ".jsonl"
_SIZE_MAX_BYTES = 16 * 1024 * 1024


class Notes:
    """A directory of a volume, of one kind of notes; its files are written once.

    Parameters
    ----------
    kind : str
        Its name.
    incoming : Incoming
        Where temporary files are made.
    files : Files
        The file system.
    """

    def __init__(self, kind: str, incoming: Incoming, files: Files) -> None:
        self._directory = kind
        self._incoming = incoming
        self._files = files

    def add(self, content: bytes) -> None:
        """Write a file, durably, or raise OSError."""
        with suppress(FileExistsError):
            self._files.make_directory(self._directory)
            self._files.flush_directory(".")
        descriptor, temporary = self._incoming.create()
        try:
            try:
                left = memoryview(content)
                while left:
                    left = left[self._files.write(descriptor, [left]) :]
                self._files.flush(descriptor)
            finally:
                self._files.close(descriptor)
            name = f"{time.time_ns():020}-{os.path.basename(temporary)}{_SUFFIX}"
            self._files.link(temporary, f"{self._directory}/{name}")
        finally:
            self._files.unlink(temporary)
        self._files.flush_directory(self._directory)

    def all(self) -> Iterator[bytes]:
        """Yield the content of every file, the oldest first."""
        try:
            names = self._files.names(self._directory)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.endswith(_SUFFIX):
                with os.fdopen(self._files.open(f"{self._directory}/{name}"), "rb") as file:
                    yield file.read(_SIZE_MAX_BYTES)
