"""Performed procedure steps as they lie on the volumes, beside the objects: an index that is made anew knows them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import islice

from medserver.errors import OutOfResources, StoreFailure
from medserver.index import PerformedStep
from medserver.node import Node
from medserver.store import PERFORMED_STEPS, Volume

_PAGE = 500
_MOMENTS = ("created_at", "changed_at")

logger = logging.getLogger(__name__)


def write_step(node: Node, step: PerformedStep) -> None:
    """Write a step as it is now to every volume that can be reached.

    Raises
    ------
    StoreFailure
        That is none.
    """
    fields = asdict(step) | {name: getattr(step, name).isoformat() for name in _MOMENTS}
    content = (json.dumps(fields) + "\n").encode()
    written = 0
    for volume in node.volumes.values():
        try:
            volume.note(PERFORMED_STEPS, content)
            written += 1
        except (StoreFailure, OutOfResources) as error:
            logger.warning("no performed procedure step on volume %s: %s", volume.name, error)
    if not written:
        raise StoreFailure("a performed procedure step cannot be written to any volume")


def read_steps(volume: Volume) -> Iterator[PerformedStep]:
    """Yield the steps of a volume, each once for each change; a line that is none is left out, and logged.

    Raises
    ------
    StoreFailure
        They cannot be read.
    """
    for content in volume.notes(PERFORMED_STEPS):
        for line in content.splitlines():
            try:
                fields = json.loads(line)
                moments = {name: datetime.fromisoformat(fields.pop(name)) for name in _MOMENTS}
                lists = {name: tuple(map(str, fields.pop(name))) for name in ("studies", "series")}
                yield PerformedStep(**{name: str(text) for name, text in fields.items()}, **moments, **lists)
            except (ValueError, TypeError, KeyError, AttributeError):
                logger.error("volume %s: a damaged performed procedure step: %.200r", volume.name, line)


def load_steps(node: Node) -> None:
    """Enter the steps of all volumes into the index, as far as it does not know them, or knows them as they were.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    for volume in node.volumes.values():
        found = read_steps(volume)
        try:
            while page := list(islice(found, _PAGE)):
                node.index.performed_steps.restore(page)
        except StoreFailure as error:  # its objects cannot be read either
            logger.warning("the performed procedure steps of volume %s are not known: %s", volume.name, error)
