"""What was made here from what was received: an object that takes the place of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from peewee import SQL, Model, ModelSelect, Node, Query, fn

from medserver.dicom.part10 import Original
from medserver.index.database.backend import Backend
from medserver.index.database.models import Instances, Locations, Objects
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.objects.lineage import RESTORED
from medserver.index.objects.records import GOOD, ObjectKey

PAGE_ROWS = 500

_FORMS, _ORIGINALS = Objects.alias("forms"), Objects.alias("originals")
_ORIGINAL = (_ORIGINALS.transfer_syntax_uid, _ORIGINALS.digest, _ORIGINALS.size_bytes, _FORMS.pixel_digest)


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
        self._backend = backend

    @statement
    def _original(self) -> Query:
        return _pairs(*_ORIGINAL).where(_of_key(_FORMS))

    @statement
    def _made_from(self) -> Query:
        made = _pairs(_FORMS.digest, _FORMS.transfer_syntax_uid).where(_of_key(_ORIGINALS))
        return made.order_by(_FORMS.is_current.desc(), _FORMS.made_how.desc(), _FORMS.id)

    @statement
    def _page(self) -> Query:
        better = Objects.alias("better")
        restored = (better.made_from == _FORMS.made_from) & (better.made_how == RESTORED) & (_FORMS.id != better.id)
        is_restored = fn.EXISTS(better.select(SQL("1")).where(restored))
        stored = (Locations.object == _ORIGINALS.id) & (Locations.state == GOOD)
        has_original = fn.EXISTS(Locations.select(SQL("1")).where(stored))
        is_needed = ~is_restored & ~((_FORMS.is_current == 0) & has_original)
        columns = (_FORMS.id, Instances.sop_instance_uid, _FORMS.digest, _FORMS.transfer_syntax_uid, *_ORIGINAL)
        return _pairs(*columns).where((_FORMS.id > PARAMETER) & is_needed).order_by(_FORMS.id).limit(PAGE_ROWS)

    @statement
    def _count(self) -> Query:
        return Objects.select(fn.COUNT(SQL("*"))).where(_has_form())

    @statement
    def _kept(self) -> Query:
        is_stored = fn.EXISTS(Locations.select(SQL("1")).where(Locations.object == Objects.id))
        size_bytes = fn.COALESCE(fn.SUM(Objects.size_bytes), 0)
        return Objects.select(fn.COUNT(SQL("*")), size_bytes).where(_has_form() & is_stored)

    def original_of(self, key: ObjectKey) -> Original | None:
        """Return what an object was made from here, None if it was received as it is."""
        rows = self._rows(self._original, (key.sop_instance_uid, key.digest, key.transfer_syntax_uid))
        return Original(*rows[0]) if rows else None

    def made_from(self, key: ObjectKey) -> list[ObjectKey]:
        """Return what was made from an object: the current object first, what has restored its pixels before others."""
        rows = self._rows(self._made_from, (key.sop_instance_uid, key.digest, key.transfer_syntax_uid))
        return [ObjectKey(key.sop_instance_uid, *row) for row in rows]

    def count(self) -> int:
        """Return how many originals are known, stored or not."""
        return self._rows(self._count, ())[0][0]

    def all(self) -> Iterator[Form]:
        """Yield every object that was made from another one and may be needed for its pixels.

        They are not where another form has restored them, or the original is stored and this form not in its place.
        """
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


def _pairs(*columns: Node) -> ModelSelect:
    """Select from forms, each with its original and its instance."""
    pairs = _FORMS.select(*columns).join(_ORIGINALS, on=_ORIGINALS.id == _FORMS.made_from)
    return pairs.join_from(_FORMS, Instances, on=Instances.id == _FORMS.instance)


def _of_key(model: type[Model]) -> Node:
    return (
        (Instances.sop_instance_uid == PARAMETER)
        & (model.digest == PARAMETER)
        & (model.transfer_syntax_uid == PARAMETER)
    )


def _has_form() -> Node:
    return fn.EXISTS(_FORMS.select(SQL("1")).where(_FORMS.made_from == Objects.id))
