"""A shelf in a directory: ``backups`` or ``films`` below the root of a directory volume."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import BinaryIO

from medserver.errors import DamagedObject, StoreFailure
from medserver.store.directory.incoming import Incoming
from medserver.store.directory.root import Root
from medserver.store.failures import translating
from medserver.store.files import Files
from medserver.store.shelf import checked_name


class DirectoryShelf:
    """See `shelf.Shelf` for the promises.

    Parameters
    ----------
    volume : str
        Name of the volume.
    name : str
        Name of the directory below its root.
    incoming : Incoming
        Where temporary files are made.
    files : Files
        The file system.
    root : Root
        The root of the volume.
    """

    def __init__(self, volume: str, name: str, incoming: Incoming, files: Files, root: Root) -> None:
        self._where = f"{volume}:{name}"
        self._directory = name
        self._incoming = incoming
        self._files = files
        self._root = root

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a temporary file, flush it, and give it its name."""
        target = f"{self._directory}/{checked_name(name)}"
        with translating(f"write {self._where}/{name}"):
            self._ensure_directory()
            descriptor, temporary = self._incoming.create()
            try:
                try:
                    for chunk in chunks:
                        self._write(descriptor, chunk)
                    self._files.flush(descriptor)
                finally:
                    self._files.close(descriptor)
                self._files.link(temporary, target)
            except FileExistsError:
                raise StoreFailure(f"{self._where}/{name} exists") from None
            finally:
                self._files.unlink(temporary)
            self._files.flush_directory(self._directory)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading from its first byte."""
        with translating(f"read {self._where}/{name}"):
            self._root.require_readable()
            try:
                return os.fdopen(self._files.open(f"{self._directory}/{checked_name(name)}"), "rb")
            except (FileNotFoundError, NotADirectoryError) as error:
                raise DamagedObject(f"{self._where}/{name} is missing") from error

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        with translating(f"list {self._where}"):
            self._root.require_readable()
            try:
                return self._files.names(self._directory)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def delete(self, name: str) -> None:
        """Remove a file durably."""
        with translating(f"delete {self._where}/{name}"):
            self._root.require_readable()
            with suppress(FileNotFoundError):
                self._files.unlink(f"{self._directory}/{checked_name(name)}")
                self._files.flush_directory(self._directory)

    def _ensure_directory(self) -> None:
        self._root.require()
        with suppress(FileExistsError):
            self._files.make_directory(self._directory)
        self._files.flush_directory(".")

    def _write(self, descriptor: int, chunk: bytes) -> None:
        self._files.require_space(self._directory, len(chunk))
        left = memoryview(chunk)
        while left:
            left = left[self._files.write(descriptor, [left]) :]
