"""Adding one object to the index: what becomes of it, in one transaction.

Who adds has locked the instance, so that what is read of its objects stays true until the end of the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from peewee import SQL, Query, Select, fn

from medserver.dicom.part10 import Original
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import IndexFailure
from medserver.index.database.backend import Backend
from medserver.index.database.columns import LEVEL_COLUMNS, VALUE_COLUMNS, level_row, level_values
from medserver.index.database.models import Instances, Locations, Objects
from medserver.index.database.moments import to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.database.writer import Collision
from medserver.index.objects import lineage
from medserver.index.objects.hierarchy import Above, Hierarchy
from medserver.index.objects.lineage import BEHIND, COMPRESSED, RESTORED
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import GOOD, KNOWN, UNNEEDED, Added, InstanceRecord, ObjectKey
from medserver.index.objects.tombstones import tombstone_of_file, tombstone_row

_ATTRIBUTES = LEVEL_COLUMNS["IMAGE"]
_INSTANCE = tuple(dict.fromkeys(("sop_instance_uid", "sop_class_uid", *_ATTRIBUTES)))
_OBJECT = ("sop_class_uid", "transfer_syntax_uid", "digest", "size_bytes", "received_at", "calling_ae_title")
_FORM = ("made_from", "made_how", "pixel_digest")
_LOCATION = ("volume", "path", "data_set_offset", "meta_digest")
_ATTRIBUTE_PLACES = tuple(_ATTRIBUTES.index(name) for name in _INSTANCE[2:])
_STUDY_UID = VALUE_COLUMNS["STUDY"].index("study_instance_uid")
_SERIES_UID = VALUE_COLUMNS["SERIES"].index("series_instance_uid")


class Addition(NamedTuple):
    """An object to be added, prepared by the thread that received it.

    Parameters
    ----------
    order : tuple of str
        Patient, study, series and instance: see `Writer.run`.
    above : Above
        The values that it shares with its series.
    instance : tuple
        The row of its instance, in the order of the columns of instances, without the series.
    stored : tuple
        The row of the object: SOP class, transfer syntax, digest, size, moment of receipt, calling AE title.
    location : tuple
        Volume, path, offset of the data set and digest of what stands before.
    tombstone : tuple
        What `tombstone_of_file` asks.
    duplicates : str
        What to do if its SOP Instance UID is taken.
    original : Original or None
        What it was made from here.
    original_received_at : str
        When that was received, if nobody knows it any more.
    must_keep : bool
        Whether its file is wanted though its volume should have a good one.
    """

    order: tuple[str, ...]
    above: Above
    instance: tuple[Any, ...]
    stored: tuple[Any, ...]
    location: tuple[Any, ...]
    tombstone: tuple[str, ...]
    duplicates: str
    original: Original | None = None
    original_received_at: str = ""
    must_keep: bool = False

    @property
    def witness(self) -> tuple[str, str | None, str]:
        """SOP Instance UID, calling AE title and moment of receipt."""
        return self.instance[0], self.stored[5], self.stored[4]

    @property
    def version(self) -> tuple[str, str]:
        """Digest and transfer syntax: which object of the instance it is."""
        return self.stored[2], self.stored[1]

    @property
    def is_form(self) -> bool:
        """Whether it was made from another object: what was restored may be its original, byte for byte."""
        return self.original is not None and (self.original.digest, self.original.transfer_syntax_uid) != self.version


def prepare(record: InstanceRecord) -> Addition:
    """Convert a record to the rows that it will make.

    Parameters
    ----------
    record : InstanceRecord
        The object.

    Returns
    -------
    Addition
        For `Additions.add`.
    """
    received_at = to_text(record.received_at)
    above = Above(*(level_values(level, record.values) for level in ("PATIENT", "STUDY", "SERIES")))
    row = level_row("IMAGE", level_values("IMAGE", record.values))
    return Addition(
        order=(
            record.values.get("patient_id") or "",
            above.study[_STUDY_UID] or "",
            above.series[_SERIES_UID] or "",
            record.sop_instance_uid,
        ),
        above=above,
        instance=(record.sop_instance_uid, record.sop_class_uid, *[row[place] for place in _ATTRIBUTE_PLACES]),
        stored=(
            record.sop_class_uid,
            record.transfer_syntax_uid,
            record.digest,
            record.size_bytes,
            received_at,
            record.calling_ae_title,
        ),
        location=(record.volume, record.path, record.data_set_offset, record.meta_digest),
        tombstone=tombstone_row(record, received_at),
        duplicates=record.duplicates,
        original=record.original,
        original_received_at=to_text(record.received_at - BEHIND) if record.original else "",
    )


class WasDeleted(Exception):
    """Raised for a file of an object that was deleted on purpose: the transaction is rolled back."""


@dataclass(frozen=True, slots=True)
class Version:
    """An object of an instance that has been there before."""

    number: int
    digest: str
    transfer_syntax_uid: str
    is_current: int
    made_from: int | None
    made_how: str | None


@dataclass(frozen=True, slots=True)
class Versions:
    """The objects of an instance."""

    every: tuple[Version, ...]

    @property
    def current(self) -> Version | None:
        """The one that is found and retrieved; None if that is lost."""
        return next((one for one in self.every if one.is_current), None)

    def find(self, digest: str, transfer_syntax_uid: str) -> Version | None:
        """Return the one with these bytes, None if there is none."""
        return next(
            (one for one in self.every if (one.digest, one.transfer_syntax_uid) == (digest, transfer_syntax_uid)), None
        )

    def received(self, version: Version) -> Version:
        """Return what was received, from which an object was made, perhaps by way of others; or itself."""
        return lineage.received(self.every, version)

    def forms_of(self, version: Version) -> list[Version]:
        """Return what was made from one, not by way of others."""
        return lineage.made_from(self.every, version)

    def are_one(self, version: Version, other: Version | None) -> bool:
        """Tell whether both are, or were made from, the same that was received."""
        return other is not None and lineage.are_one(self.every, version, other)

    def leading(self, version: Version) -> Version:
        """Return what has taken the place of an object, or of what that was made from."""
        return lineage.leading(self.every, version)


class Additions:
    """Adds objects.

    Parameters
    ----------
    backend : Backend
        The database.
    hierarchy : Hierarchy
        Knows the rows above the instances.
    pruning : Pruning
        Deletes those that become empty.
    """

    def __init__(self, backend: Backend, hierarchy: Hierarchy, pruning: Pruning) -> None:
        self._backend = backend
        self._hierarchy = hierarchy
        self._pruning = pruning

    @statement
    def _insert_instance(self) -> Query:
        row = insertion(Instances, ("series", *_INSTANCE))
        row = row.on_conflict(action="NOTHING", conflict_target=[Instances.sop_instance_uid])
        return self._backend.telling(row, Instances.id)

    @statement
    def _update_instance(self) -> Query:
        changed = {getattr(Instances, name): PARAMETER for name in ("series", *_INSTANCE)}
        return Instances.update({**changed, Instances.acquisition: None}).where(Instances.id == PARAMETER)

    @statement
    def _find_instance(self) -> Query:
        found = Instances.select(Instances.id, Instances.series).where(Instances.sop_instance_uid == PARAMETER)
        return self._backend.locked(found)

    @statement
    def _insert_object(self) -> Query:
        return self._backend.telling(insertion(Objects, ("instance", "is_current", *_OBJECT)), Objects.id)

    @statement
    def _insert_form(self) -> Query:
        return self._backend.telling(insertion(Objects, ("instance", "is_current", *_OBJECT, *_FORM)), Objects.id)

    @statement
    def _versions(self) -> Query:
        columns = (Objects.digest, Objects.transfer_syntax_uid, Objects.is_current, Objects.made_from, Objects.made_how)
        return Objects.select(Objects.id, *columns).where(Objects.instance == PARAMETER).order_by(Objects.id)

    @statement
    def _count_receipt(self) -> Query:
        counted = {Objects.receipts: Objects.receipts + 1, Objects.received_again_at: PARAMETER}
        return Objects.update(counted).where(Objects.id == PARAMETER)

    @statement
    def _clear_mark(self) -> Query:
        marked = (Objects.instance == PARAMETER) & (Objects.is_current == 1)
        return Objects.update({Objects.is_current: 0}).where(marked).returning(Objects.id)

    @statement
    def _set_mark(self) -> Query:
        return Objects.update({Objects.is_current: 1}).where(Objects.id == PARAMETER)

    @statement
    def _delete_lost(self) -> Query:
        forms = Objects.alias()
        has_file = fn.EXISTS(Locations.select(SQL("1")).where(Locations.object == Objects.id))
        has_form = fn.EXISTS(forms.select(SQL("1")).where(forms.made_from == Objects.id))
        lost = (Objects.id == PARAMETER) & ~has_file & ~has_form
        return Objects.delete().where(lost).returning(Objects.made_from)

    @statement
    def _insert_location(self) -> Query:
        # Behind the lock of the instance: what somebody has deleted meanwhile is seen.
        columns = ("object", *_LOCATION)
        row = Select(columns=[PARAMETER] * len(columns)).where(~fn.EXISTS(tombstone_of_file()))
        row = Locations.insert_from(row, [getattr(Locations, name) for name in columns])
        return self._backend.telling(row, Locations.id)

    @statement
    def _find_location(self) -> Query:
        return Locations.select(Locations.id).where((Locations.volume == PARAMETER) & (Locations.path == PARAMETER))

    @statement
    def _has_good(self) -> Query:
        here = (Locations.object == PARAMETER) & (Locations.volume == PARAMETER)
        return Locations.select(SQL("1")).where(here & (Locations.state == GOOD))

    @statement
    def _bad(self) -> Query:
        bad = (Locations.object == PARAMETER) & (Locations.state != GOOD)
        return Locations.select(Locations.volume, Locations.path).where(bad).order_by(Locations.volume, Locations.path)

    @statement
    def _has_any(self) -> Query:
        return Locations.select(SQL("1")).where(Locations.object == PARAMETER).limit(1)

    @statement
    def _has_good_anywhere(self) -> Query:
        return Locations.select(SQL("1")).where((Locations.object == PARAMETER) & (Locations.state == GOOD)).limit(1)

    def add(self, connection: Any, addition: Addition, *, is_receipt: bool, must_be_current: bool = False) -> Added:
        """Add one object.

        Parameters
        ----------
        connection
            A connection in a transaction.
        addition : Addition
            The object.
        is_receipt : bool
            Whether somebody has just sent it; else it was found on a volume.
        must_be_current : bool
            Reject a form that was made of what is not the current object any more.

        Returns
        -------
        Added
            What became of it, once the transaction is committed.

        Raises
        ------
        IndexFailure
            If it names no study or series.
        WasDeleted
            If it was deleted on purpose after it was received.
        Collision
            If another process added something at the same time that it depends on.
        """
        series, conflicts = self._hierarchy.known_series(addition.above), ()
        if series is None:
            # The rows above are made for a current object only.
            if connection.execute(self._find_instance, addition.instance[:1]).fetchall():
                return self._add_again(connection, addition, is_receipt, must_be_current)
            series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        instance = self._backend.insert(connection, self._insert_instance, (series, *addition.instance))
        if instance is None:
            if conflicts:
                raise Collision
            return self._add_again(connection, addition, is_receipt, must_be_current)
        if not addition.is_form:
            self._insert(connection, addition, instance, is_current=1)
        else:
            original = self._insert_original(connection, addition, instance)
            self._insert(connection, addition, instance, is_current=1, made_from=original)
        return Added("stored", conflicts) if conflicts else _STORED

    def count_receipt(self, connection: Any, key: ObjectKey, at: datetime) -> bool:
        """Count that an object was received again at a moment; False if it is not stored, nor what was made from it."""
        for instance, _ in connection.execute(self._find_instance, (key.sop_instance_uid,)).fetchall():
            versions = self._versions_of(connection, instance)
            version = versions.find(key.digest, key.transfer_syntax_uid)
            if version is not None and any(
                self._is_good(connection, one.number) for one in (version, *versions.forms_of(version))
            ):
                connection.execute(self._count_receipt, (to_text(at), version.number))
                return True
        return False

    def _is_good(self, connection: Any, number: int) -> bool:
        return bool(connection.execute(self._has_good_anywhere, (number,)).fetchall())

    def versions(self, connection: Any, sop_instance_uid: str) -> Versions | None:
        """Lock an instance and return its objects; None if there is none."""
        for instance, _ in connection.execute(self._find_instance, (sop_instance_uid,)).fetchall():
            return self._versions_of(connection, instance)
        return None

    def make_current(self, connection: Any, addition: Addition, version: Version) -> tuple[str, ...]:
        """Make an object that is there the current one, as one of its files tells it; return new conflicts."""
        [(instance, series)] = connection.execute(self._find_instance, addition.instance[:1]).fetchall()
        return self._make_current(connection, addition, instance, series, version.number)

    def take_back(self, connection: Any, addition: Addition, form: ObjectKey) -> tuple[str, ...] | None:
        """Make an object the current one in the place of a form of it, if no copy of that is good.

        Returns
        -------
        tuple of str or None
            New conflicts. None if the form is good again, or the object is not stored: nothing was changed.
        """
        versions = self.versions(connection, form.sop_instance_uid)
        known = versions.find(*addition.version) if versions is not None else None
        lost = versions.find(form.digest, form.transfer_syntax_uid) if versions is not None else None
        if known is None or lost is None or self._is_good(connection, lost.number):
            return None
        return self.make_current(connection, addition, known) if lost.is_current else ()

    def _add_again(self, connection: Any, addition: Addition, is_receipt: bool, must_be_current: bool) -> Added:
        """Add an object whose SOP Instance UID is taken."""
        present = connection.execute(self._find_instance, addition.instance[:1]).fetchall()
        if not present:
            raise Collision
        instance, series = present[0]
        versions = self._versions_of(connection, instance)
        known = versions.find(*addition.version)
        if known is not None:
            if is_receipt:
                connection.execute(self._count_receipt, (addition.stored[4], known.number))
            return self._add_copy(connection, addition, (instance, series), versions, known)
        if addition.is_form:
            return self._add_form(connection, addition, (instance, series), versions, must_be_current)
        if addition.duplicates == "keep":
            self._insert(connection, addition, instance, is_current=0)
            return Added("kept")
        if addition.duplicates == "replace":
            conflicts = self._make_current(
                connection, addition, instance, series, self._insert(connection, addition, instance, is_current=0)
            )
            return Added("replaced", conflicts)
        if addition.duplicates == "reject":
            return Added("rejected", file=UNNEEDED)
        raise IndexFailure(f"index: duplicates = {addition.duplicates!r} is not keep, replace or reject")

    def _add_copy(
        self,
        connection: Any,
        addition: Addition,
        place: tuple[int, int],
        versions: Versions,
        known: Version,
    ) -> Added:
        """Add a file of an object that is there already, if it is the only good one on its volume."""
        volume, path = addition.location[:2]
        if connection.execute(self._find_location, (volume, path)).fetchall():
            return Added("same", file=KNOWN)
        # A second file on a volume is not needed: a volume is lost as a whole.
        if not addition.must_keep and connection.execute(self._has_good, (known.number, volume)).fetchall():
            return Added("same", file=UNNEEDED)
        # An original that had been removed is made again of its form only where that is not what it should be.
        is_restored = addition.original is not None and known.made_from is None
        is_let_go = not connection.execute(self._has_any, (known.number,)).fetchall()
        if is_let_go and not is_restored and not addition.must_keep and any(
            connection.execute(self._has_good, (form.number, volume)).fetchall() for form in versions.forms_of(known)
        ):
            return Added("same", file=UNNEEDED)  # it was removed because its form has taken its place
        every = (known, *versions.forms_of(known))
        bad = tuple(chain.from_iterable(connection.execute(self._bad, (one.number,)).fetchall() for one in every))
        self._enter(connection, addition, known.number)
        current = versions.current
        if current is not None and (
            current is known
            or versions.received(current) is not versions.received(known)
            or (not is_restored and self._is_good(connection, current.number))
        ):
            forms = versions.forms_of(known)
            keys = (ObjectKey(addition.instance[0], one.digest, one.transfer_syntax_uid) for one in forms)
            return Added("same", bad=bad, forms=tuple(keys))
        return Added("replaced", self._make_current(connection, addition, *place, known.number), bad=bad)

    def _add_form(
        self,
        connection: Any,
        addition: Addition,
        place: tuple[int, int],
        versions: Versions,
        must_be_current: bool,
    ) -> Added:
        """Add what was made from another object: it takes the mark from that, and from its other forms."""
        assert addition.original is not None
        source = versions.find(addition.original.digest, addition.original.transfer_syntax_uid)
        takes = self._takes_the_mark(addition, versions, source)
        if not takes and must_be_current:
            return Added("rejected", file=UNNEEDED)
        number = self._insert_original(connection, addition, place[0]) if source is None else source.number
        form = self._insert(connection, addition, place[0], is_current=0, made_from=number)
        if not takes:
            return Added("kept")
        return Added("replaced", self._make_current(connection, addition, *place, form))

    def _takes_the_mark(self, addition: Addition, versions: Versions, source: Version | None) -> bool:
        """Tell whether a form is to be the current object: if what it was made from is, or another form of that."""
        current = versions.current
        if current is None:
            return True
        if source is None:
            # Nobody knows any more what it was made from: that was received and became the current object, or its form
            # would not have been made to take its place.
            return addition.duplicates == "replace"
        is_restored = _how(addition) == RESTORED
        return versions.received(current) is versions.received(source) and (
            is_restored or current.made_how != RESTORED or current is source
        )

    def _insert(
        self, connection: Any, addition: Addition, instance: int, *, is_current: int, made_from: int | None = None
    ) -> int:
        """Insert an object and its location; return its number."""
        if not addition.is_form:
            statement, form = self._insert_object, ()
        else:
            statement, form = self._insert_form, (made_from, _how(addition), addition.original.pixel_digest)
        row = (instance, is_current, *addition.stored, *form)
        number: int = self._backend.insert(connection, statement, row)  # type: ignore[assignment] # nothing prevents it
        self._enter(connection, addition, number)
        return number

    def _enter(self, connection: Any, addition: Addition, number: int) -> None:
        """Insert the location of an object."""
        row = (number, *addition.location, *addition.tombstone)
        if self._backend.insert(connection, self._insert_location, row) is None:
            raise WasDeleted

    def _insert_original(self, connection: Any, addition: Addition, instance: int) -> int:
        """Insert the object that a form was made from, and of which nothing but that is known; return its number."""
        original = addition.original
        assert original is not None
        row = (addition.stored[0], original.transfer_syntax_uid, original.digest, original.size_bytes)
        row += (addition.original_received_at, addition.stored[5])
        return self._backend.insert(connection, self._insert_object, (instance, 0, *row))  # type: ignore[return-value]

    def _make_current(
        self, connection: Any, addition: Addition, instance: int, series_before: int, number: int
    ) -> tuple[str, ...]:
        """Move the mark to an object, with the header of that; return the conflicts that this reveals."""
        series, conflicts = self._hierarchy.known_series(addition.above), ()
        if series is None:
            series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        before = connection.execute(self._clear_mark, (instance,)).fetchall()
        connection.execute(self._set_mark, (number,))
        connection.execute(self._update_instance, (series, *addition.instance, instance))
        # One that is lost was kept for as long as the instance had no other current object.
        while before and before[0][0] is not None:
            before = connection.execute(self._delete_lost, before[0]).fetchall()
        if series != series_before:
            self._pruning.prune(connection, [series_before])
        return conflicts

    def _versions_of(self, connection: Any, instance: int) -> Versions:
        return Versions(tuple(Version(*row) for row in connection.execute(self._versions, (instance,)).fetchall()))


_STORED = Added("stored")


def _how(addition: Addition) -> str:
    return COMPRESSED if transfer_syntax(addition.stored[1]).encapsulated else RESTORED

