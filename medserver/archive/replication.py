"""A further copy of an object on another volume: under the same path, byte for byte the same, and read back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime

from medserver.archive.copies import Copy, as_stored
from medserver.archive.destruction import NotEntered, Surplus, destroy
from medserver.archive.fetch import open_object
from medserver.crash import crash_point
from medserver.errors import DamagedObject, MedserverError, OutOfResources, StoreFailure
from medserver.index import GOOD, StoredCopy
from medserver.node import Node
from medserver.store import ObjectWriter, StoredObject, Volume

_CHUNK_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


def copy_object(node: Node, location: Copy, target: Volume) -> StoredObject:
    """Make a verified copy of an object on a volume; also in the place of a bad one.

    May be called again after it was interrupted anywhere, and by several at once. The index knows the copy when this
    returns, and not before the copy has been read back.

    Parameters
    ----------
    node : Node
        Where the object lies.
    location : StoredCopy
        Any copy of it: the first good one is what is copied.
    target : Volume
        Where the copy goes.

    Returns
    -------
    StoredObject
        The copy. If the index knows a good one on the volume already, that is it, and nothing is written. Bad ones on
        the volume are forgotten in either case, and their files are removed.

    Raises
    ------
    DamagedObject
        There is no good copy of the object, or the volume does not give back what it was given.
    OutOfResources, StoreFailure
        The volume takes nothing, no copy can be read, or the object has been removed meanwhile.
    """
    present = _on(target, node.index.copies_of(location))
    bad = {copy.path: copy for copy in present if copy.state != GOOD}
    good = next((copy for copy in present if copy.state == GOOD), None)
    copied = as_stored(good) if good else _copy_verified(node, location, target, bad)
    for path in bad.keys() - {copied.path}:  # only now: a bad copy is better than none
        node.index.release([bad[path]])
        destroy(node, target, path, because=Surplus(location.key, target.name))
    return copied


def _copy_verified(node: Node, location: Copy, target: Volume, bad: Collection[str]) -> StoredObject:
    """Write a copy, read it back, and enter it; `bad` are the paths at which something else may be written over."""
    source, copied = _write(node, location, target, bad)
    crash_point("copy written")
    _read_back(node, target, copied)
    crash_point("copy verified")
    problem = next(_enter_all(node, target, [(source, copied)]))
    if problem is not None:
        raise problem
    crash_point("copy entered")
    return copied


def copy_objects(
    node: Node, locations: Sequence[Copy], target: Volume, threads: Executor
) -> Iterator[MedserverError | None]:
    """Make verified copies of several objects on a volume, as `copy_object` does, with a flush and a commit for all.

    Parameters
    ----------
    node, target
        As for `copy_object`.
    locations : sequence of StoredCopy
        Any copy of each object.
    threads : Executor
        Where the objects are read and written, several at a time.

    Yields
    ------
    MedserverError or None
        For each object, in order, why it could not be copied; None if it was.
    """
    try:
        with target.batch() as create:
            present = [_on(target, copies) for copies in node.index.copies_of_each(locations)]
            written = list(
                threads.map(lambda one, there: _write_in_batch(node, one, there, create), locations, present)
            )
    except (StoreFailure, OutOfResources) as error:  # nobody knows which of them are durable
        yield from [error] * len(locations)
        return
    crash_point("copies written")
    checked = list(threads.map(lambda pair: _checked(node, target, pair), written))
    good = [pair for pair in checked if isinstance(pair, tuple)]
    entered = iter(_enter_all(node, target, good))
    crash_point("copies entered")
    for location, pair in zip(locations, checked, strict=True):
        yield next(entered) if isinstance(pair, tuple) else pair and _alone(node, location, target, pair)


_Written = tuple[Copy, StoredObject]


def _on(target: Volume, copies: Sequence[StoredCopy]) -> list[StoredCopy]:
    return [copy for copy in copies if copy.volume == target.name]


def _write_in_batch(
    node: Node, location: Copy, present: Sequence[StoredCopy], create: Callable[[bytes, str], ObjectWriter]
) -> _Written | Exception | None:
    """Write a copy; None if there is a good one, an exception if it has to be made alone or cannot be made."""
    if any(copy.state == GOOD for copy in present):
        return None
    if present:
        return _Occupied(present[0].path)
    try:
        return _transfer(node, location, create)
    except (MedserverError, _Occupied) as error:
        return error


def _checked(node: Node, target: Volume, pair: _Written | Exception | None) -> _Written | Exception | None:
    """Read a copy back."""
    if not isinstance(pair, tuple):
        return pair
    try:
        _read_back(node, target, pair[1])
    except MedserverError as error:
        return error
    return pair


def _enter_all(node: Node, target: Volume, written: Sequence[_Written]) -> Iterator[MedserverError | None]:
    """Enter copies into the index; those of what was deleted meanwhile are removed."""
    copies = [
        replace(source, volume=target.name, path=copied.path, verified_at=node.clock()) for source, copied in written
    ]
    entered = node.index.add_locations(copies) if copies else []
    for (source, copied), is_entered in zip(written, entered, strict=True):
        if is_entered:
            yield None
            continue
        destroy(node, target, copied.path, because=NotEntered())
        yield StoreFailure(f"{source.volume}:{source.path} has been removed while it was copied")


def _alone(node: Node, location: Copy, target: Volume, problem: Exception) -> MedserverError | None:
    """Make a copy by itself where something is in its place; else say what is wrong."""
    if isinstance(problem, MedserverError):
        return problem
    try:
        copy_object(node, location, target)
    except MedserverError as error:
        return error
    return None


def _write(node: Node, location: Copy, target: Volume, bad: Collection[str]) -> tuple[Copy, StoredObject]:
    """Write the object to the volume; return the copy that was read, and the one that was made."""
    try:
        return _write_once(node, location, target, bad)
    except _Occupied as occupied:
        path = occupied.path
    # Its path is made from the digest of the data set, and what has that digest is being copied: nothing is lost.
    if node.index.has_location(target.name, path):
        raise StoreFailure(f"{target.name}:{path}: another object has the path")
    logger.warning("%s:%s is not what belongs there, and is written anew", target.name, path)
    return _write_once(node, location, target, {path})


def _write_once(node: Node, location: Copy, target: Volume, replaced: Collection[str]) -> tuple[Copy, StoredObject]:
    def create(file_meta: bytes, path: str) -> ObjectWriter:
        if path in replaced:
            logger.warning("%s:%s is bad, and is written anew", target.name, path)
        return target.create(file_meta, path, replace=path in replaced)

    return _transfer(node, location, create)


def _transfer(
    node: Node, location: Copy, create: Callable[[bytes, str], ObjectWriter]
) -> tuple[Copy, StoredObject]:
    """Read the first good copy of an object and write it; return which one that was, and what was made."""
    opened = open_object(node, location)
    with opened.data_set as data_set:
        writer = create(opened.file_meta, opened.copy.path)
        try:
            while chunk := data_set.read(_CHUNK_BYTES):
                writer.write(chunk)
            return opened.copy, _seal(writer, node.clock(), opened.copy.path)
        finally:
            writer.abandon()


def _seal(writer: ObjectWriter, sealed_at: datetime, path: str) -> StoredObject:
    try:
        return writer.seal(sealed_at)
    except DamagedObject as error:
        raise _Occupied(path) from error


class _Occupied(Exception):
    """Other bytes lie where the copy belongs."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def _read_back(node: Node, target: Volume, copied: StoredObject) -> None:
    """Compare the copy with its digests where it lies; one that is wrong does not stay."""
    try:
        target.verify(copied)
    except DamagedObject:
        destroy(node, target, copied.path, because=NotEntered())
        raise
