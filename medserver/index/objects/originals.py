"""What was replaced by a compressed form of itself: known by its digests, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from medserver.dicom.part10 import Original
from medserver.index.database.backend import Backend

PAGE_ROWS = 500

_COLUMNS = "sop_instance_uid, digest, transfer_syntax_uid, size_bytes, pixel_digest, compressed_digest"


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object: the same SOP Instance with other bytes is another one.

    Parameters
    ----------
    sop_instance_uid, digest, transfer_syntax_uid : str
        Which.
    """

    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Form:
    """What took the place of an original, and that."""

    key: ObjectKey
    original: Original


class OriginalTable:
    """The table of originals.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.sql(
            f"INSERT INTO originals ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (sop_instance_uid, digest, transfer_syntax_uid) DO UPDATE SET "
            "compressed_digest = excluded.compressed_digest"
        )
        self._compressed = backend.sql(
            "SELECT compressed_digest FROM originals "
            "WHERE sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ?"
        )
        self._of = backend.sql(
            "SELECT transfer_syntax_uid, digest, size_bytes, pixel_digest FROM originals "
            "WHERE sop_instance_uid = ? AND compressed_digest = ?"
        )
        self._form = backend.sql(
            "SELECT instances.digest, instances.transfer_syntax_uid FROM originals JOIN instances "
            "ON instances.sop_instance_uid = originals.sop_instance_uid AND instances.digest = compressed_digest "
            "WHERE originals.sop_instance_uid = ? AND originals.digest = ? AND originals.transfer_syntax_uid = ?"
        )
        of_form = "sop_instance_uid = originals.sop_instance_uid AND {0}.digest = compressed_digest"
        self._forms = backend.sql(
            "SELECT originals.id, originals.sop_instance_uid, compressed_digest, "
            "COALESCE(instances.transfer_syntax_uid, duplicates.transfer_syntax_uid), "
            "originals.transfer_syntax_uid, originals.digest, originals.size_bytes, pixel_digest FROM originals "
            f"LEFT JOIN instances ON instances.{of_form.format('instances')} "
            f"LEFT JOIN duplicates ON duplicates.{of_form.format('duplicates')} "
            f"WHERE originals.id > ? ORDER BY originals.id LIMIT {PAGE_ROWS}"
        )
        self._count = backend.sql("SELECT COUNT(*) FROM originals")
        self._kept = backend.sql(
            "SELECT COUNT(*), COALESCE(SUM(duplicates.size_bytes), 0) FROM originals "
            "JOIN duplicates ON duplicates.sop_instance_uid = originals.sop_instance_uid "
            "AND duplicates.digest = originals.digest "
            "AND duplicates.transfer_syntax_uid = originals.transfer_syntax_uid"
        )

    def add(self, connection: Any, sop_instance_uid: str, original: Original, compressed_digest: str) -> None:
        """Note what an object was before it was compressed."""
        row = (original.digest, original.transfer_syntax_uid, original.size_bytes, original.pixel_digest)
        connection.execute(self._insert, (sop_instance_uid, *row, compressed_digest))

    def compressed_digest(self, connection: Any, key: tuple[str, str, str]) -> str | None:
        """Return the digest of what took the place of an object (UID, digest, transfer syntax), None if nothing did."""
        rows = connection.execute(self._compressed, key).fetchall()
        return rows[0][0] if rows else None

    def original(self, connection: Any, sop_instance_uid: str, compressed_digest: str) -> Original | None:
        """Return what a compressed object was before, None if it was received as it is."""
        rows = connection.execute(self._of, (sop_instance_uid, compressed_digest)).fetchall()
        return Original(*rows[0]) if rows else None

    def form(self, connection: Any, key: ObjectKey) -> ObjectKey | None:
        """Return the instance that took the place of an object, None if none did."""
        row = (key.sop_instance_uid, key.digest, key.transfer_syntax_uid)
        rows = connection.execute(self._form, row).fetchall()
        return ObjectKey(key.sop_instance_uid, *rows[0]) if rows else None

    def count(self, connection: Any) -> int:
        """Return how many originals are known."""
        [[count]] = connection.execute(self._count).fetchall()
        return count

    def forms(self, connection: Any, after: int) -> list[tuple[int, Form | None]]:
        """Return the next forms in the order of their originals' rows, None for one that is not stored any more."""
        return [
            (row[0], Form(ObjectKey(*row[1:4]), Original(*row[4:])) if row[3] else None)
            for row in connection.execute(self._forms, (after,)).fetchall()
        ]

    def kept(self, connection: Any) -> tuple[int, int]:
        """Return how many originals are stored beside their compressed forms, and their size in bytes."""
        [[count, size_bytes]] = connection.execute(self._kept).fetchall()
        return count, int(size_bytes)


class Originals:
    """What the index tells of originals, `Index.originals`. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    read : callable
        As for `access.Access`.
    table : OriginalTable
        The table.
    """

    def __init__(self, read: Callable[..., Any], table: OriginalTable) -> None:
        self._read = read
        self._table = table

    def of(self, sop_instance_uid: str, digest: str) -> Original | None:
        """Return what a stored object was before it was compressed here, None if it was received as it is."""
        return self._read(self._table.original, sop_instance_uid, digest)

    def form_of(self, key: ObjectKey) -> ObjectKey | None:
        """Return the compressed form that took the place of an object and is the instance now, None if none is."""
        return self._read(self._table.form, key)

    def count(self) -> int:
        """Return how many originals are known, stored or not."""
        return self._read(self._table.count)

    def forms(self) -> Iterator[Form]:
        """Yield everything that took the place of an original and is stored, as the instance or aside."""
        after = 0
        while page := self._read(self._table.forms, after):
            yield from (form for _, form in page if form is not None)
            after = page[-1][0]

    def kept(self) -> tuple[int, int]:
        """Return how many originals are stored beside their compressed forms, and the size of their data sets [bytes].

        Each is counted once, however many copies it has.
        """
        return self._read(self._table.kept)
