"""Files beside the objects of a volume: what a `Volume` offers for backups of the index, and for films."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import BinaryIO, Protocol

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,126}", re.ASCII)


def checked_name(name: str) -> str:
    """Return a name if a file of a shelf can have it.

    Raises
    ------
    ValueError
        It is not made of letters, digits, ``-`` and ``.``, or begins with one of these.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not the name of a file on a shelf: {name!r:.160}")
    return name


class Shelf(Protocol):
    """Files with names of ours, each written once. No object of the volume is among them."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file; when this returns it is whole and durable, and before that nobody sees it.

        Raises
        ------
        ValueError
            The name is none.
        OutOfResources, StoreFailure
            It cannot be written, or there is one of this name; nothing remains of it.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading from its first byte.

        Raises
        ------
        DamagedObject
            There is no such file.
        StoreFailure
            It cannot be read.
        """

    def names(self) -> list[str]:
        """Return the names of all files, sorted.

        Raises
        ------
        StoreFailure
            They cannot be read.
        """

    def delete(self, name: str) -> None:
        """Remove a file durably. One that does not exist is as good as removed."""
