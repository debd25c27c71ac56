"""Tombstones as they lie on the volumes, beside the objects: from there an index that is made anew knows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from medserver.archive.notes import load_notes, write_notes
from medserver.index import Tombstone
from medserver.node import Node
from medserver.store import TOMBSTONES


def write_tombstones(node: Node, tombstones: Iterable[Tombstone]) -> None:
    """Write tombstones to every volume that can be reached.

    Raises
    ------
    StoreFailure
        That is none.
    """
    records = (asdict(each) | {"deleted_at": each.deleted_at.isoformat()} for each in tombstones)
    write_notes(node, TOMBSTONES, records)


def load_tombstones(node: Node) -> None:
    """Enter the tombstones of all volumes into the index; those that it knows are no news to it.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    load_notes(node, TOMBSTONES, _tombstone, node.index.tombstones.add)


def _tombstone(fields: dict[str, Any]) -> Tombstone:
    moment = datetime.fromisoformat(fields.pop("deleted_at"))
    return Tombstone(**{name: str(text) for name, text in fields.items()}, deleted_at=moment)
