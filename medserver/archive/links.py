"""Stored objects under a second name: who reads many of them need not copy them first.

What has one is compared by itself, beside those who read it: until then nobody may rely on what was made of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from medserver.archive.copies import Copy, as_stored
from medserver.dicom.nesting import Buffer
from medserver.errors import StoreFailure
from medserver.index import GOOD
from medserver.node import Node
from medserver.store.failures import translating
from medserver.store.verification import verify

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def link_object(node: Node, stored: Copy, target: Path) -> bool:
    """Give a copy of an object a second name, by which nobody may change it.

    Parameters
    ----------
    node : Node
        Where it is stored.
    stored : StoredCopy
        Which one, as the index tells.
    target : Path
        The second name.

    Returns
    -------
    bool
        False if it cannot have one, or is not known to be good: `fetch.open_object` finds out what can be read.
    """
    if stored.state != GOOD:
        return False
    try:
        return node.volume(stored.volume).link(stored.path, os.fspath(target))
    except StoreFailure:
        return False


def compare_link(stored: Copy, target: Path, check_wanted: Callable[[], None]) -> None:
    """Read what `link_object` gave a second name, and compare all of it with its digests.

    Parameters
    ----------
    check_wanted : callable
        Called before each part that is read; what it raises ends the comparison.

    Raises
    ------
    DamagedObject
        It is not what was stored.
    StoreFailure
        It cannot be read.
    """
    with translating(f"read {stored.volume}:{stored.path}"), _Watched(os.open(target, _READ), "rb") as file:
        file.check_wanted = check_wanted
        verify(file, as_stored(stored))


class _Watched(FileIO):
    """A file of which reading can end before its end."""

    check_wanted: Callable[[], None]

    def read(self, size: int = -1, /) -> bytes:
        self.check_wanted()
        return super().read(size)

    def readinto(self, buffer: Buffer, /) -> int:
        self.check_wanted()
        return super().readinto(buffer)
