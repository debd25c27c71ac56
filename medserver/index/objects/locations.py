"""Where objects lie: the copies that the index knows, one row each. A location never changes its object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from peewee import EXCLUDED, JOIN, SQL, Cast, Query, Tuple, fn

from medserver.index.database.backend import Backend
from medserver.index.database.models import Delivered, Instances, Locations, Objects, Series, Tombstones
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.objects.copies import Preference, copy_of, select_copies
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import GOOD, ObjectKey, StoredCopy
from medserver.index.objects.tombstones import tombstone_of_path

PAGE_ROWS = 500

RECENT_ROWS = 100
"""More than all processes enter at a time."""

_AT = (Locations.volume == PARAMETER) & (Locations.path == PARAMETER)
_OF_OBJECT = Locations.object == Objects.id
_OF_INSTANCE = Instances.sop_instance_uid == PARAMETER
_IS_VERSION = (
    (Objects.instance == PARAMETER) & (Objects.digest == PARAMETER) & (Objects.transfer_syntax_uid == PARAMETER)
)


class LocationTable:
    """The table of locations.

    Parameters
    ----------
    backend : Backend
        The database.
    pruning : Pruning
        Deletes what becomes empty.
    preference : Preference
        The order in which copies are read.
    """

    def __init__(self, backend: Backend, pruning: Pruning, preference: Preference) -> None:
        self._backend = backend
        self._pruning = pruning
        self._preference = preference

    @statement
    def _page(self) -> Query:
        place = (Locations.volume, Locations.path)
        rest = select_copies().where(Tuple(*place) > Tuple(PARAMETER, PARAMETER))
        return rest.order_by(*place).limit(PAGE_ROWS)

    @statement
    def _find(self) -> Query:
        return Locations.select(SQL("1")).where(_AT)

    @statement
    def _at(self) -> Query:
        return select_copies().where(_AT)

    @statement
    def _is_known(self) -> Query:
        """Most of what is received is new: that is found out without the other tables."""
        deleted = Tombstones.select(SQL("1")).where(Tombstones.sop_instance_uid == PARAMETER)
        return Instances.select(SQL("1")).where(_OF_INSTANCE).union_all(deleted)

    @statement
    def _moments(self) -> Query:
        objects = Objects.select(Objects.received_at, Locations.path).join(Instances)
        received = objects.join_from(Objects, Locations, JOIN.LEFT_OUTER, on=_OF_OBJECT).where(_OF_INSTANCE)
        deleted = Tombstones.select(Tombstones.deleted_at, SQL("NULL"))
        return received.union_all(deleted.where(Tombstones.sop_instance_uid == PARAMETER))

    @statement
    def _series_of(self) -> Query:
        rows = Instances.select(Instances.sop_instance_uid, Series.series_instance_uid, Series.modality).join(Series)
        return rows.where(self._backend.is_among(Instances.sop_instance_uid))

    @statement
    def _of_instances(self) -> Query:
        return select_copies().where(self._backend.is_among(Instances.sop_instance_uid))

    @statement
    def _duplicates(self) -> Query:
        copies = Locations.alias()
        is_first = Locations.id == copies.select(fn.MIN(copies.id)).where(copies.object == Objects.id)
        rest = select_copies().where((Objects.is_current == 0) & is_first & (Locations.id > PARAMETER))
        return rest.order_by(Locations.id).limit(PAGE_ROWS)

    @statement
    def _recent(self) -> Query:
        newest = Locations.select(Locations.path).where(Locations.volume == PARAMETER).order_by(Locations.id.desc())
        recent = newest.limit(RECENT_ROWS)
        return recent.select_from(fn.MIN(recent.c.path))

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(Instances.select(Instances.id).where(_OF_INSTANCE))

    @statement
    def _object_of(self) -> Query:
        return Objects.select(Objects.id).where(_IS_VERSION)

    @statement
    def _is_current(self) -> Query:
        return Objects.select(SQL("1")).where(_IS_VERSION & (Objects.is_current == 1))

    @statement
    def _add(self) -> Query:
        """What is read and compared is what was written, wherever it lies; a bad copy is replaced by it."""
        learned = (Locations.data_set_offset, Locations.meta_digest, Locations.verified_at)
        row = insertion(Locations, ("object", "volume", "path", *(column.name for column in learned)))
        return row.on_conflict(
            conflict_target=(Locations.volume, Locations.path),
            preserve=learned,
            update={Locations.state: GOOD},
            where=Locations.object == EXCLUDED.object,
        ).returning(Locations.id)

    @statement
    def _tombstone(self) -> Query:
        return tombstone_of_path()

    @statement
    def _mark(self) -> Query:
        moment = Cast(PARAMETER, "TEXT")
        changed = {Locations.state: PARAMETER, Locations.verified_at: fn.COALESCE(moment, Locations.verified_at)}
        is_news = (Locations.state != PARAMETER) | moment.is_null(False)
        return Locations.update(changed).where(_AT & is_news).returning(Locations.id)

    @statement
    def _delete(self) -> Query:
        return Locations.delete().where(_AT).returning(Locations.object)

    @statement
    def _delete_object(self) -> Query:
        forms, others = Objects.alias(), Objects.alias()
        has_file = fn.EXISTS(Locations.select(SQL("1")).where(_OF_OBJECT))
        has_form = fn.EXISTS(forms.select(SQL("1")).where(forms.made_from == Objects.id))
        files = others.select(SQL("1")).join(Locations, on=Locations.object == others.id)
        # An instance keeps its current object as long as it has others: if that is received again, it is whole.
        is_needed = (Objects.is_current == 1) & fn.EXISTS(files.where(others.instance == Objects.instance))
        forgotten = Objects.delete().where((Objects.id == PARAMETER) & ~has_file & ~has_form & ~is_needed)
        return forgotten.returning(Objects.instance, Objects.made_from)

    @statement
    def _current_beside(self) -> Query:
        one = Objects.alias()
        instance = one.select(one.instance).where(one.id == PARAMETER)
        current = (Objects.is_current == 1) & (Objects.instance == instance)
        return Objects.select(Objects.id).where(current & (Objects.id != PARAMETER))

    @statement
    def _delete_instance(self) -> Query:
        has_object = fn.EXISTS(Objects.select(SQL("1")).where(Objects.instance == Instances.id))
        gone = Instances.delete().where((Instances.id == PARAMETER) & ~has_object)
        return gone.returning(Instances.series, Instances.sop_instance_uid)

    @statement
    def _forget_delivered(self) -> Query:
        return Delivered.delete().where(Delivered.sop_instance_uid == PARAMETER)

    def page(self, connection: Any, after: tuple[str, str]) -> list[StoredCopy]:
        """Return the next locations after a volume and path, in that order; an empty list at the end."""
        return [copy_of(row) for row in connection.execute(self._page, after).fetchall()]

    def at(self, connection: Any, volume: str, path: str) -> StoredCopy | None:
        """Return what the index knows of a file, None if it does not refer to it."""
        rows = connection.execute(self._at, (volume, path)).fetchall()
        return copy_of(rows[0]) if rows else None

    def has(self, connection: Any, volume: str, path: str) -> bool:
        """Whether the index refers to a file."""
        return bool(connection.execute(self._find, (volume, path)).fetchall())

    def last_known(self, connection: Any, sop_instance_uid: str) -> tuple[datetime | None, str | None]:
        """Return when an object of an instance was last received or ordered to be deleted, and the latest path."""
        both = sop_instance_uid, sop_instance_uid
        if not connection.execute(self._is_known, both).fetchall():
            return None, None
        rows = connection.execute(self._moments, both).fetchall()
        return max(from_text(moment) for moment, _ in rows), max((path for _, path in rows if path), default=None)

    def instances(self, connection: Any, sop_instance_uids: Sequence[str]) -> dict[str, StoredCopy]:
        """Return the preferred copy of the current object of each instance, by SOP Instance UID."""
        copies: dict[str, StoredCopy] = {}
        for copy in self._of(connection, sop_instance_uids):
            if copy.is_current:
                copies.setdefault(copy.sop_instance_uid, copy)
        return copies

    def series_of(self, connection: Any, sop_instance_uids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return the Series Instance UID and Modality of each instance, by SOP Instance UID."""
        uids = self._backend.list_parameter(sop_instance_uids)
        rows = connection.execute(self._series_of, (uids,)).fetchall()
        return {uid: (series_instance_uid, modality or "") for uid, series_instance_uid, modality in rows}

    def of(self, connection: Any, objects: Sequence[ObjectKey]) -> list[list[StoredCopy]]:
        """Return all copies of each object, the one to read first first."""
        copies: defaultdict[ObjectKey, list[StoredCopy]] = defaultdict(list)
        for copy in self._of(connection, [one.sop_instance_uid for one in objects]):
            copies[copy.key].append(copy)
        return [copies.get(one, []) for one in objects]

    def _of(self, connection: Any, sop_instance_uids: Sequence[str]) -> list[StoredCopy]:
        rows = connection.execute(self._of_instances, (self._backend.list_parameter(sop_instance_uids),)).fetchall()
        return [copy_of(row) for row in sorted(rows, key=self._preference.key)]

    def duplicates(self, connection: Any, after: int) -> list[tuple[int, StoredCopy]]:
        """Return the next objects that are not current, each with its first copy, and the numbers of these."""
        return [(row[0], copy_of(row)) for row in connection.execute(self._duplicates, (after,)).fetchall()]

    def recent(self, connection: Any, volume: str) -> str | None:
        """Return the first path, in their order, of the files that were entered last; None if there is no file."""
        return connection.execute(self._recent, (volume,)).fetchone()[0]

    def add(self, connection: Any, copy: StoredCopy) -> bool:
        """Enter a copy of an object that the index knows, as good; False if the index does not know the object.

        Nor if that was deleted since somebody looked, and received again: then the copy is of a file that was deleted.

        Raises
        ------
        ValueError
            Another object lies there.
        """
        for (instance,) in connection.execute(self._lock, (copy.sop_instance_uid,)).fetchall():
            version = (instance, copy.digest, copy.transfer_syntax_uid)
            if connection.execute(self._tombstone, (copy.sop_instance_uid, *version[1:], copy.path)).fetchall():
                return False
            for (number,) in connection.execute(self._object_of, version).fetchall():
                return self._enter(connection, copy, number)
        return False

    def _enter(self, connection: Any, copy: StoredCopy, number: int) -> bool:
        moment = to_text(copy.verified_at) if copy.verified_at else None
        row = (number, copy.volume, copy.path, copy.data_set_offset, copy.meta_digest, moment)
        if not connection.execute(self._add, row).fetchall():
            raise ValueError(f"{copy.volume}:{copy.path}: another object lies there")
        return True

    def is_current(self, connection: Any, copy: StoredCopy) -> bool:
        """Lock the instance of a copy, and tell whether its object is the current one now."""
        for (instance,) in connection.execute(self._lock, (copy.sop_instance_uid,)).fetchall():
            version = (instance, copy.digest, copy.transfer_syntax_uid)
            return bool(connection.execute(self._is_current, version).fetchall())
        return False

    def mark(self, connection: Any, volume: str, path: str, state: str, verified_at: datetime | None) -> bool:
        """Note the state of a copy; False if it was known, or the copy is not."""
        moment = to_text(verified_at) if verified_at else None
        return bool(connection.execute(self._mark, (state, moment, volume, path, state, moment)).fetchall())

    def remove(self, connection: Any, copies: Iterable[StoredCopy]) -> None:
        """Forget copies, those objects that have no other and of which nothing was made, and what becomes empty.

        Parameters
        ----------
        connection
            A connection in a transaction, which will forget no others.
        copies : iterable of StoredCopy
            Which; those that are not known any more are none.
        """
        # Of two who each forget one of two copies the second one must see what the first did.
        ordered = sorted(copies, key=lambda one: (one.sop_instance_uid, one.volume, one.path))
        for instance in dict.fromkeys(one.sop_instance_uid for one in ordered):
            connection.execute(self._lock, (instance,)).fetchall()
        series: set[int] = set()
        for copy in ordered:
            for (number,) in connection.execute(self._delete, (copy.volume, copy.path)).fetchall():
                # The current object, if it is lost, may have been kept for this one alone.
                current = connection.execute(self._current_beside, (number, number)).fetchall()
                for (each,) in [(number,), *current]:
                    series.update(self._forget(connection, each))
        self._pruning.prune(connection, series)

    def _forget(self, connection: Any, number: int) -> Iterator[int]:
        """Delete an object that has no copy, what it was made from likewise, then the instance; yield its series."""
        for instance, made_from in connection.execute(self._delete_object, (number,)).fetchall():
            if made_from is not None:
                yield from self._forget(connection, made_from)
            for series, sop_instance_uid in connection.execute(self._delete_instance, (instance,)).fetchall():
                connection.execute(self._forget_delivered, (sop_instance_uid,))
                yield series
