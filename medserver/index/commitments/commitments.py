"""Storage commitment in the index, `Index.commitments`: what peers have asked of us, and we of them.

Checking and reporting are jobs, see `medserver.commitment`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from medserver.dicom import status
from medserver.dicom.storage_commitment import Reference
from medserver.errors import OutOfResources
from medserver.index.commitments.records import OUTSTANDING, NewCommitment, StoredCommitment
from medserver.index.commitments.table import CommitmentTable
from medserver.index.database.access import Access, AddJobs
from medserver.index.jobs.records import NewJob
from medserver.log import Event

ROOM_AFTER = timedelta(days=1)
"""A request that was not reported for so long gives way to a new one where a peer has too many."""

logger = logging.getLogger(__name__)


class Accepted(NamedTuple):
    """The number of a transaction, and whether it begins (anew) with this request; else its report is to come."""

    number: int
    is_new: bool


class Commitments:
    """The transactions of an index.

    Every method that writes returns after the commit; what a peer has asked or reported outlives a power cut. Every
    method raises `IndexFailure` if the database fails, and `OutOfResources` if it has no space left.

    Parameters
    ----------
    access : Access
        The ways to the database.
    table : CommitmentTable
        The SQL.
    """

    def __init__(self, access: Access, table: CommitmentTable) -> None:
        self._access = access
        self._table = table

    # A peer asks us

    def accept(self, new: NewCommitment, job_of: Callable[[int], NewJob], outstanding_max: int) -> Accepted:
        """Add what a peer asks, and the job that follows from it, in one transaction.

        The same request again changes nothing as long as its report is to come. Once that was acknowledged or given up
        the transaction begins anew: the peer has lost the report, and what was safe then may not be so now. Another
        request under a Transaction UID that is taken is added with the Failure Reason 0131 for all its instances.

        Parameters
        ----------
        new : NewCommitment
            The request.
        job_of : callable
            Makes the job from the number of the transaction.
        outstanding_max : int
            How many transactions of the peer may be unfinished. Beyond that, those are given up that have not been
            reported for `ROOM_AFTER`: a peer that takes no reports can ask again.

        Raises
        ------
        OutOfResources
            There are so many.
        """
        now, fingerprint = self._access.clock(), new.fingerprint()
        given_up: dict[str, int] = {}

        def perform(connection: Any, add_jobs: AddJobs) -> Accepted:
            self._table.lock(connection, new.role, new.ae_title)
            present = self._table.with_uid(connection, new.role, new.ae_title, new.transaction_uid)
            number = present.get(fingerprint)
            if number is not None and self._is_awaited(connection, number):
                return Accepted(number, False)
            given_up.clear()
            if self._table.outstanding(connection, new.role, new.ae_title) >= outstanding_max:
                given_up.update(self._table.give_up(connection, now, now - ROOM_AFTER, new.ae_title))
            if not given_up and self._table.outstanding(connection, new.role, new.ae_title) >= outstanding_max:
                raise OutOfResources(f"{outstanding_max} requests for storage commitment are unfinished")
            if number is None:
                number = self._table.add(connection, new, now, status.DUPLICATE_TRANSACTION_UID if present else None)
            else:
                self._table.begin_anew(connection, number, now, new.held)
            add_jobs([job_of(number)])
            return Accepted(number, True)

        # Unlike an object it is only in the index; what is accepted already may have been committed a moment ago.
        accepted = self._access.transact(perform, flushed=True)
        _tell_given_up(given_up)
        return accepted

    def _is_awaited(self, connection: Any, number: int) -> bool:
        """Tell whether the report of a transaction is still to come."""
        stored = self._table.get(connection, number)
        return stored is not None and stored.state in OUTSTANDING and not stored.is_given_up

    def undecided(self, number: int, after: int = -1) -> dict[int, Reference]:
        """Return the next instances after a position of which nobody knows yet whether they are safe, by position."""
        return self._access.read(self._table.undecided, number, after)

    def decide(self, number: int, reasons: Mapping[int, int]) -> None:
        """Note what is known of instances: position -> Failure Reason, or 0 for one that is safe."""
        if reasons:
            self._access.writer.run(lambda connection: self._table.decide(connection, number, reasons))

    def finish_check(self, number: int) -> None:
        """Note that all instances are decided: it can be reported."""
        self._access.writer.run(lambda connection: self._table.set_state(connection, number, "checked", None))

    def claim(self, number: int, until: datetime) -> bool:
        """Reserve the report for the association of the request until a moment.

        Returns
        -------
        bool
            False if it is not ready, acknowledged already, or was taken over.
        """
        return self._access.writer.run(lambda connection: self._table.claim(connection, number, until))

    def let_go(self, number: int) -> None:
        """Note that it will not be reported on the association of the request: that has ended, or did not work."""
        self._access.writer.run(lambda connection: self._table.let_go(connection, number))

    def take_over(self, number: int) -> bool:
        """Take the report from the association of the request, for good.

        Returns
        -------
        bool
            False if it is not ready, acknowledged already, or being reported there just now.
        """
        now = self._access.clock()
        return self._access.writer.run(lambda connection: self._table.take_over(connection, number, now))

    def finish(self, number: int, state: str = "reported") -> bool:
        """Note that the peer has acknowledged the report, or refused our request; False if it was finished."""
        now = self._access.clock()
        return self._access.writer.run(lambda connection: self._table.set_state(connection, number, state, now))

    # We ask a peer

    def ask(self, new: NewCommitment) -> int:
        """Add what we are about to ask of a peer, and return its number."""
        now = self._access.clock()
        return self._access.writer.run(lambda connection: self._table.add(connection, new, now))

    def record_report(self, ae_title: str, transaction_uid: str, references: Sequence[Reference]) -> int | None:
        """Note what a peer reports; what it does not mention of what we asked stays unknown.

        Returns
        -------
        int or None
            The number of the transaction; None if we have asked nothing of that kind. A report that comes again
            changes nothing.
        """
        now = self._access.clock()
        reasons = {one.sop_instance_uid: one.reason for one in references}

        def perform(connection: Any) -> int | None:
            present = self._table.with_uid(connection, "scu", ae_title, transaction_uid)
            if not present:
                return None
            number = next(iter(present.values()))
            if self._table.set_state(connection, number, "reported", now):
                positions: dict[int, int] = {}
                for position, _, sop_instance_uid, _ in self._all_instances(connection, number):
                    if sop_instance_uid in reasons:
                        positions[position] = reasons[sop_instance_uid]
                self._table.decide(connection, number, positions)
            return number

        return self._access.writer.run(perform, flushed=True)  # also one that comes again

    def _all_instances(self, connection: Any, number: int) -> Iterator[tuple[int, str, str, int | None]]:
        after = -1
        while page := self._table.instances(connection, number, after):
            yield from page
            after = page[-1][0]

    # Looking

    def state(self, number: int) -> str | None:
        """Return the state of a transaction; None if there is none of this number."""
        return self._access.read(self._table.state, number)

    def get(self, number: int) -> StoredCommitment | None:
        """Return a transaction; None if there is none of this number."""
        return self._access.read(self._table.get, number)

    def with_uid(self, transaction_uid: str) -> list[int]:
        """Return the numbers of the transactions that have a Transaction UID."""
        return self._access.read(self._table.numbers, transaction_uid)

    def list(self) -> Iterator[StoredCommitment]:
        """Yield all transactions, the oldest first."""
        after = 0
        while page := self._access.read(self._table.page, after):
            yield from page
            after = page[-1].id

    def instances(self, number: int) -> Iterator[tuple[Reference, bool]]:
        """Yield the instances in the order of the request, each with whether it is known if it is safe."""
        after = -1
        while page := self._access.read(self._table.instances, number, after):
            for _, sop_class_uid, sop_instance_uid, reason in page:
                yield Reference(sop_class_uid, sop_instance_uid, reason or 0), reason is not None
            after = page[-1][0]

    def give_up(self, before: datetime) -> None:
        """Count what peers asked before a moment and could not be told as finished; it can still be reported."""
        now = self._access.clock()
        _tell_given_up(self._access.writer.run(lambda connection: self._table.give_up(connection, now, before)))

    def prune(self, before: datetime) -> int:
        """Delete what was finished before a moment; return how many transactions that were."""
        return self._access.writer.run(lambda connection: self._table.prune(connection, before), is_long=True)


def _tell_given_up(counts: Mapping[str, int]) -> None:
    for ae_title, count in counts.items():
        logger.warning(Event("commitments given up", ae_title=ae_title, count=count, reason="not reported"))
