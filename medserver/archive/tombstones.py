"""Tombstones as they lie on the volumes, beside the objects: from there an index that is made anew knows them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice

from medserver.errors import OutOfResources, StoreFailure
from medserver.index import Tombstone
from medserver.node import Node
from medserver.store import TOMBSTONES, Volume

_PAGE = 500

logger = logging.getLogger(__name__)


def write_tombstones(node: Node, tombstones: Iterable[Tombstone]) -> None:
    """Write tombstones to every volume that can be reached.

    Raises
    ------
    StoreFailure
        That is none.
    """
    lines = (json.dumps(asdict(each) | {"deleted_at": each.deleted_at.isoformat()}) + "\n" for each in tombstones)
    content = "".join(lines).encode()
    written = 0
    for volume in node.volumes.values():
        try:
            volume.note(TOMBSTONES, content)
            written += 1
        except (StoreFailure, OutOfResources) as error:
            logger.warning("no tombstones on volume %s: %s", volume.name, error)
    if not written:
        raise StoreFailure("tombstones cannot be written to any volume: nothing is deleted")


def read_tombstones(volume: Volume) -> Iterator[Tombstone]:
    """Yield the tombstones of a volume; a line that is none is left out, and logged.

    Raises
    ------
    StoreFailure
        They cannot be read.
    """
    for content in volume.notes(TOMBSTONES):
        for line in content.splitlines():
            try:
                fields = json.loads(line)
                moment = datetime.fromisoformat(fields.pop("deleted_at"))
                yield Tombstone(**{name: str(text) for name, text in fields.items()}, deleted_at=moment)
            except (ValueError, TypeError, KeyError, AttributeError):
                logger.error("volume %s: a damaged tombstone: %.200r", volume.name, line)


def load_tombstones(node: Node) -> None:
    """Enter the tombstones of all volumes into the index; those that it knows are no news to it.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    for volume in node.volumes.values():
        found = read_tombstones(volume)
        try:
            while page := list(islice(found, _PAGE)):
                node.index.tombstones.add(page)
        except StoreFailure as error:  # its objects cannot be read either
            logger.warning("the tombstones of volume %s are not known: %s", volume.name, error)
