"""What was made here from what was received: an object that takes the place of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from medserver.dicom.part10 import Original
from medserver.index.database.backend import Backend
from medserver.index.objects.records import ObjectKey

PAGE_ROWS = 500

_OF_INSTANCE = "JOIN instances ON instances.id = forms.instance"
_PAIRS = "objects AS forms JOIN objects AS originals ON originals.id = forms.made_from"
_ORIGINAL = "originals.transfer_syntax_uid, originals.digest, originals.size_bytes, forms.pixel_digest"


@dataclass(frozen=True, slots=True)
class Form:
    """What was made from an original, and that."""

    key: ObjectKey
    original: Original


class Forms:
    """The forms of an index, `Index.forms`. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    read : callable
        As for `access.Access`.
    backend : Backend
        The database.
    """

    def __init__(self, read: Callable[..., Any], backend: Backend) -> None:
        self._read = read
        sql = backend.sql
        self._original = sql(
            f"SELECT {_ORIGINAL} FROM {_PAIRS} {_OF_INSTANCE} "
            "WHERE sop_instance_uid = ? AND forms.digest = ? AND forms.transfer_syntax_uid = ?"
        )
        self._current = sql(
            f"SELECT forms.digest, forms.transfer_syntax_uid FROM {_PAIRS} {_OF_INSTANCE} WHERE sop_instance_uid = ? "
            "AND originals.digest = ? AND originals.transfer_syntax_uid = ? AND forms.is_current = 1"
        )
        self._page = sql(
            f"SELECT forms.id, sop_instance_uid, forms.digest, forms.transfer_syntax_uid, {_ORIGINAL} "
            f"FROM {_PAIRS} {_OF_INSTANCE} WHERE forms.id > ? AND NOT EXISTS (SELECT 1 FROM objects AS better "
            "WHERE better.made_from = forms.made_from AND better.made_how = 'restored' AND forms.id <> better.id) "
            f"ORDER BY forms.id LIMIT {PAGE_ROWS}"
        )
        has_form = "EXISTS (SELECT 1 FROM objects AS forms WHERE forms.made_from = objects.id)"
        self._count = sql(f"SELECT COUNT(*) FROM objects WHERE {has_form}")
        self._kept = sql(
            f"SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM objects WHERE {has_form} "
            "AND EXISTS (SELECT 1 FROM locations WHERE locations.object = objects.id)"
        )

    def original_of(self, key: ObjectKey) -> Original | None:
        """Return what an object was made from here, None if it was received as it is."""
        rows = self._rows(self._original, (key.sop_instance_uid, key.digest, key.transfer_syntax_uid))
        return Original(*rows[0]) if rows else None

    def current_form_of(self, key: ObjectKey) -> ObjectKey | None:
        """Return the current object if it was made from this one."""
        rows = self._rows(self._current, (key.sop_instance_uid, key.digest, key.transfer_syntax_uid))
        return ObjectKey(key.sop_instance_uid, *rows[0]) if rows else None

    def count(self) -> int:
        """Return how many originals are known, stored or not."""
        return self._rows(self._count, ())[0][0]

    def all(self) -> Iterator[Form]:
        """Yield every object that was made from another one, but those whose pixels another one has restored."""
        after = 0
        while page := self._rows(self._page, (after,)):
            yield from (Form(ObjectKey(*row[1:4]), Original(*row[4:])) for row in page)
            after = page[-1][0]

    def kept(self) -> tuple[int, int]:
        """Return how many originals are stored beside their forms, and the size of their data sets [bytes].

        Each is counted once, however many copies it has.
        """
        count, size_bytes = self._rows(self._kept, ())[0]
        return count, int(size_bytes)

    def _rows(self, statement: str, parameters: tuple) -> list[tuple]:
        return self._read(lambda connection: connection.execute(statement, parameters).fetchall())
