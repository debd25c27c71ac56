"""The next object is read and verified while the peer still works on the last one.

A peer that has got an image reads it from its socket, looks at it and then answers. In this time the digest of the next
one is computed, in the thread that would only wait: to hand it to another one takes longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from medserver.archive.fetch import READ_AT_ONCE_MAX_BYTES, open_data_set
from medserver.errors import MedserverError
from medserver.index import StoredInstance
from medserver.node import Node


class ReadAhead:
    """Instances one after the other, each opened when the one before it has been sent and is not answered yet.

    Used by one thread. It holds one object in memory.

    Parameters
    ----------
    node : Node
        Where they are stored.
    instances : iterable of StoredInstance
        In the order in which they are sent.
    """

    def __init__(self, node: Node, instances: Iterable[StoredInstance]) -> None:
        self._node = node
        self._instances = instances
        self._following: StoredInstance | None = None
        self._opened: tuple[StoredInstance, BinaryIO] | None = None

    def __iter__(self) -> Iterator[StoredInstance]:
        instances = iter(self._instances)
        instance = next(instances, None)
        while instance is not None:
            self._following = next(instances, None)
            yield instance
            instance = self._following

    def prepare(self) -> None:
        """Open the instance that follows, if it is one that is read at once; an error shows when it is needed."""
        following = self._following
        if self._opened is None and following is not None and following.size_bytes < READ_AT_ONCE_MAX_BYTES:
            try:
                self._opened = following, open_data_set(self._node, following)
            except MedserverError:
                self._opened = None

    def open(self, instance: StoredInstance) -> BinaryIO:
        """Open an instance as `open_data_set` does; it may have been opened before."""
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] is instance:
            return opened[1]
        return open_data_set(self._node, instance)
