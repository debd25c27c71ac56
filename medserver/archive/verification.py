"""Reading a stored object to its end, to see that it is what was received."""

from __future__ import annotations

from medserver.archive.copies import as_stored
from medserver.index import StoredCopy
from medserver.node import Node


def verify(node: Node, stored: StoredCopy) -> None:
    """Read every byte of a stored object and compare it with its digests.

    Raises
    ------
    DamagedObject
        The file is missing or is not what was stored.
    StoreFailure
        It cannot be read.
    """
    node.volume(stored.volume).verify(as_stored(stored))
