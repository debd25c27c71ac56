"""The objects of instances as people see them, with their numbers: `Index.versions`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import SQL, ModelSelect, Query, fn

from medserver.index.database.access import Access
from medserver.index.database.models import Instances, Locations, Objects
from medserver.index.database.moments import from_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.objects.deletions import IS_ORDERED
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.records import ObjectKey, StoredCopy

PAGE_ROWS = 500

_COLUMNS = (
    Objects.id,
    Instances.sop_instance_uid,
    *(getattr(Objects, name) for name in (
        "digest", "transfer_syntax_uid", "sop_class_uid", "size_bytes", "received_at", "calling_ae_title", "receipts",
        "is_current", "made_from", "made_how",
    )),
)  # fmt: skip
_IS_DUPLICATE = (Objects.is_current == 0) & fn.EXISTS(
    Locations.select(SQL("1")).where(Locations.object == Objects.id)
)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """An object of an instance, stored or known by what was made from it.

    Parameters
    ----------
    number : int
        Its number in this index, which never changes.
    sop_instance_uid, digest, transfer_syntax_uid, sop_class_uid, size_bytes, received_at, calling_ae_title
        As in `InstanceRecord`.
    receipts : int
        How often it was received.
    is_current : bool
        Whether it is the one that is found and retrieved under its SOP Instance UID.
    made_from : int or None
        The number of the object that it was made from here, None if it was received.
    made_how : str or None
        ``compressed`` or ``restored``: with the pixels of an original that had lost them.
    forms : tuple of int
        The numbers of the objects that were made from it here.
    is_to_be_deleted : bool
        Whether its deletion is ordered, and waits.
    copies : tuple of StoredCopy
        Where it lies, the one to read first first. Empty if it was let go for what was made from it, or is lost.
    """

    number: int
    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str
    sop_class_uid: str
    size_bytes: int
    received_at: datetime
    calling_ae_title: str | None
    receipts: int
    is_current: bool
    made_from: int | None
    made_how: str | None
    is_to_be_deleted: bool
    forms: tuple[int, ...]
    copies: tuple[StoredCopy, ...]

    @property
    def key(self) -> ObjectKey:
        """Which object it is."""
        return ObjectKey(self.sop_instance_uid, self.digest, self.transfer_syntax_uid)


class ObjectVersions:
    """The objects of an index. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    locations : LocationTable
        Where they lie.
    """

    def __init__(self, access: Access, locations: LocationTable) -> None:
        self._access = access
        self._backend = access.backend
        self._locations = locations

    @statement
    def _forms(self) -> Query:
        made = Objects.select(Objects.made_from, Objects.id).where(self._backend.is_among(Objects.made_from))
        return made.order_by(Objects.id)

    @statement
    def _get(self) -> Query:
        return _select_versions().where(Objects.id == PARAMETER)

    @statement
    def _of(self) -> Query:
        return _select_versions().where(Instances.sop_instance_uid == PARAMETER).order_by(Objects.id)

    @statement
    def _duplicates(self) -> Query:
        rest = _select_versions().where(_IS_DUPLICATE & (Objects.id > PARAMETER))
        return rest.order_by(Objects.id).limit(PAGE_ROWS)

    @statement
    def _duplicates_of(self) -> Query:
        chosen = self._backend.is_among(Instances.sop_instance_uid)
        return _select_versions().where(_IS_DUPLICATE & chosen).order_by(Objects.id)

    def get(self, number: int) -> ObjectVersion | None:
        """Return an object by its number; None if there is none."""
        found = self._access.read(self._versions, self._get, number)
        return found[0] if found else None

    def of(self, sop_instance_uid: str) -> list[ObjectVersion]:
        """Return every object of an instance, the oldest first."""
        return self._access.read(self._versions, self._of, sop_instance_uid)

    def has(self, key: ObjectKey) -> bool:
        """Whether an object is known, stored or not."""
        return any(one.key == key for one in self.of(key.sop_instance_uid))

    def duplicates(self) -> Iterator[ObjectVersion]:
        """Yield the objects that are stored and not current, the oldest first."""
        after = 0
        while page := self._access.read(self._versions, self._duplicates, after):
            yield from page
            after = page[-1].number

    def duplicates_of(self, sop_instance_uids: Sequence[str]) -> list[ObjectVersion]:
        """Return the objects of some instances that are stored and not current, the oldest first."""
        listed = self._backend.list_parameter(sop_instance_uids)
        return self._access.read(self._versions, self._duplicates_of, listed)

    def _versions(self, connection: Any, statement: str, parameter: Any) -> list[ObjectVersion]:
        rows = connection.execute(statement, (parameter,)).fetchall()
        copies = self._locations.of(connection, [ObjectKey(*row[1:4]) for row in rows])
        forms: defaultdict[int, list[int]] = defaultdict(list)
        numbers = self._backend.list_parameter([row[0] for row in rows])
        for made_from, number in connection.execute(self._forms, (numbers,)).fetchall():
            forms[made_from].append(number)
        return [_version(row, forms[row[0]], found) for row, found in zip(rows, copies, strict=True)]


def _select_versions() -> ModelSelect:
    """Build the query of all objects, whose rows `_version` understands."""
    return Objects.select(*_COLUMNS, IS_ORDERED).join(Instances)


def _version(row: Sequence[Any], forms: Sequence[int], copies: Sequence[StoredCopy]) -> ObjectVersion:
    values = list(row)
    values[6] = from_text(values[6])
    values[9], values[12] = bool(values[9]), bool(values[12])
    return ObjectVersion(*values, tuple(forms), tuple(copies))
