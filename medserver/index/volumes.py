"""Which volumes belong to the archive, `Index.volumes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from peewee import SQL, Query, Select, fn

from medserver.index.database import models
from medserver.index.database.access import Access
from medserver.index.database.models import Progress
from medserver.index.database.moments import to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

_ROWS = models.Volumes
_COLUMNS = [_ROWS.name, _ROWS.volume_uuid, _ROWS.archive_uuid, _ROWS.marked, _ROWS.detached]


@dataclass(frozen=True, slots=True)
class RecordedVolume:
    """A volume of the archive.

    Parameters
    ----------
    name : str
        As in the configuration.
    volume_uuid, archive_uuid : str
        What its marker holds; the archive is the same for all.
    marked : bool
        Whether the marker has been made. It is made once, by whoever reaches the volume first.
    detached : bool
        Whether an administrator has let go of it.
    """

    name: str
    volume_uuid: str
    archive_uuid: str
    marked: bool = False
    detached: bool = False


class Volumes:
    """The volumes of the archive. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _all(self) -> Query:
        return _ROWS.select(*_COLUMNS).order_by(_ROWS.name)

    @statement
    def _add(self) -> Query:
        same = (_ROWS.name == PARAMETER) | (_ROWS.volume_uuid == PARAMETER) | (_ROWS.archive_uuid != PARAMETER)
        is_free = ~fn.EXISTS(_ROWS.select(SQL("1")).where(same))
        return _ROWS.insert_from(Select(columns=[PARAMETER] * len(_COLUMNS)).where(is_free), _COLUMNS)

    @statement
    def _remove(self) -> Query:
        return _ROWS.delete().where(_ROWS.name == PARAMETER)

    @statement
    def _note_marked(self) -> Query:
        return _ROWS.update({_ROWS.marked: 1}).where((_ROWS.name == PARAMETER) & (_ROWS.volume_uuid == PARAMETER))

    @statement
    def _set_detached(self) -> Query:
        detached = _ROWS.update({_ROWS.detached: PARAMETER}).where(_ROWS.name == PARAMETER)
        return detached.returning(_ROWS.name)

    @statement
    def _miss(self) -> Query:
        missed = insertion(Progress, ("name", "value"))
        return missed.on_conflict(conflict_target=[Progress.name], preserve=[Progress.value])

    @statement
    def _missed(self) -> Query:
        return Progress.select(Progress.value).where(Progress.name == PARAMETER)

    @statement
    def _catch_up(self) -> Query:
        return Progress.delete().where((Progress.name == PARAMETER) & (Progress.value == PARAMETER))

    def all(self) -> dict[str, RecordedVolume]:
        """Return all volumes by name; none if the archive is new, or its index is."""
        rows = self._access.rows(self._all)
        return {row[0]: RecordedVolume(*row[:3], bool(row[3]), bool(row[4])) for row in rows}

    def add(self, volumes: Iterable[RecordedVolume]) -> None:
        """Record volumes, in one transaction; not one whose name or UUID is recorded, or of another archive."""
        volumes = list(volumes)

        def perform(connection: Any) -> None:
            self._lock(connection)
            for each in volumes:
                self._insert(connection, each)

        self._access.writer.run(perform)

    def replace(self, volume: RecordedVolume) -> None:
        """Record a volume in the place of the one that has its name."""

        def perform(connection: Any) -> None:
            self._lock(connection)
            connection.execute(self._remove, (volume.name,))
            self._insert(connection, volume)

        self._access.writer.run(perform)

    def note_marked(self, name: str, volume_uuid: str) -> None:
        """Note that the marker has been made."""
        self._access.writer.run(lambda connection: connection.execute(self._note_marked, (name, volume_uuid)) and None)

    def set_detached(self, name: str, detached: bool) -> bool:
        """Let go of a volume, or take it again; False if none of this name is recorded."""
        parameters = (int(detached), name)
        return self._access.writer.run(
            lambda connection: bool(connection.execute(self._set_detached, parameters).fetchall())
        )

    def note_missed_notes(self, name: str) -> None:
        """Note that a volume lacks something that was noted on others."""
        moment = to_text(self._access.clock())
        self._access.writer.run(lambda connection: connection.execute(self._miss, (_missed(name), moment)) and None)

    def missed_notes(self, name: str) -> str | None:
        """Return since when a volume lacks something that is noted on others; None if it does not."""
        rows = self._access.rows(self._missed, (_missed(name),))
        return rows[0][0] if rows else None

    def forget_missed_notes(self, name: str, missed: str) -> None:
        """Note that a volume has everything that `missed_notes` told of, and perhaps lacks something later."""
        self._access.writer.run(lambda connection: connection.execute(self._catch_up, (_missed(name), missed)) and None)

    def _lock(self, connection: Any) -> None:
        """Let two processes that start at the same time not make two archives."""
        self._access.backend.lock(connection, "volumes")

    def _insert(self, connection: Any, volume: RecordedVolume) -> None:
        name, volume_uuid, archive_uuid, marked, detached = astuple(volume)
        row = (name, volume_uuid, archive_uuid, int(marked), int(detached))
        connection.execute(self._add, (*row, name, volume_uuid, archive_uuid))


def _missed(name: str) -> str:
    return f"notes:{name}"
