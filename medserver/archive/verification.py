"""Reading a stored object to its end, to see that it is what was received."""

from __future__ import annotations

from medserver.index import StoredInstance, StoredLocation
from medserver.node import Node
from medserver.store import StoredObject


def verify(node: Node, stored: StoredInstance | StoredLocation) -> None:
    """Read every byte of a stored object and compare it with its digests.

    Raises
    ------
    DamagedObject
        The file is missing or is not what was stored.
    StoreFailure
        It cannot be read.
    """
    node.volume(stored.volume).verify(as_stored(stored))


def as_stored(stored: StoredInstance | StoredLocation) -> StoredObject:
    """Return a row of the index as the store knows it."""
    return StoredObject(
        volume=stored.volume,
        path=stored.path,
        data_set_offset=stored.data_set_offset,
        size_bytes=stored.size_bytes,
        digest=stored.digest,
        meta_digest=stored.meta_digest,
    )
