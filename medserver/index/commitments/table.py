"""The tables of storage commitment: their SQL. Every method works in a transaction of its caller.

How a state leads to the next::

    a peer asks us:   pending --all instances decided--> checked --acknowledged--> reported
    we ask a peer:    pending --its report--> reported
                      pending --its refusal--> refused
    and again:        reported, given up --the same request--> pending
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from peewee import SQL, Query, fn

from medserver.dicom import status
from medserver.dicom.storage_commitment import Reference
from medserver.index.commitments.records import NewCommitment, StoredCommitment
from medserver.index.database.backend import Backend
from medserver.index.database.models import CommitmentInstances as Instances
from medserver.index.database.models import Commitments
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, spelled, statement

ROWS_PER_INSERT = 200
PAGE_ROWS = 500

_REQUEST = ("role", "transaction_uid", "ae_title", "remote", "fingerprint", "held", "requested_at")
_INSTANCE = ("commitment", "position", "sop_class_uid", "sop_instance_uid", "reason")
_IS_THIS = Commitments.id == PARAMETER
_IS_OPEN = Commitments.state.in_(("pending", "checked"))
_IS_UNREPORTED = _IS_OPEN & Commitments.finished_at.is_null()
_IS_NEXT = (Instances.commitment == PARAMETER) & (Instances.position > PARAMETER)


class CommitmentTable:
    """The tables of transactions and of their instances.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _insert(self) -> Query:
        return insertion(Commitments, _REQUEST, state="pending").returning(Commitments.id)

    @statement
    def _same_uid(self) -> Query:
        of_peer = (Commitments.role == PARAMETER) & (Commitments.ae_title == PARAMETER)
        same = Commitments.select(Commitments.id, Commitments.fingerprint)
        return same.where(of_peer & (Commitments.transaction_uid == PARAMETER)).order_by(Commitments.id)

    @statement
    def _numbers(self) -> Query:
        with_uid = Commitments.transaction_uid == PARAMETER
        return Commitments.select(Commitments.id).where(with_uid).order_by(Commitments.id)

    @statement
    def _outstanding(self) -> Query:
        of_peer = (Commitments.role == PARAMETER) & (Commitments.ae_title == PARAMETER)
        return Commitments.select(fn.COUNT(SQL("*"))).where(of_peer & _IS_UNREPORTED)

    @statement
    def _give_up(self) -> Query:
        return _giving_up()

    @statement
    def _give_up_of(self) -> Query:
        return _giving_up().where(Commitments.ae_title == PARAMETER)

    @statement
    def _get(self) -> Query:
        return _stored().where(_IS_THIS)

    @statement
    def _page(self) -> Query:
        return _stored().where(Commitments.id > PARAMETER).order_by(Commitments.id).limit(PAGE_ROWS)

    @statement
    def _undecided(self) -> Query:
        columns = (Instances.position, Instances.sop_class_uid, Instances.sop_instance_uid)
        undecided = Instances.select(*columns).where(_IS_NEXT & Instances.reason.is_null())
        return undecided.order_by(Instances.position).limit(PAGE_ROWS)

    @statement
    def _instances(self) -> Query:
        columns = (Instances.position, Instances.sop_class_uid, Instances.sop_instance_uid, Instances.reason)
        return Instances.select(*columns).where(_IS_NEXT).order_by(Instances.position).limit(PAGE_ROWS)

    @statement
    def _decide(self) -> Query:
        some = (Instances.commitment == PARAMETER) & self._backend.is_among(Instances.position)
        return Instances.update({Instances.reason: PARAMETER}).where(some)

    @statement
    def _set_state(self) -> Query:
        changed = {Commitments.state: PARAMETER, Commitments.finished_at: PARAMETER, Commitments.claimed_until: None}
        return Commitments.update(changed).where(_IS_THIS & _IS_OPEN).returning(Commitments.id)

    @statement
    def _claim(self) -> Query:
        is_ready = (Commitments.state == "checked") & (Commitments.held == 1)
        claimed = Commitments.update({Commitments.claimed_until: PARAMETER}).where(_IS_THIS & is_ready)
        return claimed.returning(Commitments.id)

    @statement
    def _let_go(self) -> Query:
        return _letting_go().where(_IS_THIS)

    @statement
    def _take_over(self) -> Query:
        is_free = Commitments.claimed_until.is_null() | (Commitments.claimed_until <= PARAMETER)
        taken = _letting_go().where(_IS_THIS & (Commitments.state == "checked") & is_free)
        return taken.returning(Commitments.id)

    @statement
    def _begin_anew(self) -> Query:
        changed = {Commitments.state: "pending", Commitments.held: PARAMETER, Commitments.requested_at: PARAMETER}
        nothing = {Commitments.finished_at: None, Commitments.claimed_until: None}
        return Commitments.update({**changed, **nothing}).where(_IS_THIS)

    @statement
    def _undecide(self) -> Query:
        others = (Instances.commitment == PARAMETER) & (Instances.reason != PARAMETER)
        return Instances.update({Instances.reason: None}).where(others)

    @statement
    def _state(self) -> Query:
        return Commitments.select(Commitments.state).where(_IS_THIS)

    @statement
    def _prune_instances(self) -> Query:
        old = Commitments.select(Commitments.id).where(Commitments.finished_at < PARAMETER)
        return Instances.delete().where(Instances.commitment.in_(old))

    @statement
    def _prune(self) -> Query:
        return Commitments.delete().where(Commitments.finished_at < PARAMETER).returning(Commitments.id)

    # Life

    def with_uid(self, connection: Any, role: str, ae_title: str, transaction_uid: str) -> dict[str, int]:
        """Return the transactions of a peer that have a Transaction UID: fingerprint -> number."""
        rows = connection.execute(self._same_uid, (role, ae_title, transaction_uid)).fetchall()
        return {fingerprint: number for number, fingerprint in rows}

    def lock(self, connection: Any, role: str, ae_title: str) -> None:
        """Let nobody else add transactions of a peer until the end of the transaction."""
        self._backend.lock(connection, "\n".join(("commitment", role, ae_title)))

    def outstanding(self, connection: Any, role: str, ae_title: str) -> int:
        """Count the transactions of a peer that are not finished."""
        return connection.execute(self._outstanding, (role, ae_title)).fetchall()[0][0]

    def give_up(
        self, connection: Any, now: datetime, before: datetime, ae_title: str | None = None
    ) -> dict[str, int]:
        """Count what was asked before a moment, of one peer or of all, as finished though it was not reported.

        Returns
        -------
        dict
            AE title -> how many transactions.
        """
        moments = (to_text(now), to_text(before))
        if ae_title is None:
            rows = connection.execute(self._give_up, moments).fetchall()
        else:
            rows = connection.execute(self._give_up_of, (*moments, ae_title)).fetchall()
        return Counter(row[0] for row in rows)

    def add(self, connection: Any, new: NewCommitment, now: datetime, reason: int | None = None) -> int:
        """Add a transaction, with what is already known of all its instances; return its number."""
        row = (
            new.role, new.transaction_uid, new.ae_title, new.remote, new.fingerprint(), int(new.held), to_text(now)
        )  # fmt: skip
        number = connection.execute(self._insert, row).fetchall()[0][0]
        for start in range(0, len(new.references), ROWS_PER_INSERT):
            references = new.references[start : start + ROWS_PER_INSERT]
            values: list[Any] = []
            for position, one in enumerate(references, start=start):
                values += (number, position, one.sop_class_uid, one.sop_instance_uid, reason)
            rows = insertion(Instances, _INSTANCE, rows=len(references))
            connection.execute(spelled(self._backend, rows), tuple(values))
        return number

    def begin_anew(self, connection: Any, number: int, now: datetime, held: bool) -> None:
        """Make a finished transaction one that was asked for now; what failed for its Transaction UID still does."""
        connection.execute(self._begin_anew, (int(held), to_text(now), number))
        connection.execute(self._undecide, (number, status.DUPLICATE_TRANSACTION_UID))

    def decide(self, connection: Any, number: int, reasons: Mapping[int, int]) -> None:
        """Note what is known of instances: position -> Failure Reason, or 0."""
        positions: dict[int, list[int]] = {}
        for position, reason in reasons.items():
            positions.setdefault(reason, []).append(position)
        for reason, some in positions.items():
            connection.execute(self._decide, (reason, number, self._backend.list_parameter(some)))

    def set_state(self, connection: Any, number: int, state: str, finished_at: datetime | None) -> bool:
        """Change the state of a transaction that is not finished; False if it is."""
        moment = to_text(finished_at) if finished_at else None
        return connection.execute(self._set_state, (state, moment, number)).fetchall() != []

    def claim(self, connection: Any, number: int, until: datetime) -> bool:
        """Reserve the report for the association of the request; False if it is not ready, done, or taken over."""
        return connection.execute(self._claim, (to_text(until), number)).fetchall() != []

    def let_go(self, connection: Any, number: int) -> None:
        """Note that it will not be reported on the association of the request."""
        connection.execute(self._let_go, (number,))

    def take_over(self, connection: Any, number: int, now: datetime) -> bool:
        """Take the report from the association of the request; False if it is not ready, done, or reserved."""
        return connection.execute(self._take_over, (number, to_text(now))).fetchall() != []

    def prune(self, connection: Any, before: datetime) -> int:
        """Delete what was finished before a moment; return how many transactions that were."""
        connection.execute(self._prune_instances, (to_text(before),))
        return len(connection.execute(self._prune, (to_text(before),)).fetchall())

    # Looking

    def state(self, connection: Any, number: int) -> str | None:
        """Return the state of a transaction."""
        rows = connection.execute(self._state, (number,)).fetchall()
        return rows[0][0] if rows else None

    def get(self, connection: Any, number: int) -> StoredCommitment | None:
        """Return a transaction."""
        rows = connection.execute(self._get, (number,)).fetchall()
        return _commitment(rows[0]) if rows else None

    def numbers(self, connection: Any, transaction_uid: str) -> list[int]:
        """Return the numbers of the transactions that have a Transaction UID."""
        return [row[0] for row in connection.execute(self._numbers, (transaction_uid,)).fetchall()]

    def page(self, connection: Any, after: int) -> list[StoredCommitment]:
        """Return the next transactions after a number."""
        return [_commitment(row) for row in connection.execute(self._page, (after,)).fetchall()]

    def undecided(self, connection: Any, number: int, after: int) -> dict[int, Reference]:
        """Return the next instances after a position of which nobody knows yet whether they are safe."""
        rows = connection.execute(self._undecided, (number, after)).fetchall()
        return {position: Reference(*uids) for position, *uids in rows}

    def instances(self, connection: Any, number: int, after: int) -> list[tuple[int, str, str, int | None]]:
        """Return the next instances after a position: position, SOP class, SOP instance, Failure Reason."""
        return [tuple(row) for row in connection.execute(self._instances, (number, after)).fetchall()]


def _stored() -> Query:
    """Build the query for transactions, with how many instances they have, and how many are safe and are not."""
    instances = Instances.select(fn.COUNT(SQL("*"))).where(Instances.commitment == Commitments.id)
    counts = (instances, instances.where(Instances.reason == 0), instances.where(Instances.reason != 0))
    request = (Commitments.id, Commitments.role, Commitments.transaction_uid, Commitments.ae_title, Commitments.remote)
    life = (Commitments.state, Commitments.held, Commitments.requested_at, Commitments.finished_at)
    return Commitments.select(*request, *life, *counts)


def _giving_up() -> Query:
    """Build the statement that finishes what was asked of us before a moment and not reported."""
    unreported = (Commitments.role == "scp") & _IS_UNREPORTED & (Commitments.requested_at < PARAMETER)
    given_up = Commitments.update({Commitments.finished_at: PARAMETER}).where(unreported)
    return given_up.returning(Commitments.ae_title)


def _letting_go() -> Query:
    return Commitments.update({Commitments.held: 0, Commitments.claimed_until: None})


def _commitment(row: Sequence[Any]) -> StoredCommitment:
    return StoredCommitment(
        *row[:6],
        held=bool(row[6]),
        requested_at=from_text(row[7]),
        finished_at=from_text(row[8]) if row[8] else None,
        count=row[9],
        safe=row[10],
        failed=row[11],
    )
