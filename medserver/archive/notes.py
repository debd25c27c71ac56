"""Records as lines of JSON beside the objects of the volumes: from there an index that is made anew knows them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from medserver.errors import OutOfResources, StoreFailure
from medserver.node import Node
from medserver.store import Volume

_PAGE = 500

Record = TypeVar("Record")

logger = logging.getLogger(__name__)


def write_notes(node: Node, kind: str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records of a kind to every volume that can be reached.

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
    if not written:
        raise StoreFailure(f"{kind} cannot be written to any volume")


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
    node: Node, kind: str, parse: Callable[[dict[str, Any]], Record], enter: Callable[[list[Record]], None]
) -> None:
    """Have the records of all volumes entered into the index, some at a time.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    for volume in node.volumes.values():
        found = read_notes(volume, kind, parse)
        try:
            while page := list(islice(found, _PAGE)):
                enter(page)
        except StoreFailure as error:  # its objects cannot be read either
            logger.warning("the %s of volume %s are not known: %s", kind, volume.name, error)
