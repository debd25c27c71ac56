"""Adding one object to the index: what becomes of it, in one transaction."""

from __future__ import annotations

from typing import Any, NamedTuple

from medserver.dicom.part10 import Original
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import IndexFailure
from medserver.index.database.backend import Backend
from medserver.index.database.columns import LEVEL_COLUMNS, VALUE_COLUMNS, level_row, level_values
from medserver.index.database.moments import to_text
from medserver.index.database.writer import Collision
from medserver.index.objects.hierarchy import Above, Hierarchy
from medserver.index.objects.originals import OriginalTable
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import Added, InstanceRecord

_COMMON = (
    "sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "digest", "size_bytes", "received_at",
    "calling_ae_title",
)  # fmt: skip
_ATTRIBUTES = tuple(name for name in LEVEL_COLUMNS["IMAGE"] if name not in _COMMON)
_ATTRIBUTE_PLACES = tuple(LEVEL_COLUMNS["IMAGE"].index(name) for name in _ATTRIBUTES)
_INSTANCE = (*_COMMON, *_ATTRIBUTES)
_LOCATION = ("volume", "path", "data_set_offset", "meta_digest")
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
        Its row, in the order of the columns of instances, without the series.
    location : tuple
        Volume, path, offset of the data set and digest of what stands before.
    duplicates : str
        What to do if its SOP Instance UID is taken.
    original : Original or None
        What it was before it was compressed.
    """

    order: tuple[str, ...]
    above: Above
    instance: tuple[Any, ...]
    location: tuple[Any, ...]
    duplicates: str
    original: Original | None = None

    @property
    def witness(self) -> tuple[str, str | None, str]:
        """SOP Instance UID, calling AE title and moment of receipt."""
        return self.instance[0], self.instance[6], self.instance[5]


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
    common = (
        record.sop_instance_uid,
        record.sop_class_uid,
        record.transfer_syntax_uid,
        record.digest,
        record.size_bytes,
        to_text(record.received_at),
        record.calling_ae_title,
    )
    return Addition(
        order=(
            record.values.get("patient_id") or "",
            above.study[_STUDY_UID] or "",
            above.series[_SERIES_UID] or "",
            record.sop_instance_uid,
        ),
        above=above,
        instance=(*common, *[row[place] for place in _ATTRIBUTE_PLACES]),
        location=(record.volume, record.path, record.data_set_offset, record.meta_digest),
        duplicates=record.duplicates,
        original=record.original,
    )


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
    originals : OriginalTable
        Knows what was compressed.
    """

    def __init__(
        self, backend: Backend, hierarchy: Hierarchy, pruning: Pruning, originals: OriginalTable
    ) -> None:
        self._hierarchy = hierarchy
        self._originals = originals
        self._pruning = pruning
        names, places = _listed(_INSTANCE)
        self._insert_instance = backend.sql(
            f"INSERT INTO instances (series, {names}) VALUES (?, {places}) "
            "ON CONFLICT (sop_instance_uid) DO NOTHING RETURNING id"
        )
        changes = ", ".join(f'"{name}" = ?' for name in _INSTANCE)
        self._update_instance = backend.sql(
            f"UPDATE instances SET series = ?, {changes}, acquisition = NULL WHERE id = ?"
        )
        self._find_instance = backend.sql(
            "SELECT id, digest, transfer_syntax_uid, series FROM instances WHERE sop_instance_uid = ?"
            + backend.for_update
        )
        names, places = _listed(_LOCATION)
        self._insert_location = backend.sql(f"INSERT INTO locations (instance, {names}) VALUES (?, {places})")
        self._insert_location_aside = backend.sql(
            f"INSERT INTO locations (duplicate, {names}) VALUES (?, {places})"
        )
        self._find_location = backend.sql("SELECT id FROM locations WHERE volume = ? AND path = ?")
        # A second file on a volume that has one is not needed: a volume is lost as a whole.
        self._insert_copy = {
            role: backend.sql(
                f"INSERT INTO locations ({role}, {names}) SELECT ?, {places} WHERE NOT EXISTS "
                f"(SELECT 1 FROM locations WHERE {role} = ? AND volume = ?) RETURNING id"
            )
            for role in ("instance", "duplicate")
        }
        names, places = _listed(_COMMON)
        self._find_duplicate = backend.sql(
            "SELECT id FROM duplicates WHERE sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ?"
        )
        self._insert_duplicate = backend.sql(
            f"INSERT INTO duplicates (reason, {names}) VALUES ('aside', {places}) "
            "ON CONFLICT DO NOTHING RETURNING id"
        )
        self._demote = backend.sql(
            f"INSERT INTO duplicates (reason, {names}) "
            f"SELECT 'replaced', {names} FROM instances WHERE id = ? RETURNING id"
        )
        self._move_locations = backend.sql(
            "UPDATE locations SET instance = NULL, duplicate = ? WHERE instance = ?"
        )

    def add(self, connection: Any, addition: Addition) -> Added:
        """Add one object.

        Parameters
        ----------
        connection
            A connection in a transaction.
        addition : Addition
            The object.

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
        series = self._hierarchy.known_series(addition.above)
        if series is not None:
            return self._insert(connection, addition, series) or self._add_again(connection, addition)
        # The rows above are made for an instance only, not for an object that is put aside.
        if connection.execute(self._find_instance, addition.instance[:1]).fetchall():
            return self._add_again(connection, addition)
        series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        added = self._insert(connection, addition, series)
        if added is None:
            raise Collision
        return Added("stored", conflicts) if conflicts else added

    def _insert(self, connection: Any, addition: Addition, series: int) -> Added | None:
        """Insert an instance and its location; None if its SOP Instance UID is taken."""
        rows = connection.execute(self._insert_instance, (series, *addition.instance)).fetchall()
        if not rows:
            return None
        self._note_original(connection, addition)
        connection.execute(self._insert_location, (rows[0][0], *addition.location))
        return _STORED

    def _add_again(self, connection: Any, addition: Addition) -> Added:
        """Add an object whose SOP Instance UID is taken."""
        present = connection.execute(self._find_instance, addition.instance[:1]).fetchall()
        if not present:
            raise Collision
        instance, digest, transfer_syntax_uid, series = present[0]
        arrived_uid, _, arrived_syntax, arrived_digest = addition.instance[:4]
        if (digest, transfer_syntax_uid) == (arrived_digest, arrived_syntax):
            return self._same(connection, addition, "instance", instance)
        key = (arrived_uid, arrived_digest, arrived_syntax)
        brings_back = self._brings_back(connection, addition, digest)
        if not brings_back and self._originals.compressed_digest(connection, key) == digest:
            return self._same_as_compressed(connection, addition, key)
        if aside := connection.execute(self._find_duplicate, key).fetchall():
            return self._same(connection, addition, "duplicate", aside[0][0])
        original = addition.original
        if (
            original is not None
            and addition.duplicates == "replace"
            and not brings_back
            and (original.digest, original.transfer_syntax_uid) != (digest, transfer_syntax_uid)
        ):
            return Added("rejected", file_needed=False)  # what it was made from is not the instance any more
        if addition.duplicates == "keep":
            return self._put_aside(connection, addition)
        if addition.duplicates == "replace":
            return self._replace(connection, addition, instance, series)
        if addition.duplicates == "reject":
            return Added("rejected", file_needed=False)
        raise IndexFailure(f"index: duplicates = {addition.duplicates!r} is not keep, replace or reject")

    def _brings_back(self, connection: Any, addition: Addition, digest: str) -> bool:
        """Tell whether an object has the pixels of an original whose compressed form is the instance, uncompressed."""
        original = addition.original
        if original is None or transfer_syntax(addition.instance[2]).encapsulated:
            return False
        key = (addition.instance[0], original.digest, original.transfer_syntax_uid)
        return self._originals.compressed_digest(connection, key) == digest

    def _same(self, connection: Any, addition: Addition, role: str, row: int) -> Added:
        """Say of an object that is there already whether its file is needed: known, or the first on its volume."""
        volume, path = addition.location[:2]
        if connection.execute(self._find_location, (volume, path)).fetchall():
            return Added("same")
        inserted = connection.execute(self._insert_copy[role], (row, *addition.location, row, volume)).fetchall()
        return Added("same", file_needed=bool(inserted))

    def _same_as_compressed(self, connection: Any, addition: Addition, key: tuple[str, str, str]) -> Added:
        """Say of an object that came before, and was compressed since, that it is there, itself or in that form."""
        if aside := connection.execute(self._find_duplicate, key).fetchall():
            return self._same(connection, addition, "duplicate", aside[0][0])
        return Added("same", file_needed=False)

    def _note_original(self, connection: Any, addition: Addition) -> None:
        if addition.original is not None:
            self._originals.add(connection, addition.instance[0], addition.original, addition.instance[3])

    def _put_aside(self, connection: Any, addition: Addition) -> Added:
        rows = connection.execute(self._insert_duplicate, addition.instance[: len(_COMMON)]).fetchall()
        if not rows:
            raise Collision  # another process has just put the same aside
        self._note_original(connection, addition)
        connection.execute(self._insert_location_aside, (rows[0][0], *addition.location))
        return Added("aside")

    def _replace(self, connection: Any, addition: Addition, instance: int, series_before: int) -> Added:
        """Put the object that is there aside, and the new one in its place."""
        series = self._hierarchy.known_series(addition.above)
        conflicts: tuple[str, ...] = ()
        if series is None:
            series, conflicts = self._hierarchy.series(connection, addition.above, addition.witness)
        self._note_original(connection, addition)
        [[duplicate]] = connection.execute(self._demote, (instance,)).fetchall()
        connection.execute(self._move_locations, (duplicate, instance))
        connection.execute(self._update_instance, (series, *addition.instance, instance))
        connection.execute(self._insert_location, (instance, *addition.location))
        if series != series_before:
            self._pruning.prune_series(connection, series_before)
        return Added("replaced", conflicts)


_STORED = Added("stored")


def _listed(names: tuple[str, ...]) -> tuple[str, str]:
    """Return names and as many places for parameters, for an INSERT."""
    return ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
