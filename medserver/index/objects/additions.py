"""Adding one object to the index: what becomes of it, in one transaction.

Who adds has locked the instance, so that what is read of its objects stays true until the end of the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from medserver.dicom.part10 import Original
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import IndexFailure
from medserver.index.database.backend import Backend
from medserver.index.database.columns import LEVEL_COLUMNS, VALUE_COLUMNS, level_row, level_values
from medserver.index.database.moments import to_text
from medserver.index.database.writer import Collision
from medserver.index.objects.hierarchy import Above, Hierarchy
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import GOOD, Added, InstanceRecord, ObjectKey

_ATTRIBUTES = LEVEL_COLUMNS["IMAGE"]
_INSTANCE = tuple(dict.fromkeys(("sop_instance_uid", "sop_class_uid", *_ATTRIBUTES)))
_OBJECT = ("sop_class_uid", "transfer_syntax_uid", "digest", "size_bytes", "received_at", "calling_ae_title")
_FORM = ("made_from", "made_how", "pixel_digest")
_LOCATION = ("volume", "path", "data_set_offset", "meta_digest")
_ATTRIBUTE_PLACES = tuple(_ATTRIBUTES.index(name) for name in _INSTANCE[2:])
_STUDY_UID = VALUE_COLUMNS["STUDY"].index("study_instance_uid")
_SERIES_UID = VALUE_COLUMNS["SERIES"].index("series_instance_uid")

COMPRESSED, RESTORED = "compressed", "restored"
"""How an object was made from another one: without loss, or with the pixels of an original that had lost them."""

_BEFORE_ITS_FORM = timedelta(microseconds=1)


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
    duplicates : str
        What to do if its SOP Instance UID is taken.
    original : Original or None
        What it was made from here.
    original_received_at : str
        When that was received, if nobody knows it any more.
    """

    order: tuple[str, ...]
    above: Above
    instance: tuple[Any, ...]
    stored: tuple[Any, ...]
    location: tuple[Any, ...]
    duplicates: str
    original: Original | None = None
    original_received_at: str = ""

    @property
    def witness(self) -> tuple[str, str | None, str]:
        """SOP Instance UID, calling AE title and moment of receipt."""
        return self.instance[0], self.stored[5], self.stored[4]

    @property
    def version(self) -> tuple[str, str]:
        """Digest and transfer syntax: which object of the instance it is."""
        return self.stored[2], self.stored[1]


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
            to_text(record.received_at),
            record.calling_ae_title,
        ),
        location=(record.volume, record.path, record.data_set_offset, record.meta_digest),
        duplicates=record.duplicates,
        original=record.original,
        original_received_at=to_text(record.received_at - _BEFORE_ITS_FORM) if record.original else "",
    )


@dataclass(frozen=True, slots=True)
class _Version:
    """An object of an instance that has been there before."""

    number: int
    digest: str
    transfer_syntax_uid: str
    is_current: int
    made_from: int | None
    made_how: str | None


@dataclass(frozen=True, slots=True)
class _Versions:
    """The objects of an instance."""

    every: tuple[_Version, ...]

    @property
    def current(self) -> _Version | None:
        return next((one for one in self.every if one.is_current), None)

    def find(self, digest: str, transfer_syntax_uid: str) -> _Version | None:
        return next(
            (one for one in self.every if (one.digest, one.transfer_syntax_uid) == (digest, transfer_syntax_uid)), None
        )

    def received(self, version: _Version) -> _Version:
        """Return what was received, from which an object was made, perhaps by way of others; or itself."""
        by_number = {one.number: one for one in self.every}
        while version.made_from is not None:
            version = by_number[version.made_from]
        return version

    def forms_of(self, version: _Version) -> list[_Version]:
        return [one for one in self.every if one.made_from == version.number]


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
        self._hierarchy = hierarchy
        self._pruning = pruning
        sql = backend.sql
        names, places = _listed(_INSTANCE)
        self._insert_instance = sql(
            f"INSERT INTO instances (series, {names}) VALUES (?, {places}) "
            "ON CONFLICT (sop_instance_uid) DO NOTHING RETURNING id"
        )
        changes = ", ".join(f'"{name}" = ?' for name in _INSTANCE)
        self._update_instance = sql(f"UPDATE instances SET series = ?, {changes}, acquisition = NULL WHERE id = ?")
        self._find_instance = sql(
            f"SELECT id, series FROM instances WHERE sop_instance_uid = ?{backend.for_update}"
        )
        names, places = _listed(_OBJECT)
        self._insert_object = sql(
            f"INSERT INTO objects (instance, is_current, {names}) VALUES (?, ?, {places}) RETURNING id"
        )
        names, places = _listed((*_OBJECT, *_FORM))
        self._insert_form = sql(
            f"INSERT INTO objects (instance, is_current, {names}) VALUES (?, ?, {places}) RETURNING id"
        )
        self._versions = sql(
            "SELECT id, digest, transfer_syntax_uid, is_current, made_from, made_how FROM objects WHERE instance = ? "
            "ORDER BY id"
        )
        self._count_receipt = sql("UPDATE objects SET receipts = receipts + 1 WHERE id = ?")
        self._clear_mark = sql("UPDATE objects SET is_current = 0 WHERE instance = ? AND is_current = 1")
        self._set_mark = sql("UPDATE objects SET is_current = 1 WHERE id = ?")
        names, places = _listed(_LOCATION)
        self._insert_location = sql(f"INSERT INTO locations (object, {names}) VALUES (?, {places})")
        self._find_location = sql("SELECT id FROM locations WHERE volume = ? AND path = ?")
        self._has_good = sql(f"SELECT 1 FROM locations WHERE object = ? AND volume = ? AND state = '{GOOD}'")
        self._has_any = sql("SELECT 1 FROM locations WHERE object = ? LIMIT 1")
        self._has_good_anywhere = sql(f"SELECT 1 FROM locations WHERE object = ? AND state = '{GOOD}' LIMIT 1")

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
        Collision
            If another process added something at the same time that it depends on.
        """
        series, conflicts = self._hierarchy.known_series(addition.above), ()
        if series is None:
            # The rows above are made for a current object only.
            if connection.execute(self._find_instance, addition.instance[:1]).fetchall():
                return self._add_again(connection, addition, is_receipt, must_be_current)
            series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        rows = connection.execute(self._insert_instance, (series, *addition.instance)).fetchall()
        if not rows:
            if conflicts:
                raise Collision
            return self._add_again(connection, addition, is_receipt, must_be_current)
        instance = rows[0][0]
        if addition.original is None:
            self._insert(connection, addition, instance, is_current=1)
        else:
            original = self._insert_original(connection, addition, instance)
            self._insert(connection, addition, instance, is_current=1, made_from=original)
        return Added("stored", conflicts) if conflicts else _STORED

    def count_receipt(self, connection: Any, key: ObjectKey) -> bool:
        """Count that an object was received again; False if neither it nor what was made from it is stored."""
        for instance, _ in connection.execute(self._find_instance, (key.sop_instance_uid,)).fetchall():
            versions = self._versions_of(connection, instance)
            version = versions.find(key.digest, key.transfer_syntax_uid)
            if version is not None and any(
                self._is_good(connection, one.number) for one in (version, *versions.forms_of(version))
            ):
                connection.execute(self._count_receipt, (version.number,))
                return True
        return False

    def _is_good(self, connection: Any, number: int) -> bool:
        return bool(connection.execute(self._has_good_anywhere, (number,)).fetchall())

    def promote(self, connection: Any, addition: Addition) -> bool:
        """Make an object that is there the current one; False if it is, or is not there.

        Parameters
        ----------
        connection
            A connection in a transaction.
        addition : Addition
            The object, as one of its files tells it.
        """
        for instance, series in connection.execute(self._find_instance, addition.instance[:1]).fetchall():
            version = self._versions_of(connection, instance).find(*addition.version)
            if version is not None and not version.is_current:
                self._make_current(connection, addition, instance, series, version.number)
                return True
        return False

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
                connection.execute(self._count_receipt, (known.number,))
            return self._add_copy(connection, addition, (instance, series), versions, known)
        if addition.original is not None:
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
            return Added("rejected", file_needed=False)
        raise IndexFailure(f"index: duplicates = {addition.duplicates!r} is not keep, replace or reject")

    def _add_copy(
        self,
        connection: Any,
        addition: Addition,
        place: tuple[int, int],
        versions: _Versions,
        known: _Version,
    ) -> Added:
        """Add a file of an object that is there already, if it is the only good one on its volume."""
        volume, path = addition.location[:2]
        if connection.execute(self._find_location, (volume, path)).fetchall():
            return Added("same")
        # A second file on a volume is not needed: a volume is lost as a whole.
        if connection.execute(self._has_good, (known.number, volume)).fetchall():
            return Added("same", file_needed=False)
        # An original that had been removed is made again of its form only where that is not what it should be.
        is_restored = addition.original is not None and known.made_from is None
        if not is_restored and not connection.execute(self._has_any, (known.number,)).fetchall() and any(
            connection.execute(self._has_good, (form.number, volume)).fetchall() for form in versions.forms_of(known)
        ):
            return Added("same", file_needed=False)  # it was removed because its form has taken its place
        connection.execute(self._insert_location, (known.number, *addition.location))
        current = versions.current
        if current is not None and (
            current is known
            or versions.received(current) is not versions.received(known)
            or (not is_restored and self._is_good(connection, current.number))
        ):
            return Added("same")
        return Added("replaced", self._make_current(connection, addition, *place, known.number))

    def _add_form(
        self,
        connection: Any,
        addition: Addition,
        place: tuple[int, int],
        versions: _Versions,
        must_be_current: bool,
    ) -> Added:
        """Add what was made from another object: it takes the mark from that, and from its other forms."""
        assert addition.original is not None
        source = versions.find(addition.original.digest, addition.original.transfer_syntax_uid)
        takes = self._takes_the_mark(addition, versions, source)
        if not takes and must_be_current:
            return Added("rejected", file_needed=False)
        number = self._insert_original(connection, addition, place[0]) if source is None else source.number
        form = self._insert(connection, addition, place[0], is_current=0, made_from=number)
        if not takes:
            return Added("kept")
        return Added("replaced", self._make_current(connection, addition, *place, form))

    def _takes_the_mark(self, addition: Addition, versions: _Versions, source: _Version | None) -> bool:
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
        if addition.original is None:
            statement, form = self._insert_object, ()
        else:
            statement, form = self._insert_form, (made_from, _how(addition), addition.original.pixel_digest)
        [[number]] = connection.execute(statement, (instance, is_current, *addition.stored, *form)).fetchall()
        connection.execute(self._insert_location, (number, *addition.location))
        return number

    def _insert_original(self, connection: Any, addition: Addition, instance: int) -> int:
        """Insert the object that a form was made from, and of which nothing but that is known; return its number."""
        original = addition.original
        assert original is not None
        row = (addition.stored[0], original.transfer_syntax_uid, original.digest, original.size_bytes)
        row += (addition.original_received_at, addition.stored[5])
        [[number]] = connection.execute(self._insert_object, (instance, 0, *row)).fetchall()
        return number

    def _make_current(
        self, connection: Any, addition: Addition, instance: int, series_before: int, number: int
    ) -> tuple[str, ...]:
        """Move the mark to an object, with the header of that; return the conflicts that this reveals."""
        series, conflicts = self._hierarchy.known_series(addition.above), ()
        if series is None:
            series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        connection.execute(self._clear_mark, (instance,))
        connection.execute(self._set_mark, (number,))
        connection.execute(self._update_instance, (series, *addition.instance, instance))
        if series != series_before:
            self._pruning.prune_series(connection, series_before)
        return conflicts

    def _versions_of(self, connection: Any, instance: int) -> _Versions:
        return _Versions(tuple(_Version(*row) for row in connection.execute(self._versions, (instance,)).fetchall()))


_STORED = Added("stored")


def _how(addition: Addition) -> str:
    return COMPRESSED if transfer_syntax(addition.stored[1]).encapsulated else RESTORED


def _listed(names: tuple[str, ...]) -> tuple[str, str]:
    """Return names and as many places for parameters, for an INSERT."""
    return ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
