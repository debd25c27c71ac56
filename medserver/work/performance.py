"""One batch: its function is called, and what it says is written to the rows."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from medserver.audit import AuditRow
from medserver.errors import MedserverError
from medserver.index import Job, NewJob, Verdict
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, Sent
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.trail.deliveries import rows_of_sent
from medserver.work.kinds import JobKind

SETTLE_INTERVAL_S = 0.5
SETTLE_ATTEMPTS_MAX = 3

logger = logging.getLogger(__name__)


class Performance:
    """Performs the jobs of one claim.

    Parameters
    ----------
    node : Node
        What the function is given.
    kind : JobKind
        The kind of the jobs.
    should_stop : callable
        Tells whether the worker is asked to end.
    gives_way : callable
        Tells whether the turn of the jobs is over.
    on_settled : callable
        Called with the jobs that don't belong to the claim any more.
    chance : random.Random
        For the jitter.
    """

    def __init__(
        self,
        node: Node,
        kind: JobKind,
        *,
        should_stop: Callable[[], bool],
        gives_way: Callable[[], bool],
        on_settled: Callable[[Collection[Job]], None],
        chance: random.Random,
    ) -> None:
        self._node = node
        self._kind = kind
        self._should_stop = should_stop
        self._gives_way = gives_way
        self._on_settled = on_settled
        self._chance = chance
        self._verdicts: list[Verdict] = []
        self._follow_ups: list[NewJob] = []
        self._sent: list[Sent] = []
        self._undecided: dict[str, list[Job]] = {}  # by what is gone
        self._settled_at = time.monotonic()

    def run(self, jobs: Collection[Job]) -> None:
        """Perform jobs and settle them.

        Raises
        ------
        IndexFailure, OutOfResources
            What came of them could not be written: they are offered again when their lease runs out.
        """
        left = {job.id: job for job in jobs}
        try:
            self._call(left)
        except MedserverError as error:
            logger.warning(_event("failed", self._kind, jobs, str(error)))
            self._fail_all(left.values(), str(error))
        except Exception as error:  # a bug in the function, or an accident of the machine
            logger.exception(_event("failed", self._kind, jobs, type(error).__name__))
            if len(jobs) > 1:
                for job in left.values():  # so that one of them does not take the others with it
                    self.run([job])
                self._settle()  # what came of those before, if none was left
                return
            self._fail_all(left.values(), f"internal error: {type(error).__name__}: {error}")
        else:
            self._verdicts += [Verdict(job, "released") for job in left.values()]
        self._settle()

    def _call(self, left: dict[int, Job]) -> None:
        """Call the function; what it has an outcome for is taken out of `left`."""
        outcomes: Iterable[Outcome] | None = self._kind.function(
            self._node, Batch(list(left.values()), self._should_stop, self._gives_way)
        )
        if outcomes is None:
            outcomes = [Outcome(job) for job in left.values()]
        for outcome in outcomes:
            if left.pop(outcome.job.id, None) is not None:
                self._note(outcome)
                if time.monotonic() >= self._settled_at + SETTLE_INTERVAL_S:
                    self._settle()

    def _note(self, outcome: Outcome) -> None:
        if outcome.error is None:
            if outcome.sent is not None:
                self._sent.append(outcome.sent)
            name = "changed" if outcome.change else "done"
            self._verdicts.append(
                Verdict(outcome.job, name, change=outcome.change, delivered=outcome.delivered)
            )
            self._follow_ups += outcome.jobs
            return
        if outcome.is_undecided:
            self._undecided.setdefault(outcome.error, []).append(outcome.job)
            self._verdicts.append(Verdict(outcome.job, "undecided", error=outcome.error))
            return
        if not outcome.was_tried:
            self._hold(outcome)
            return
        if outcome.is_expected:
            logger.info(_event("early", self._kind, [outcome.job], outcome.error))
        else:
            logger.warning(_event("failed", self._kind, [outcome.job], outcome.error))
        verdict = self._failure(outcome.job, outcome.error, outcome.final, outcome.delay_s)
        if outcome.sent is not None and verdict.outcome == "dead":  # else it is tried again
            self._sent.append(outcome.sent)
        self._verdicts.append(verdict)

    def _hold(self, outcome: Outcome) -> None:
        if outcome.error != outcome.job.last_error:  # else that is known
            logger.warning(_event("held", self._kind, [outcome.job], str(outcome.error)))
        due_at = self._node.clock() + timedelta(seconds=outcome.delay_s or 0.0)
        self._verdicts.append(Verdict(outcome.job, "released", due_at, str(outcome.error)))

    def _fail_all(self, jobs: Iterable[Job], error: str) -> None:
        self._verdicts += [self._failure(job, error) for job in jobs]

    def _failure(self, job: Job, error: str, final: bool = False, delay_s: float | None = None) -> Verdict:
        if final or job.attempts >= self._kind.attempts_max:
            return Verdict(job, "dead", error=error)
        if delay_s is None:
            delay_s = self._kind.backoff.delay_s(job.attempts, self._chance)
        return Verdict(job, "retry", self._node.clock() + timedelta(seconds=delay_s), error)

    def _settle(self) -> None:
        """Write what has come of jobs so far."""
        for problem, jobs in self._undecided.items():  # a rule takes all with it that it wanted
            logger.warning(_event("undecided", self._kind, jobs, problem))
        self._undecided.clear()
        verdicts, self._verdicts = self._verdicts, []
        follow_ups, self._follow_ups = self._follow_ups, []
        sent, self._sent = self._sent, []
        self._settled_at = time.monotonic()
        if not verdicts:
            return
        settled = self._written(verdicts, [*follow_ups, *(rows_of_sent(self._node, sent) if sent else ())])
        self._on_settled([verdict.job for verdict in verdicts])
        late = [verdict.job for verdict in verdicts if verdict.job.id not in settled]
        if late:
            logger.warning(_event("late", self._kind, late, "the lease had run out"))

    def _written(self, verdicts: list[Verdict], follow_ups: list[NewJob | AuditRow]) -> set[int]:
        for attempts_left in reversed(range(SETTLE_ATTEMPTS_MAX)):
            try:
                return self._node.index.jobs.settle(verdicts, follow_ups)
            except MedserverError:
                if not attempts_left:
                    raise
                time.sleep(SETTLE_INTERVAL_S)
        raise AssertionError("unreachable")


def _event(name: str, kind: JobKind, jobs: Collection[Job], problem: str) -> Event:
    first = next(iter(jobs))
    return Event(
        "job",
        state=name,
        kind=kind.name,
        destination=first.destination or None,
        id=first.id,
        count=len(jobs),
        attempts=first.attempts,
        problem=Whole(problem),
    )
