"""Which volumes belong to the archive, `Index.volumes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from medserver.index.database.access import Access


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
        sql = access.backend.sql
        columns = "name, volume_uuid, archive_uuid, marked, detached"
        self._all = f"SELECT {columns} FROM volumes ORDER BY name"
        self._add = sql(
            f"INSERT INTO volumes ({columns}) SELECT ?, ?, ?, ?, ? "
            "WHERE NOT EXISTS (SELECT 1 FROM volumes WHERE name = ? OR volume_uuid = ? OR archive_uuid <> ?)"
        )
        self._remove = sql("DELETE FROM volumes WHERE name = ?")
        self._note_marked = sql("UPDATE volumes SET marked = 1 WHERE name = ? AND volume_uuid = ?")
        self._set_detached = sql("UPDATE volumes SET detached = ? WHERE name = ? RETURNING name")

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

    def _lock(self, connection: Any) -> None:
        """Let two processes that start at the same time not make two archives."""
        self._access.backend.lock(connection, "volumes")

    def _insert(self, connection: Any, volume: RecordedVolume) -> None:
        name, volume_uuid, archive_uuid, marked, detached = astuple(volume)
        row = (name, volume_uuid, archive_uuid, int(marked), int(detached))
        connection.execute(self._add, (*row, name, volume_uuid, archive_uuid))
