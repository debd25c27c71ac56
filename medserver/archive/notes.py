"""Records as lines of JSON beside the objects of the volumes: from there an index that is made anew knows them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from medserver.errors import OutOfResources, StoreFailure
from medserver.node import Node
from medserver.store import NOTES, Volume

_PAGE = 500

Record = TypeVar("Record")

logger = logging.getLogger(__name__)


def write_notes(node: Node, kind: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records of a kind to every volume that can be reached; others, also those that another host alone has, get
    them later.

    Raises
    ------
    StoreFailure
        That is none.
    """
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    written = 0
    for volume in node.volumes.values():
        try:
            volume.note(kind, content)
            written += 1
        except (StoreFailure, OutOfResources) as error:
            logger.warning("no %s on volume %s: %s", kind, volume.name, error)
            node.index.volumes.note_missed_notes(volume.name)
    for name in sorted(node.index.nodes.volumes() - node.volumes.keys()):
        node.index.volumes.note_missed_notes(name)
    if not written:
        raise StoreFailure(f"{kind} cannot be written to any volume")


def complete_notes(node: Node, volume: Volume) -> None:
    """Write what a volume has missed, of what is noted on others: it was away then, or is new.

    An index that is made anew of this volume alone then comes to the same.

    Raises
    ------
    OutOfResources, StoreFailure
        The volume takes nothing, or cannot be read. It is done again by the next call.
    IndexFailure
        The index does not work.
    """
    missed = node.index.volumes.missed_notes(volume.name)
    if missed is None:
        return
    is_complete = True
    for kind in NOTES:
        known = {hash(line) for content in volume.notes(kind) for line in content.splitlines()}
        for other in node.volumes.values():
            try:
                lines = (line for content in other.notes(kind) for line in content.splitlines())
                wanted = (line for line in lines if hash(line) not in known)
                while page := list(islice(wanted, _PAGE)):
                    volume.note(kind, b"".join(line + b"\n" for line in page))
                    known.update(map(hash, page))
            except StoreFailure as error:
                logger.warning("volume %s has no %s of volume %s yet: %s", volume.name, kind, other.name, error)
                is_complete = False
    if is_complete:
        node.index.volumes.forget_missed_notes(volume.name, missed)


def read_notes(volume: Volume, kind: str, parse: Callable[[dict[str, Any]], Record]) -> Iterator[Record]:
    """Yield the records of a volume; a line that is none is left out, and logged.

    Raises
    ------
    StoreFailure
        They cannot be read.
    """
    for content in volume.notes(kind):
        for line in content.splitlines():
            try:
                yield parse(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                logger.error("volume %s: a damaged line of %s: %.200r", volume.name, kind, line)


def load_notes(
    node: Node,
    kind: str,
    parse: Callable[[dict[str, Any]], Record],
    enter: Callable[[list[Record]], None],
    volumes: Iterable[Volume] | None = None,
) -> None:
    """Have the records of all volumes, or of some, entered into the index, some at a time.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    for volume in node.volumes.values() if volumes is None else volumes:
        found = read_notes(volume, kind, parse)
        try:
            while page := list(islice(found, _PAGE)):
                enter(page)
        except StoreFailure as error:  # its objects cannot be read either
            logger.warning("the %s of volume %s are not known: %s", kind, volume.name, error)
