"""Jobs: what is to be done later. The rows are the truth; who performs them is in `medserver.work`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from medserver.audit.rows import AuditRow
from medserver.index.audit.table import AuditTable
from medserver.index.database.writer import Writer
from medserver.index.jobs.lanes import PRIORITIES, LaneTable
from medserver.index.jobs.records import (
    Job,
    JobCount,
    JobFilter,
    JobGroup,
    Lane,
    LaneState,
    NewJob,
    PayloadCount,
    Verdict,
)
from medserver.index.jobs.table import JobTable
from medserver.index.jobs.waits import Waits, WaitTable

Read = Callable[..., Any]
Listener = Callable[[Collection[Lane]], None]


class Jobs:
    """The jobs of an index, `Index.jobs`.

    Every method that writes returns after the commit; what an administrator does to jobs is flushed as well, see
    `medserver.index.database.tables`. Every method raises `IndexFailure` if the database fails.
    Moments have a time zone. Machines that share an index share the clock of its database, see `DatabaseClock`.

    Parameters
    ----------
    read : callable
        Reads with a connection that is lent.
    writer : Writer
        Performs transactions.
    table, lanes, waits : JobTable, LaneTable, WaitTable
        The SQL.
    clock : callable
        Tells the present moment.
    audit_table : AuditTable
        The SQL of what is told of jobs.

    Attributes
    ----------
    listener : callable or None
        Called with the lanes to which jobs were added, after the commit, in the thread that added them. It must
        return at once and must not raise.
    """

    def __init__(
        self,
        read: Read,
        writer: Writer,
        table: JobTable,
        lanes: LaneTable,
        waits: WaitTable,
        clock: Callable[[], datetime],
        audit_table: AuditTable,
    ) -> None:
        self._read = read
        self._writer = writer
        self._table = table
        self._lanes = lanes
        self._waits = waits
        self._clock = clock
        self._audit_table = audit_table
        self.listener: Listener | None = None

    # A job's life

    def add(self, jobs: Iterable[NewJob]) -> list[int]:
        """Add jobs; in one transaction, without any other change.

        Returns
        -------
        list of int
            Their numbers.
        """
        jobs, now = list(jobs), self._clock()
        numbers = self._writer.run(lambda connection: self._table.add(connection, jobs, now), flushed=True)
        self.announce(job.lane for job in jobs)
        return numbers

    def announce(self, lanes: Iterable[Lane]) -> None:
        """Tell the listener that jobs were added to lanes, and committed."""
        if self.listener is not None and (different := set(lanes)):
            self.listener(different)

    def claim(
        self,
        lane: Lane,
        *,
        owner: str,
        lease_until: datetime,
        limit: int = 1,
        concurrency: int = 1,
        destination_concurrency: int = 1,
    ) -> list[Job]:
        """Claim jobs of a lane that are due: the highest priority first, then those that are due the longest.

        Of an order key only the oldest is claimed, and only if none of its kind runs.

        Parameters
        ----------
        lane : Lane
            Which.
        owner : str
            A name for this claim that nobody ever used.
        lease_until : datetime
            When the jobs are offered to others again unless they are settled, or the lease extended.
        limit : int
            How many at most.
        concurrency, destination_concurrency : int
            How many claims of this kind, and of this lane, there may be at a time.

        Returns
        -------
        list of Job
            Empty if nothing is due, the lane is paused or a limit is reached.
        """
        now = self._clock()
        if not self._read(self._table.has_claimable, lane, now):
            return []
        rows = self._writer.run(
            lambda connection: self._table.claim(
                connection,
                lane,
                owner=owner,
                now=now,
                lease_until=lease_until,
                limit=limit,
                concurrency=concurrency,
                destination_concurrency=destination_concurrency,
            )
        )
        return self._table.claimed(rows, owner, lease_until)

    def settle(self, verdicts: Sequence[Verdict], following: Iterable[NewJob | AuditRow] = ()) -> set[int]:
        """Do with jobs that were claimed what the verdicts say, and add the jobs and audit messages that follow.

        Returns
        -------
        set of int
            The numbers of those that still belonged to their claim; with others nothing was done, for their lease
            had run out.
        """
        told, jobs, now = list[AuditRow](), list[NewJob](), self._clock()
        for each in following:
            (told if isinstance(each, AuditRow) else jobs).append(each)

        def perform(connection: Any) -> set[int]:
            settled = self._table.settle(connection, verdicts, now, jobs)
            self._audit_table.insert(connection, told)
            return settled

        settled = self._writer.run(perform)
        changed = (each.change.lane_of(each.job) for each in verdicts if each.change)
        self.announce([*(job.lane for job in jobs), *changed])
        return settled

    def complete(self, jobs: Iterable[Job]) -> set[int]:
        """Delete jobs that are done: `settle`."""
        return self.settle([Verdict(job, "done") for job in jobs])

    def fail(self, job: Job, error: str, retry_at: datetime | None) -> set[int]:
        """Note a failure: the job waits until a moment, or is dead if that is None: `settle`."""
        return self.settle([Verdict(job, "retry" if retry_at else "dead", retry_at, error)])

    def extend(self, owner: str, ids: Collection[int], lease_until: datetime) -> None:
        """Extend the lease of jobs, as far as they still belong to a claim."""
        self._writer.run(lambda connection: self._table.extend(connection, owner, ids, lease_until))

    def owners(self) -> list[str]:
        """Return who has jobs now."""
        return self._read(self._table.owners)

    def expire(self, owner: str) -> None:
        """Let the leases of a claim run out: its worker is dead."""
        now = self._clock()
        self._writer.run(lambda connection: self._table.expire(connection, owner, now))

    def sweep(self, attempts_max: Mapping[str, int]) -> list[Job]:
        """Take back jobs whose lease has run out; they wait again, or are dead after so many attempts.

        Parameters
        ----------
        attempts_max : Mapping of str to int
            By kind; a kind that is not there has no limit.

        Returns
        -------
        list of Job
            As they were. There may be more of them.
        """
        now = self._clock()
        if not self._read(self._table.has_expired, now):
            return []
        jobs = self._writer.run(lambda connection: self._table.sweep(connection, now, attempts_max))
        self.announce(job.lane for job in jobs)
        return jobs

    def add_periodic(self, name: str, interval_s: float, job: NewJob) -> bool:
        """Add a job if it is time for it, and set the next time.

        Parameters
        ----------
        name : str
            What comes periodically. It becomes the order key, so that there is never more than one of it.
        interval_s : float
            From one time to the next [s].
        job : NewJob
            What is to be done; its order key does not count.

        Returns
        -------
        bool
            False if it is not time, somebody else was quicker, or the last one is not done.
        """
        now = self._clock()
        if not self._read(self._lanes.is_due, name, now, interval_s):
            return False

        def perform(connection: Any) -> bool:
            if not self._lanes.take_periodic(connection, name, now, interval_s):
                return False
            return self._table.add_only(connection, job, name, now)

        added = self._writer.run(perform)
        if added:
            self.announce([job.lane])
        return added

    def cap_waits(self, lanes: Mapping[Lane, Waits], pause_s: float) -> list[Lane]:
        """Let nothing be due, paused or held longer than its kind ever waits: a clock was ahead when that was written.

        Parameters
        ----------
        lanes : Mapping of Lane to Waits
            The lanes to look at.
        pause_s : float
            How long `leave_alone` leaves a destination alone at most [s].

        Returns
        -------
        list of Lane
            Those of which something would have come too late.
        """
        now = self._clock()
        found = self._read(self._waits.excess, lanes, pause_s, now)
        if found:
            self._writer.run(lambda connection: self._waits.cap(connection, found, lanes, pause_s, now))
        return list(found)

    # Destinations that are down

    def leave_alone(
        self, lanes: Sequence[Lane], reason: str, until: Callable[[int], datetime]
    ) -> datetime | None:
        """Have no job claimed for a destination for a while: it cannot be reached, whatever is sent.

        The first lane from which jobs are claimed afterwards tries it for all: the others wait until that is known to
        have failed, by another call, or to have succeeded: `reached`; or not to have been tried: `let_others_try`.

        Parameters
        ----------
        lanes : sequence of Lane
            All that send to the destination.
        reason : str
            Why, for an administrator.
        until : callable
            Takes the number of failures in a row, from 1, and returns until when.

        Returns
        -------
        datetime or None
            Until when; None if that was so already.
        """
        now = self._clock()
        return self._writer.run(lambda connection: self._lanes.leave_alone(connection, lanes, reason, now, until))

    def reached(self, lanes: Sequence[Lane]) -> None:
        """End `leave_alone`, now or later: the destination can be reached."""
        if not self._read(self._lanes.failures, lanes):
            return
        self.announce(self._writer.run(lambda connection: self._lanes.reached(connection, lanes)))

    def let_others_try(self, lane: Lane) -> None:
        """Let the other lanes of a destination be claimed again, if what was done for this one has not tried it.

        Who looks for a report, or finds that all has to wait for its hours, learns nothing of the destination.
        """
        now = self._clock()
        if self._read(self._lanes.has_told_nothing, lane, now):
            self.announce(self._writer.run(lambda connection: self._lanes.let_others_try(connection, lane, now)))

    # Looking

    def lanes(self, kind: str | None = None) -> list[LaneState]:
        """Return the lanes, or those of one kind: what is paused, and when the next job is due."""
        return self._read(self._lanes.all, kind)

    def counts(self) -> list[JobCount]:
        """Count the jobs by lane and state."""
        return self._read(self._lanes.counts)

    def counts_by(self, keys: Sequence[str], kinds: Sequence[str], state: str) -> Sequence[PayloadCount]:
        """Count the jobs of some kinds in a state, by lane and what their payload says for some keys."""
        return self._read(self._table.counts_by, keys, kinds, state)

    def groups(self, keys: Sequence[str], kinds: Sequence[str]) -> Sequence[JobGroup]:
        """Count the jobs of some kinds that are alike, also in what their payload says for some keys."""
        now = self._clock()
        return self._read(self._table.groups, keys, kinds, now)

    def list(self, chosen: JobFilter | None = None, after: int = 0) -> Iterator[Job]:
        """Yield jobs, the oldest first.

        Parameters
        ----------
        chosen : JobFilter, optional
            Which; default: all.
        after : int
            The number of the last one that is known.
        """
        while page := self._read(self._table.page, chosen or JobFilter(), after):
            yield from page
            after = page[-1].id

    def due_later(self, lane: Lane, due_at: datetime) -> Iterator[Sequence[Job]]:
        """Yield, page by page, what waits in a lane for a moment later than another one, and has not failed."""
        for priority in PRIORITIES:
            moment, after = due_at, 0
            while page := self._read(self._table.due_later, lane, priority, moment, after):
                yield page
                moment, after = page[-1].due_at, page[-1].id

    def get(self, number: int) -> Job | None:
        """Return a job by its number, None if there is none."""
        found = self._read(self._table.some, [number])
        return found[0] if found else None

    # Administration

    def retry(self, ids: Sequence[int]) -> list[Job]:
        """Let jobs that don't run be due in their turn, with all their attempts unless they wait.

        Returns
        -------
        list of Job
            Those for which this was done, as they were.
        """
        jobs = self._writer.run(lambda connection: self._table.revive(connection, ids), flushed=True)
        self.announce(job.lane for job in jobs)
        return jobs

    def amend(self, ids: Sequence[int], changes: Mapping[str, Any], kinds: Collection[str] = ()) -> list[Job]:
        """Change the payloads of jobs that don't run, and let them be due now as `retry` does.

        Parameters
        ----------
        ids, changes
            Which, and the keys that get other values.
        kinds : collection of str
            Only those that are of these kinds still; empty for any.

        Returns
        -------
        list of Job
            Those for which this was done, as they were.
        """
        jobs = self._writer.run(lambda connection: self._table.amend(connection, ids, changes, kinds), flushed=True)
        self.announce(job.lane for job in jobs)
        return jobs

    def drop(self, ids: Sequence[int]) -> list[Job]:
        """Delete jobs that don't run; return them."""
        jobs = self._writer.run(lambda connection: self._table.drop(connection, ids), flushed=True)
        self.announce(job.lane for job in jobs if job.order_key)  # the next of its order key may be ready
        return jobs

    def pause(self, kind: str, destination: str | None = None) -> None:
        """Have no more jobs claimed of a kind, or of one of its destinations, by whichever worker."""
        self._writer.run(lambda connection: self._lanes.pause(connection, kind, destination, True))

    def resume(self, kind: str, destination: str | None = None) -> None:
        """End `pause`: of one destination, or of the kind and all its destinations."""
        self._writer.run(lambda connection: self._lanes.pause(connection, kind, destination, False))
        self.announce(state.lane for state in self.lanes(kind) if not state.paused)

    def pause_destination(self, kinds: Iterable[str], destination: str) -> None:
        """Have no more jobs of some kinds claimed for a destination, in one step."""
        lanes = [Lane(kind, destination) for kind in sorted(kinds)]
        self._writer.run(lambda connection: self._lanes.pause_destination(connection, lanes, True))

    def resume_destination(self, kinds: Iterable[str], destination: str) -> None:
        """End `pause_destination` and `leave_alone` in one step: the destination is tried at once."""
        lanes = [Lane(kind, destination) for kind in sorted(kinds)]

        def perform(connection: Any) -> None:
            self._lanes.reached(connection, lanes)
            self._lanes.pause_destination(connection, lanes, False)

        self._writer.run(perform)
        self.announce(state.lane for state in self.lanes() if state.lane in lanes and state.due_at is not None)
