"""Reading copies: a location, the object that it holds, and the instance that this is a version of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import ModelSelect, Node

from medserver.index.database.models import Instances, Locations, Objects, Series, Studies
from medserver.index.database.moments import from_text
from medserver.index.objects.records import GOOD, StoredCopy

_COLUMNS = (
    (Locations, ("id", "volume", "path", "data_set_offset", "meta_digest", "state", "verified_at")),
    (Instances, ("sop_instance_uid",)),
    (
        Objects,
        ("sop_class_uid", "transfer_syntax_uid", "digest", "size_bytes", "received_at", "calling_ae_title",
         "is_current", "receipts"),
    ),
    (Studies, ("study_instance_uid",)),
)  # fmt: skip
"""The number of the location, and what a `StoredCopy` is made of, in its order."""

COPY_COLUMNS: tuple[Node, ...] = tuple(getattr(model, name) for model, names in _COLUMNS for name in names)
"""The columns that `copy_of` understands, of a query that joins locations, objects, instances, series and studies."""

_VOLUME, _STATE, _VERIFIED_AT, _RECEIVED_AT, _IS_CURRENT = 1, 5, 6, 12, 14


def select_copies() -> ModelSelect:
    """Build the query of all copies, whose rows `copy_of` understands."""
    return Locations.select(*COPY_COLUMNS).join(Objects).join(Instances).join(Series).join(Studies)


def copy_of(row: Sequence[Any]) -> StoredCopy:
    """Make a copy from the values of `COPY_COLUMNS`."""
    values = list(row)
    values[_VERIFIED_AT] = from_text(values[_VERIFIED_AT]) if values[_VERIFIED_AT] else None
    values[_RECEIVED_AT] = from_text(values[_RECEIVED_AT])
    values[_IS_CURRENT] = bool(values[_IS_CURRENT])
    return StoredCopy(*values[1:])


class Preference:
    """Which copy of an object is read first: a good one, on the volume that is named first, the oldest.

    Parameters
    ----------
    volumes : sequence of str
        Names of volumes, the best first. Those that are not named come last.
    """

    def __init__(self, volumes: Sequence[str] = ()) -> None:
        self._ranks = {name: rank for rank, name in enumerate(volumes)}

    def key(self, row: Sequence[Any]) -> tuple[bool, int, int]:
        """Return what sorts rows of `COPY_COLUMNS`."""
        return row[_STATE] != GOOD, self._ranks.get(row[_VOLUME], len(self._ranks)), row[0]

    def first(self, rows: Iterable[Sequence[Any]]) -> dict[int, Sequence[Any]]:
        """Return the preferred one of the rows of each instance.

        Parameters
        ----------
        rows : iterable of sequence
            Each begins with the number of the instance and ends with `COPY_COLUMNS`.

        Returns
        -------
        dict of int to sequence
            By the number of the instance.
        """
        width = len(COPY_COLUMNS)
        found: dict[int, Sequence[Any]] = {}
        for row in rows:
            present = found.setdefault(row[0], row)
            if present is not row and self.key(row[-width:]) < self.key(present[-width:]):
                found[row[0]] = row
        return found
