"""Decisions of people about which object of an instance is the current one, `Index.promotions`.

What is decided on is what was received: an object and everything that was made from it here are one. Which of these is
the current object follows from how they were made, see `Versions.leading`. So an index that is made anew comes to the
same, where what was made stands beside what it was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import JOIN, SQL, Query, fn

from medserver.index.database import models
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import Instances, Locations, Objects, Tombstones
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob
from medserver.index.objects.additions import Additions, Version, Versions, prepare
from medserver.index.objects.deletions import OrderTable
from medserver.index.objects.records import InstanceRecord, ObjectKey

_COLUMNS = ("sop_instance_uid", "digest", "transfer_syntax_uid", "decided_at", "decided_by", "reason")
_DECIDED_AT = models.Promotions.decided_at
_OF_INSTANCE = models.Promotions.sop_instance_uid == PARAMETER
_LATER = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Promotion:
    """An object was made the current one of its instance.

    Parameters
    ----------
    sop_instance_uid, digest, transfer_syntax_uid : str
        Which object.
    decided_at : datetime
        When; later than everything that was known of the instance then, whatever the clock says.
    decided_by, reason : str
        Who decided it, and why.
    forms, others : tuple of ObjectKey
        The other objects of the instance at that moment: those that were, or were made from, the same that was
        received, and all the rest. What became the current object without being among them was received later.
    paths : tuple of str
        The files of the object at that moment. If they have tombstones, it was deleted later.
    """

    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str
    decided_at: datetime
    decided_by: str
    reason: str
    forms: tuple[ObjectKey, ...] = ()
    others: tuple[ObjectKey, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def key(self) -> ObjectKey:
        """Which object."""
        return ObjectKey(self.sop_instance_uid, self.digest, self.transfer_syntax_uid)


class Promotions:
    """The promotions of an index. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    additions : Additions
        Moves the mark of the current object.
    orders : OrderTable
        Knows what is to be deleted.
    """

    def __init__(self, access: Access, additions: Additions, orders: OrderTable) -> None:
        self._access = access
        self._additions = additions
        self._orders = orders
        self._backend = access.backend

    @statement
    def _insert(self) -> Query:
        row, key = insertion(models.Promotions, _COLUMNS), (models.Promotions.sop_instance_uid, _DECIDED_AT)
        return row.on_conflict(action="NOTHING", conflict_target=key).returning(models.Promotions.id)

    @statement
    def _of(self) -> Query:
        columns = (getattr(models.Promotions, name) for name in _COLUMNS)
        return models.Promotions.select(*columns).where(_OF_INSTANCE).order_by(_DECIDED_AT)

    @statement
    def _known(self) -> Query:
        return models.Promotions.select(SQL("1")).where(_OF_INSTANCE & (_DECIDED_AT == PARAMETER))

    @statement
    def _last(self) -> Query:
        return models.Promotions.select(fn.MAX(_DECIDED_AT)).where(_OF_INSTANCE)

    @statement
    def _received(self) -> Query:
        objects = Objects.select(Objects.received_at, Locations.path).join(Instances)
        files = objects.join_from(Objects, Locations, JOIN.LEFT_OUTER, on=Locations.object == Objects.id)
        return files.where(Instances.sop_instance_uid == PARAMETER)

    @statement
    def _paths(self) -> Query:
        return Locations.select(Locations.path).distinct().where(Locations.object == PARAMETER).order_by(Locations.path)

    @statement
    def _deleted(self) -> Query:
        of_key = (
            (Tombstones.sop_instance_uid == PARAMETER)
            & (Tombstones.digest == PARAMETER)
            & (Tombstones.transfer_syntax_uid == PARAMETER)
        )
        return Tombstones.select(SQL("1")).where(of_key & self._backend.is_among(Tombstones.path)).limit(1)

    def perform(
        self,
        record: InstanceRecord,
        *,
        by: str,
        why: str,
        sealed_at: Callable[[str], datetime],
        jobs_of: Callable[[Promotion], Iterable[NewJob]],
    ) -> tuple[Promotion, tuple[str, ...]] | None:
        """Make an object that is stored the current one of its instance, with its header; durable when it returns.

        Parameters
        ----------
        record : InstanceRecord
            The object, as one of its files tells it.
        by, why : str
            Who decided it, and why.
        sealed_at : callable
            Tells when a file was stored, by its path.
        jobs_of : callable
            Returns what follows; added in the same transaction.

        Returns
        -------
        tuple of Promotion and tuple of str, or None
            What was decided, and the kinds of the conflicts that it revealed. None if the object is the current one, is
            to be deleted, or is not there.
        """
        addition = prepare(record)

        def perform(connection: Any, add_jobs: AddJobs) -> tuple[Promotion, tuple[str, ...]] | None:
            versions = self._additions.versions(connection, record.sop_instance_uid)
            version = versions.find(*addition.version) if versions else None
            if versions is None or version is None or version.is_current:
                return None
            if not self._orders.stays(connection, record.key):
                return None
            decided_at = self._moment(connection, record.sop_instance_uid, sealed_at)
            promotion = self._promotion(connection, record.key, versions, version, decided_at, by, why)
            conflicts = self._additions.make_current(connection, addition, version)
            connection.execute(self._insert, _row(promotion))
            add_jobs(jobs_of(promotion))
            return promotion, conflicts

        return self._access.transact(perform, addition.order, flushed=True)

    def is_known(self, promotion: Promotion) -> bool:
        """Tell whether the index has a promotion, and has what followed from it."""
        return bool(self._access.rows(self._known, (promotion.sop_instance_uid, to_text(promotion.decided_at))))

    def target(self, promotion: Promotion) -> ObjectKey | None:
        """Return the object that is to become the current one by a promotion that is entered where it belongs.

        Returns
        -------
        ObjectKey or None
            None if nothing changes: it is the current one, it is gone or was deleted later, or what is the current one
            was received later.
        """
        return self._access.writer.run(lambda connection: self._target(connection, promotion))

    def enter(self, promotion: Promotion, record: InstanceRecord | None) -> bool:
        """Enter a promotion that a note of a volume tells of.

        Parameters
        ----------
        promotion : Promotion
            What was decided.
        record : InstanceRecord or None
            What `target` returned, as one of its files tells it; None if nothing changes.

        Returns
        -------
        bool
            False if the index knew it: nothing was changed.
        """
        addition = prepare(record) if record is not None else None

        def perform(connection: Any) -> bool:
            versions = self._additions.versions(connection, promotion.sop_instance_uid)
            if not connection.execute(self._insert, _row(promotion)).fetchall():
                return False
            version = versions.find(*addition.version) if versions and addition else None
            if addition is not None and version is not None and not version.is_current:
                self._additions.make_current(connection, addition, version)
            return True

        return self._access.writer.run(perform, addition.order if addition else ())

    def of(self, sop_instance_uid: str) -> list[Promotion]:
        """Return what was decided about an instance, in that order."""
        rows = self._access.rows(self._of, (sop_instance_uid,))
        return [Promotion(*row[:3], from_text(row[3]), *row[4:]) for row in rows]

    def _moment(self, connection: Any, sop_instance_uid: str, sealed_at: Callable[[str], datetime]) -> datetime:
        """Return the present, or what is later than all that is known of an instance: clocks step."""
        rows = connection.execute(self._received, (sop_instance_uid,)).fetchall()
        moments = [from_text(received_at) for received_at, _ in rows]
        moments += [sealed_at(path) for _, path in rows if path is not None]
        [[last]] = connection.execute(self._last, (sop_instance_uid,)).fetchall()
        if last:
            moments.append(from_text(last))
        return max(self._access.clock(), max(moments) + _LATER)

    def _promotion(
        self,
        connection: Any,
        key: ObjectKey,
        versions: Versions,
        version: Version,
        decided_at: datetime,
        by: str,
        why: str,
    ) -> Promotion:
        forms, others = [], []
        for one in versions.every:
            if one is not version:
                same = forms if versions.are_one(version, one) else others
                same.append(ObjectKey(key.sop_instance_uid, one.digest, one.transfer_syntax_uid))
        paths = tuple(path for (path,) in connection.execute(self._paths, (version.number,)).fetchall())
        return Promotion(
            key.sop_instance_uid, key.digest, key.transfer_syntax_uid, decided_at, by, why, tuple(forms), tuple(others),
            paths,
        )  # fmt: skip

    def _target(self, connection: Any, promotion: Promotion) -> ObjectKey | None:
        versions = self._additions.versions(connection, promotion.sop_instance_uid)
        if versions is None or self._was_deleted(connection, promotion):
            return None
        found = (versions.find(*_version(key)) for key in (promotion.key, *promotion.forms))
        version = next(filter(None, found), None)
        if version is None or versions.are_one(version, versions.current):
            return None
        if versions.current is not None:
            were_there = (versions.find(*_version(key)) for key in promotion.others)
            if not any(one is not None and versions.are_one(one, versions.current) for one in were_there):
                return None
        leading = versions.leading(version)
        return ObjectKey(promotion.sop_instance_uid, leading.digest, leading.transfer_syntax_uid)

    def _was_deleted(self, connection: Any, promotion: Promotion) -> bool:
        paths = self._backend.list_parameter(promotion.paths)
        rows = connection.execute(self._deleted, (*_names(promotion.key), paths)).fetchall()
        return bool(rows)


def _names(key: ObjectKey) -> tuple[str, str, str]:
    return key.sop_instance_uid, key.digest, key.transfer_syntax_uid


def _version(key: ObjectKey) -> tuple[str, str]:
    return key.digest, key.transfer_syntax_uid


def _row(one: Promotion) -> Sequence[str]:
    return (*_names(one.key), to_text(one.decided_at), one.decided_by, one.reason)
