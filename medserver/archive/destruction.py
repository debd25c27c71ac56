"""Removing stored bytes: the one function that does, and the reasons for which it may.

What is known of the file is made durable first: a row that a power cut brings back must not name a file that is gone.
Then its row is read again. Who has a reason to remove it has taken the row away before, in a transaction of its own;
if it is there, the file was entered, or received again, since.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from medserver.archive.copies import as_stored
from medserver.archive.damage import report_damage
from medserver.crash import crash_point
from medserver.errors import DamagedObject, IndexUnavailable, MedserverError, StoreFailure
from medserver.index import GOOD, ObjectKey
from medserver.node import Node
from medserver.store import Volume

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotEntered:
    """This process has just written the file, and it was not entered: nobody was told that it is safe."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """It was ordered to be deleted, and a tombstone says so."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """Another copy of the object, or what was made from it, is good: it is read before the file goes.

    Parameters
    ----------
    key : ObjectKey
        Of what another copy must be good.
    volume : str
        Where that copy must be; empty if anywhere.
    """

    key: ObjectKey
    volume: str = ""


Reason = NotEntered | Ordered | Surplus


def destroy(node: Node, volume: Volume, path: str, *, because: Reason) -> bool:
    """Remove a file.

    Parameters
    ----------
    node : Node
        With the index that may know it.
    volume : Volume
        Where it lies.
    path : str
        Its path there.
    because : NotEntered, Ordered or Surplus
        Why it may.

    Returns
    -------
    bool
        False if it stays: the index refers to it, or what should be in its place is not good.

    Raises
    ------
    StoreFailure, IndexFailure
        A volume or the index does not work; nothing is lost. Not for what was not entered: such a file is left to the
        next start.
    """
    if isinstance(because, NotEntered):
        return _take_back(node, volume, path)
    return _destroy(node, volume, path, because)


def _take_back(node: Node, volume: Volume, path: str) -> bool:
    """Remove what no row that was made durable has named, and nobody was told of: the index need not be flushed."""
    try:
        with suppress(IndexUnavailable):  # then nobody could enter it
            if node.index.has_location(volume.name, path):
                return False
        return _delete(volume, path)
    except MedserverError as error:
        logger.warning("%s:%s is left to the next start: %s", volume.name, path, error)
        return False


def _destroy(node: Node, volume: Volume, path: str, because: Ordered | Surplus) -> bool:
    node.index.flush()
    if node.index.has_location(volume.name, path):
        return False
    if isinstance(because, Surplus) and not _is_good(node, because, (volume.name, path)):
        return False
    return _delete(volume, path)


def _delete(volume: Volume, path: str) -> bool:
    volume.delete(path)
    crash_point("file deleted")
    return True


def _is_good(node: Node, because: Surplus, file: tuple[str, str]) -> bool:
    """Read other copies until one is what was stored."""
    for copy in node.index.copies_of(because.key):
        if copy.state != GOOD or (copy.volume, copy.path) == file or because.volume not in ("", copy.volume):
            continue
        try:
            node.volume(copy.volume).verify(as_stored(copy))
        except DamagedObject as error:
            report_damage(node, copy.volume, copy.path, str(error))
        except StoreFailure as error:
            logger.info("%s:%s is not read: %s", copy.volume, copy.path, error)
        else:
            return True
    return False
