"""The job `ups-event`: an AE is told of changes of work items, in their order, on an association that we open.

An event that the receiver refuses is not sent again, and does not hold up those behind it: nothing has to be kept for
who does not want it (PS3.4 CC.2.4.3). While it cannot be reached all wait, and are given up after `GIVE_UP_AFTER`; its
subscriptions and locks stay. Events are of an AE title, whatever its entry is called: where that is renamed they
follow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial

from medserver.config import Remote
from medserver.destinations import destination_of, given_up, standing_of
from medserver.dicom import status
from medserver.errors import MedserverError, NoContextAccepted, RemoteError
from medserver.index import Job, Lane
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done, failed
from medserver.index.jobs.records import IN_TURN
from medserver.log import Event
from medserver.node import Node
from medserver.scu import workitems as scu
from medserver.scu.session import Session
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address
from medserver.workitems.events import EVENT_NAMES
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload

GIVE_UP_AFTER = timedelta(days=1)
"""So long an event is kept for a receiver that cannot be reached."""

NO_ENTRY_AGAIN_S = 10.0
"""How often is looked whether the entry of a receiver is there again [s]."""

logger = logging.getLogger(__name__)


def tell(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Tell the AE `batch.destination` what has happened."""
    remote = destination_of(node, batch)
    jobs, others = _own(batch, remote)
    yield from _followed(node, others, remote)
    if remote is None:
        yield from _without_entry(node, batch)
        return
    if not jobs:
        return
    with _session(node, remote) as session:
        for index, job in enumerate(jobs):
            if batch.should_stop:
                return
            outcome = _tell(session, job)
            if outcome is None:
                yield from given_up(node, session.standing, jobs[index:], GIVE_UP_AFTER)
                return
            yield outcome


def _own(batch: Batch, remote: Remote | None) -> tuple[list[Job], list[Job]]:
    """Return the events for the AE that the entry is, and those for which it was another one when they were added."""
    own: list[Job] = []
    others: list[Job] = []
    for job in batch:
        receiver = EventPayload.of(job).receiver
        is_own = remote is not None and receiver in ("", remote.ae_title)
        (own if is_own else others).append(job)
    return own, others


def _followed(node: Node, jobs: Iterable[Job], remote: Remote | None) -> Iterator[Outcome]:
    """Yield the events that go to another entry now, since their AE has that, and those whose AE has none any more."""
    for job in jobs:
        payload = EventPayload.of(job)
        other = node.config.current.destination(payload.receiver) if payload.receiver else None
        if other is not None:
            yield changed(job, UPS_EVENT, payload, IN_TURN, destination=other.name)
        elif remote is not None:
            problem = f"the entry is that of {remote.ae_title} now, and {payload.receiver} has none with an address"
            yield failed(job, problem, final=True)


def _without_entry(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Leave all in their places, for the entry may come back: what is tried again later would come behind others."""
    if all(_has_entry(node, job) for job in batch):
        return
    problem = f"no entry [ae {batch.destination}] with an address and a port"
    again = timedelta(seconds=NO_ENTRY_AGAIN_S)
    node.index.jobs.leave_alone([Lane(UPS_EVENT, batch.destination)], problem, lambda failures: node.clock() + again)
    for job in batch:
        if node.clock() - job.created_at > GIVE_UP_AFTER and not _has_entry(node, job):
            yield failed(job, problem, final=True)


def _has_entry(node: Node, job: Job) -> bool:
    receiver = EventPayload.of(job).receiver
    return bool(receiver) and node.config.current.destination(receiver) is not None


def _session(node: Node, remote: Remote) -> Session:
    """Return a session whose association stays open for the next events."""
    config = node.config.current

    def is_current() -> bool:
        now = node.config.current
        return now.remote_by_name(remote.name) == remote and now.node.ae_title == config.node.ae_title

    limits = WireLimits.from_options(config.limits)
    return Session(
        Address.of(remote),
        [scu.EVENT_PROPOSAL],
        config.node.ae_title,
        limits,
        standing_of(node, remote),
        idle=node.idle,
        keeps_while=is_current,
    )


def _tell(session: Session, job: Job) -> Outcome | None:
    """Tell one thing; None if the receiver cannot be reached, and it waits in its place."""
    payload = EventPayload.of(job)
    while True:
        try:
            code = session.perform(partial(_send, payload))
        except NoContextAccepted as error:
            return failed(job, str(error), final=True)
        except RemoteError:
            if session.is_paused:
                return None  # else it is tried again: what breaks too often in a row pauses the session
        except MedserverError as error:
            return failed(job, str(error))
        else:
            break
    if not status.is_performed(code):
        logger.warning(
            Event("event refused", receiver=job.destination, sop_instance_uid=payload.sop_instance_uid,
                  event=EVENT_NAMES.get(payload.event_type_id), status=status.describe(code))
        )  # fmt: skip
    return done(job)


def _send(payload: EventPayload, association: Association) -> int:
    return scu.report_event(
        association, payload.sop_instance_uid, payload.event_type_id, payload.information
    ).code
