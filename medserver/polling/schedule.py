"""When is collected: the jobs ``poll_survey`` and ``poll``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from medserver.config import Poll
from medserver.errors import MedserverError, RemoteError, RequestError
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.polling.collecting import collect
from medserver.polling.runs import LastRun, Run, last_run, note_run
from medserver.routing.deliveries import POLL

__all__ = ["POLL", "POLL_SURVEY", "poll", "survey"]

POLL_SURVEY = "poll_survey"
SURVEY_INTERVAL_S = 5.0

TURN_S = 60.0
"""So long an entry collects before those of other AEs have their turn."""

REST_FACTOR, REST_LONGEST_S = 2.0, 3600.0
"""After a failure in a row the next time comes later, up to an hour later than it should."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PollPayload(Payload):
    """An entry that is to be collected.

    Parameters
    ----------
    poll : str
        Its name.
    """

    poll: str


def survey(node: Node, batch: Batch) -> None:
    """Add a job for each entry whose time has come, and whose hours these are."""
    for poll in node.config.current.polls:
        now = node.clock()
        if not poll.hours.is_open(now):
            continue
        last = last_run(node, poll.name)
        # What was collected in the future was, while the clock was ahead, at a time that nobody knows.
        if last is not None and 0 <= (now - last.at).total_seconds() < interval_s(poll, last):
            continue
        job = NewJob(POLL, PollPayload(poll.name), destination=poll.source)
        node.index.jobs.add_periodic(f"poll:{poll.name}", min(poll.every_s, SURVEY_INTERVAL_S), job)


def interval_s(poll: Poll, last: LastRun) -> float:
    """Return how long after the last time the next one comes: later after failures in a row, at once if it goes on."""
    if last.run.is_continued:
        return 0.0
    late_s = poll.every_s * (REST_FACTOR ** min(last.failures, 16) - 1)
    return poll.every_s + min(late_s, REST_LONGEST_S)


def poll(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Perform entries; what fails comes again at its next time."""
    for job in batch:
        entry = node.config.current.poll(PollPayload.of(job).poll)
        if entry is not None:
            turn_ends = monotonic() + TURN_S
            perform(node, entry, lambda turn_ends=turn_ends: batch.should_stop or monotonic() >= turn_ends)
        yield done(job)


def perform(node: Node, entry: Poll, gives_way: Callable[[], bool] = lambda: False) -> Run:
    """Perform an entry, and note what came of it; `gives_way` as for `collect`."""
    before = last_run(node, entry.name)
    failures, late = (before.failures, before.run.skipped) if before else (0, {})
    try:
        run = collect(node, entry, late, gives_way)
    except MedserverError as error:
        # What was skipped before is remembered; a failure of ours is not counted against the AE.
        run = Run(problem=str(error), skipped_count=len(late), skipped=late)
        failures += isinstance(error, (RemoteError, RequestError))
        logger.warning(Event("not collected", poll=entry.name, source=entry.source, reason=str(error)))
    else:
        failures = 0
        logger.info(
            Event(
                "collected",
                poll=entry.name,
                source=entry.source,
                studies=run.studies,
                fetched=run.fetched,
                skipped=run.skipped_count,
                deleted=run.deleted,
            )
        )
    note_run(node, entry.name, LastRun(node.clock(), run, failures))
    return run
