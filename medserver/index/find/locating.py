"""Reading where instances lie, and which of several copies is the one to read first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import Node

from medserver.index.database.models import Instances, Locations, Studies
from medserver.index.database.moments import from_text
from medserver.index.objects.records import GOOD, StoredInstance

LOCATION_COLUMNS: tuple[Node, ...] = (
    Instances.sop_instance_uid,
    Instances.sop_class_uid,
    Instances.transfer_syntax_uid,
    Locations.volume,
    Locations.path,
    Locations.data_set_offset,
    Instances.size_bytes,
    Instances.digest,
    Locations.meta_digest,
    Studies.study_instance_uid,
    Locations.state,
    Locations.verified_at,
    Locations.id,
)
"""The columns of a `StoredInstance` and the number of its location, of a query that joins instances, their locations
and studies."""


# Where they stand, counted from the end of a row: columns of peewee cannot be looked for, they have no plain equality.
_VOLUME, _STATE, _VERIFIED_AT, _NUMBER = -10, -3, -2, -1


class Preference:
    """Which copy of an object is read first: a good one, on the volume that is named first, the oldest.

    Parameters
    ----------
    volumes : sequence of str
        Names of volumes, the best first. Those that are not named come last.
    """

    def __init__(self, volumes: Sequence[str] = ()) -> None:
        self._ranks = {name: rank for rank, name in enumerate(volumes)}

    def key(self, state: str, volume: str, number: int) -> tuple[bool, int, int]:
        """Return what sorts copies.

        Parameters
        ----------
        state, volume : str
            Of the location.
        number : int
            Its row.
        """
        return state != GOOD, self._ranks.get(volume, len(self._ranks)), number

    def first(self, rows: Iterable[Sequence[Any]]) -> dict[int, Sequence[Any]]:
        """Return one row for each instance: that of its preferred copy.

        Parameters
        ----------
        rows : iterable of sequence
            Each begins with the number of the instance and ends with `LOCATION_COLUMNS`.

        Returns
        -------
        dict of int to sequence
            By the number of the instance.
        """
        found: dict[int, Sequence[Any]] = {}
        for row in rows:
            present = found.setdefault(row[0], row)
            if present is not row and self._key_of(row) < self._key_of(present):
                found[row[0]] = row
        return found

    def _key_of(self, row: Sequence[Any]) -> tuple[bool, int, int]:
        return self.key(row[_STATE], row[_VOLUME], row[_NUMBER])


def located(row: Sequence[Any]) -> StoredInstance:
    """Make a `StoredInstance` from the values of `LOCATION_COLUMNS`."""
    return StoredInstance(
        *row[:_VERIFIED_AT], verified_at=from_text(row[_VERIFIED_AT]) if row[_VERIFIED_AT] else None
    )
