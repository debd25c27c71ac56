"""What is held of each study, and what speaks against deleting it, `Index.holdings`.

Which studies are deleted by which rule is decided by `medserver.retention`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN, Expression, ModelSelect, Query, fn

from medserver.index.commitments.records import OUTSTANDING
from medserver.index.database.access import Access
from medserver.index.database.models import (
    CommitmentInstances,
    Commitments,
    Conflicts,
    Instances,
    Jobs,
    Locations,
    Objects,
    Series,
    Studies,
)
from medserver.index.database.models import Delivered as DeliveredRows
from medserver.index.database.moments import from_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.objects.copies import COPY_COLUMNS, copy_of
from medserver.index.objects.deletions import IS_ORDERED
from medserver.index.objects.records import StoredCopy

PAGE_STUDIES = 50

_OF_STUDY = Series.study == PARAMETER


@dataclass(frozen=True, slots=True)
class HeldStudy:
    """A study, in short.

    Parameters
    ----------
    number : int
        Its row: a study that was received later has a higher one, whatever clocks say.
    study_instance_uid : str
        Which.
    instances : int
        How many it has.
    first_received_at, last_received_at : datetime
        When the first and the last of its objects were received; the last one perhaps again.
    """

    number: int
    study_instance_uid: str
    instances: int
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True)
class HeldObject:
    """An object of a study.

    Parameters
    ----------
    number : int
        Its row.
    origin : int
        The row of what it was made from in the end; its own if it was received.
    sop_instance_uid, series_instance_uid : str
        What it is.
    digest : str
        The SHA-256 of its data set, hexadecimal.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    is_current, is_ordered : bool
        Whether it is found under its SOP Instance UID, and whether it is to be deleted.
    copies : tuple of StoredCopy
        Where it lies; empty if only what was made from it does.
    """

    number: int
    origin: int
    sop_instance_uid: str
    series_instance_uid: str
    digest: str
    calling_ae_title: str
    is_current: bool
    is_ordered: bool
    copies: tuple[StoredCopy, ...]


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object that a destination has taken: its instance and digest, who, whether committed to, and when noted."""

    sop_instance_uid: str
    digest: str
    destination: str
    is_committed: bool
    at: datetime


class Holdings:
    """Tells what is held, study by study. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _page(self) -> Query:
        page = Studies.select(Studies.id).where(Studies.id > PARAMETER).order_by(Studies.id).limit(PAGE_STUDIES)
        return _in_short().where(Studies.id.in_(page)).order_by(Studies.id)

    @statement
    def _of_uids(self) -> Query:
        return _in_short().where(self._backend.is_among(Studies.study_instance_uid)).order_by(Studies.id)

    @statement
    def _objects(self) -> Query:
        columns = (
            *(Objects.id, Objects.made_from, Instances.sop_instance_uid, Series.series_instance_uid, Objects.digest),
            *(Objects.calling_ae_title, Objects.is_current, IS_ORDERED),
        )
        found = Objects.select(*columns).join(Instances).join(Series).where(_OF_STUDY)
        return found.order_by(Instances.id, Objects.is_current.desc(), Objects.id)

    @statement
    def _copies(self) -> Query:
        found = Locations.select(Objects.id, *COPY_COLUMNS).join(Objects).join(Instances).join(Series).join(Studies)
        return found.where(_OF_STUDY).order_by(Locations.id)

    @statement
    def _arrived(self) -> Query:
        columns = (
            *(DeliveredRows.sop_instance_uid, DeliveredRows.digest, DeliveredRows.destination),
            *(DeliveredRows.is_committed, DeliveredRows.delivered_at),
        )
        of_instance = DeliveredRows.sop_instance_uid == Instances.sop_instance_uid
        found = Instances.select(*columns).join(Series).join_from(Instances, DeliveredRows, on=of_instance)
        return found.where(_OF_STUDY)

    @statement
    def _awaited(self) -> Query:
        """There is no index of it: it is asked when nothing else speaks against a deletion."""
        payload = Jobs.payload.cast("json") if self._backend.name == "postgresql" else Jobs.payload
        uid = Expression(payload, "->>", "sop_instance_uid")
        found = Jobs.select(uid).where(self._backend.is_among(Jobs.kind) & self._backend.is_among(uid))
        return found.distinct()

    @statement
    def _asked_for(self) -> Query:
        is_open = Commitments.state.in_(OUTSTANDING) & Commitments.finished_at.is_null()
        transactions = Commitments.select(Commitments.id).where(is_open)
        uid = CommitmentInstances.sop_instance_uid
        asked_for = CommitmentInstances.commitment.in_(transactions) & self._backend.is_among(uid)
        return CommitmentInstances.select(uid).where(asked_for).distinct()

    @statement
    def _committed(self) -> Query:
        uid = CommitmentInstances.sop_instance_uid
        ours = Commitments.select(Commitments.id).where(Commitments.role == "scp")
        named = CommitmentInstances.commitment.in_(ours) & self._backend.is_among(uid)
        return CommitmentInstances.select(uid).where(named).distinct()

    @statement
    def _conflicting(self) -> Query:
        unresolved = Conflicts.select(Conflicts.sop_instance_uid, Conflicts.kind, Conflicts.subject)
        by_instance = self._backend.is_among(Conflicts.sop_instance_uid)
        by_subject = (Conflicts.kind != "patient") & self._backend.is_among(Conflicts.subject)
        return unresolved.where(Conflicts.resolved_at.is_null() & (by_instance | by_subject)).limit(1)

    def page(self, after: int = 0) -> list[HeldStudy]:
        """Return the next studies after one, by its number: those that were received first come first."""
        return [_study(row) for row in self._access.rows(self._page, (after,))]

    def studies(self, study_instance_uids: Sequence[str]) -> list[HeldStudy]:
        """Return studies by their UIDs, those that there are."""
        return [_study(row) for row in self._access.rows(self._of_uids, (self._among(study_instance_uids),))]

    def objects(self, study: HeldStudy) -> list[HeldObject]:
        """Return the objects of a study, those of an instance together, the current one first."""
        return self._access.read_at_once(self._read_objects, study.number)

    def _read_objects(self, connection: Any, number: int) -> list[HeldObject]:
        copies: dict[int, list[StoredCopy]] = {}
        for row in connection.execute(self._copies, (number,)).fetchall():
            copies.setdefault(row[0], []).append(copy_of(row[1:]))
        rows = connection.execute(self._objects, (number,)).fetchall()
        made_from = {row[0]: row[1] for row in rows}
        return [
            HeldObject(
                row[0], _origin(row[0], made_from), *row[2:5], row[5] or "", bool(row[6]), bool(row[7]),
                tuple(copies.get(row[0], ())),
            )
            for row in rows
        ]  # fmt: skip

    def arrived(self, study: HeldStudy) -> list[Arrived]:
        """Return what destinations have taken of a study."""
        rows = self._access.rows(self._arrived, (study.number,))
        return [Arrived(*row[:3], bool(row[3]), from_text(row[4])) for row in rows]

    def awaited(self, sop_instance_uids: Sequence[str], kinds: Sequence[str]) -> set[str]:
        """Return the instances with which jobs of some kinds have something to do, whatever their state."""
        rows = self._access.rows(self._awaited, (self._among(kinds), self._among(sop_instance_uids)))
        return {uid for uid, in rows}

    def asked_for(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Return the instances of which a storage commitment is to be reported, by us or to us."""
        return {uid for uid, in self._access.rows(self._asked_for, (self._among(sop_instance_uids),))}

    def committed(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Return the instances that a peer has asked us to commit to, whatever we have answered or will."""
        return {uid for uid, in self._access.rows(self._committed, (self._among(sop_instance_uids),))}

    def has_conflict(self, sop_instance_uids: Sequence[str], subjects: Sequence[str]) -> bool:
        """Tell whether somebody has to decide about instances, or about a study or series, by their UIDs."""
        return bool(self._access.rows(self._conflicting, (self._among(sop_instance_uids), self._among(subjects))))

    def _among(self, values: Sequence[str]) -> Any:
        return self._backend.list_parameter(list(values))


def _in_short() -> ModelSelect:
    """Build the query of studies, whose rows `_study` understands."""
    moments = (fn.MIN(Objects.received_at), fn.MAX(Objects.received_at), fn.MAX(Objects.received_again_at))
    found = Studies.select(Studies.id, Studies.study_instance_uid, fn.COUNT(Instances.id.distinct()), *moments)
    joined = found.join(Series, JOIN.INNER).join(Instances, JOIN.INNER).join(Objects, JOIN.INNER)
    return joined.group_by(Studies.id, Studies.study_instance_uid)


def _study(row: Sequence[Any]) -> HeldStudy:
    return HeldStudy(*row[:3], from_text(row[3]), from_text(max(filter(None, row[4:]))))


def _origin(number: int, made_from: dict[int, int | None]) -> int:
    """Return what an object was made from in the end."""
    while (source := made_from.get(number)) is not None:
        number = source
    return number
