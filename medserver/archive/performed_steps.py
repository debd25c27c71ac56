"""Performed procedure steps as they lie on the volumes, beside the objects: an index that is made anew knows them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from medserver.archive.notes import load_notes, write_notes
from medserver.index import PerformedStep
from medserver.node import Node
from medserver.store import PERFORMED_STEPS

_MOMENTS = ("created_at", "changed_at")
_LISTS = ("studies", "series")


def write_step(node: Node, step: PerformedStep) -> None:
    """Write a step as it is now to every volume that can be reached.

    Raises
    ------
    StoreFailure
        That is none.
    """
    write_notes(node, PERFORMED_STEPS, [asdict(step) | {name: getattr(step, name).isoformat() for name in _MOMENTS}])


def load_steps(node: Node) -> None:
    """Enter the steps of all volumes into the index, as far as it does not know them, or knows them as they were.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    load_notes(node, PERFORMED_STEPS, _step, node.index.performed_steps.restore)


def _step(fields: dict[str, Any]) -> PerformedStep:
    moments = {name: datetime.fromisoformat(fields.pop(name)) for name in _MOMENTS}
    lists = {name: tuple(map(str, fields.pop(name))) for name in _LISTS}
    return PerformedStep(**{name: str(text) for name, text in fields.items()}, **moments, **lists)
