"""The copies of one object, tried one after the other until one can be read and is what was stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from medserver.archive.damage import report_damage
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import GOOD, StoredCopy
from medserver.node import Node
from medserver.store import StoredObject, paths

Copy = StoredCopy
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Copies:
    """The copies of an object in the order in which they are read: see `Index.copies_of`.

    Used by one thread.

    Parameters
    ----------
    node : Node
        Where they lie.
    stored : StoredCopy
        The object, and the copy with which to begin.
    certain : bool
        Ask the index first, for the copy may have been found bad since `stored` was read. Otherwise it is asked only
        when the first copy fails.
    """

    def __init__(self, node: Node, stored: Copy, *, certain: bool = False) -> None:
        self._node = node
        self._left = self._in_order(stored, certain)
        self._failure: StoreFailure | None = None

    def next(self, read: Callable[[Copy], Result]) -> Result:
        """Try the copies that have not been tried until one can be read.

        Parameters
        ----------
        read : callable
            Reads a copy. DamagedObject: it is not what was stored, and is noted as bad. StoreFailure: it cannot be
            read now.

        Raises
        ------
        DamagedObject, StoreFailure
            There is none left; what was wrong with the first.
        """
        for copy in self._left:
            try:
                return read(copy)
            except StoreFailure as error:
                self.failed(copy, error)
        raise self._failure or DamagedObject("there is no good copy of the object")

    def failed(self, copy: Copy, error: StoreFailure) -> None:
        """Note that a copy is of no use, for good if it is damaged."""
        self._failure = self._failure or error
        if isinstance(error, DamagedObject):
            report_damage(self._node, copy.volume, copy.path, str(error))
        else:
            logger.info("%s:%s is not read: %s", copy.volume, copy.path, error)

    def _in_order(self, stored: Copy, certain: bool) -> Iterator[Copy]:
        tried = None
        if stored.state == GOOD and not certain:
            yield stored
            tried = (stored.volume, stored.path)
        for copy in self._node.index.copies_of(stored):
            if copy.state == GOOD and (copy.volume, copy.path) != tried:
                yield copy


def sealed_at(copy: Copy) -> datetime:
    """Return when an object came into its first volume, to the minute; its copies have the same path."""
    return paths.sealed_minute(copy.path)


def as_stored(copy: Copy) -> StoredObject:
    """Return a copy as its volume knows it."""
    return StoredObject(
        volume=copy.volume,
        path=copy.path,
        data_set_offset=copy.data_set_offset,
        size_bytes=copy.size_bytes,
        digest=copy.digest,
        meta_digest=copy.meta_digest,
    )
