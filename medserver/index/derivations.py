"""What was made from what, `Index.derivations`: the inputs and outputs of work items that were processed here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import Query

from medserver.index.database.access import Access
from medserver.index.database.models import DerivationInstances as Instances
from medserver.index.database.models import Derivations as Rows
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

FOUND_MAX = 1000
"""So many derivations of one UID are told."""

_COLUMNS = (Rows.id, Rows.workitem_uid, Rows.request, Rows.type, Rows.made_at)


@dataclass(frozen=True, slots=True)
class DerivedInstance:
    """An instance that went into a work item, or came out of it; whether it is stored is not known here."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Derivation:
    """What one work item has made.

    Parameters
    ----------
    workitem_uid : str
        The SOP Instance UID of the item, which may be gone.
    request : str
        What was asked for of which objects: a SHA-256, hexadecimal. The same makes the same.
    type : str
        The type of processing.
    made_at : datetime
        When.
    inputs, outputs : tuple of DerivedInstance
        What it read, and what it made.
    """

    workitem_uid: str
    request: str
    type: str
    made_at: datetime
    inputs: tuple[DerivedInstance, ...]
    outputs: tuple[DerivedInstance, ...]


class Derivations:
    """Notes what was made from what.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _insert(self) -> Query:
        row = insertion(Rows, ("workitem_uid", "request", "type", "made_at"))
        return row.on_conflict(action="NOTHING").returning(Rows.id)

    @statement
    def _insert_instance(self) -> Query:
        columns = ("derivation", "is_output", "sop_instance_uid", "sop_class_uid", "study_instance_uid")
        return insertion(Instances, (*columns, "series_instance_uid")).on_conflict(action="NOTHING")

    @statement
    def _of_request(self) -> Query:
        return Rows.select(*_COLUMNS).where(Rows.request == PARAMETER).order_by(Rows.id.desc()).limit(1)

    @statement
    def _of_item(self) -> Query:
        return Rows.select(*_COLUMNS).where(Rows.workitem_uid == PARAMETER)

    @statement
    def _of_uid(self) -> Query:
        named = (Instances.sop_instance_uid == PARAMETER) | (Instances.series_instance_uid == PARAMETER)
        numbers = Instances.select(Instances.derivation).where(named)
        return Rows.select(*_COLUMNS).where(Rows.id.in_(numbers)).order_by(Rows.id).limit(FOUND_MAX)

    @statement
    def _instances(self) -> Query:
        found = Instances.select(
            Instances.is_output,
            Instances.sop_instance_uid,
            Instances.sop_class_uid,
            Instances.study_instance_uid,
            Instances.series_instance_uid,
        )
        return found.where(Instances.derivation == PARAMETER).order_by(Instances.sop_instance_uid)

    def note(self, derivation: Derivation) -> None:
        """Note what a work item has made; if that is known it stays as it is."""
        row = (derivation.workitem_uid, derivation.request, derivation.type, to_text(derivation.made_at))

        def perform(connection: Any) -> None:
            entered = connection.execute(self._insert, row).fetchall()
            for number, in entered:
                self._note_instances(connection, number, 0, derivation.inputs)
                self._note_instances(connection, number, 1, derivation.outputs)

        self._access.writer.run(perform)

    def _note_instances(
        self, connection: Any, number: int, is_output: int, instances: Iterable[DerivedInstance]
    ) -> None:
        for one in instances:
            uids = (one.sop_instance_uid, one.sop_class_uid, one.study_instance_uid, one.series_instance_uid)
            connection.execute(self._insert_instance, (number, is_output, *uids))

    def of_request(self, request: str) -> Derivation | None:
        """Return the last one of a request, None if there is none."""
        return next(iter(self._access.read_at_once(self._read, self._of_request, (request,))), None)

    def of_item(self, workitem_uid: str) -> Derivation | None:
        """Return what a work item has made, None if nothing is known of it."""
        return next(iter(self._access.read_at_once(self._read, self._of_item, (workitem_uid,))), None)

    def of(self, uid: str) -> list[Derivation]:
        """Return those into which an instance or a series went, or out of which it came, in the order of time."""
        return self._access.read_at_once(self._read, self._of_uid, (uid, uid))

    def _read(self, connection: Any, text: str, parameters: Sequence[Any]) -> list[Derivation]:
        rows = connection.execute(text, parameters).fetchall()
        return [self._derivation(connection, row) for row in rows]

    def _derivation(self, connection: Any, row: Sequence[Any]) -> Derivation:
        instances = connection.execute(self._instances, (row[0],)).fetchall()
        inputs, outputs = (
            tuple(DerivedInstance(*each[1:]) for each in instances if bool(each[0]) is is_output)
            for is_output in (False, True)
        )
        return Derivation(*row[1:4], from_text(row[4]), inputs, outputs)
