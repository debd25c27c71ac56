"""When is collected: the jobs ``poll_survey`` and ``poll``."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver.config import Poll
from medserver.errors import MedserverError
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.log import Event
from medserver.node import Node
from medserver.polling.collecting import collect
from medserver.polling.runs import LastRun, Run, last_run, note_run

POLL, POLL_SURVEY = "poll", "poll_survey"
SURVEY_INTERVAL_S = 5.0

REST_FACTOR, REST_LONGEST_S = 2.0, 3600.0
"""After a failure in a row the next time comes later, up to an hour later than it should."""

logger = logging.getLogger(__name__)


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
        job = NewJob(POLL, {"poll": poll.name}, destination=poll.source)
        node.index.jobs.add_periodic(f"poll:{poll.name}", min(poll.every_s, SURVEY_INTERVAL_S), job)


def interval_s(poll: Poll, last: LastRun) -> float:
    """Return how long after the last time the next one comes: later after failures in a row."""
    late_s = poll.every_s * (REST_FACTOR ** min(last.failures, 16) - 1)
    return poll.every_s + min(late_s, REST_LONGEST_S)


def poll(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Perform entries; what fails comes again at its next time."""
    for job in batch:
        entry = node.config.current.poll(job.payload["poll"])
        if entry is not None:
            perform(node, entry)
        yield done(job)


def perform(node: Node, entry: Poll) -> Run:
    """Perform an entry, and note what came of it."""
    before = last_run(node, entry.name)
    failures = 0
    try:
        run = collect(node, entry)
    except MedserverError as error:
        run, failures = Run(problem=str(error)), (before.failures if before else 0) + 1
        logger.warning(Event("not collected", poll=entry.name, source=entry.source, reason=str(error)))
    else:
        logger.info(
            Event("collected", poll=entry.name, source=entry.source, studies=run.studies, fetched=run.fetched)
        )
    note_run(node, entry.name, LastRun(node.clock(), run, failures))
    return run
