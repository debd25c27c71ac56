"""The copies of one object, tried one after the other until one can be read and is what was stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from medserver.archive.damage import report_damage
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import GOOD, ObjectKey, StoredCopy
from medserver.log import Event
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
        copies = self._node.index.copies_of(stored)
        for copy in copies:
            if copy.state == GOOD and (copy.volume, copy.path) != tried:
                yield copy
        if copies:
            yield from _enter_unknown(self._node, copies[0])


def _enter_unknown(node: Node, known: Copy) -> Iterator[Copy]:
    """Enter, and yield, copies of an object that are good and have no row: a power cut may have taken that.

    The copies of an object have the same path on every volume. They are looked for when no other can be read.
    """
    for volume in node.volumes.values():
        if node.index.has_location(volume.name, known.path):
            continue
        copy = replace(known, volume=volume.name, state=GOOD, verified_at=node.clock())
        try:
            volume.verify(as_stored(copy))
        except StoreFailure:
            continue
        if node.index.add_location(copy):
            logger.warning(Event("found without a row", volume=copy.volume, path=copy.path))
            yield copy


def copies_that_stand_for(node: Node, key: ObjectKey) -> list[StoredCopy]:
    """Return the copies of an object; if it has none, those of what was made from it and has taken its place."""
    if copies := node.index.copies_of(key):
        return copies
    return next(filter(None, map(node.index.copies_of, node.index.forms.made_from(key))), [])


def is_there(node: Node, copy: StoredCopy) -> bool:
    """Tell whether a copy can be counted on that is known to be good: its volume is not away, and has the file."""
    try:
        size_bytes = node.volume(copy.volume).stat(copy.path).size_bytes
        if size_bytes != copy.file_size_bytes:
            raise DamagedObject(f"{size_bytes} bytes instead of {copy.file_size_bytes}")
    except DamagedObject as error:
        report_damage(node, copy.volume, copy.path, str(error))
        return False
    except StoreFailure:
        return False
    return True


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
