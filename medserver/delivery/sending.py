"""The outbox is worked off: the job ``deliver``, one for each instance and destination.

One batch goes over one association, in the order in which the instances were received. A destination that cannot be
reached is left alone for a while, longer each time, and everything that waits for it stays in its order; others are
not held up.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from medserver import archive, codecs
from medserver.config import Remote, Route
from medserver.delivery.routing import DELIVER
from medserver.dicom import status
from medserver.errors import AssociationAborted, MedserverError, NoContextAccepted, RemoteError
from medserver.index import Job, Lane, NewJob, StoredInstance
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address

REST_FIRST_S, REST_LONGEST_S = 1.0, 300.0
"""How long a destination is left alone after the first failure, and at most."""

GIVE_UP_AFTER = timedelta(days=14)
"""What could not be sent for so long is dead: it waits for an administrator."""

logger = logging.getLogger(__name__)


def deliver(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Send a batch of instances to the destination `batch.destination`."""
    config = node.config.current
    remote = config.remote_by_name(batch.destination)
    if remote is None or not remote.is_destination:
        problem = f"no entry [ae {batch.destination}] with an address and a port"
        yield from (failed(job, problem) for job in batch)
        return
    found = node.index.instances([job.payload["sop_instance_uid"] for job in batch])
    present = [(job, found[uid]) for job in batch if (uid := job.payload["sop_instance_uid"]) in found]
    yield from (done(job) for job in batch if job.payload["sop_instance_uid"] not in found)  # it was deleted
    early = [(job, opening) for job, _ in present if (opening := _opening(node, job)) > node.clock()]
    yield from (done(job, _later(job, opening)) for job, opening in early)  # the hours ended while it waited
    waiting = {job.id for job, _ in early}
    present = [(job, instance) for job, instance in present if job.id not in waiting]
    lane = Lane(DELIVER, batch.destination)
    try:
        yield from _send(node, remote, present, batch)
    except RemoteError as error:
        until = node.index.jobs.rest(lane, str(error), lambda failures: _rest_until(node, failures))
        logger.warning(
            Event("not delivered", destination=remote.name, waiting_until=f"{until:%H:%M:%S}", reason=str(error))
        )
        yield from _given_up(node, present, str(error))


def _send(
    node: Node, remote: Remote, present: Iterable[tuple[Job, StoredInstance]], batch: Batch
) -> Iterator[Outcome]:
    """Send instances one after the other.

    Raises
    ------
    RemoteError
        The destination cannot be reached, or the association broke: what has no outcome was not delivered.
    """
    woken = False
    for preferred, group in groupby(present, key=lambda pair: _preferred(node, remote, pair[0])):
        pairs = list(group)
        with ExitStack() as stack:
            sender = stack.enter_context(_sender(node, remote, preferred, [one for _, one in pairs]))
            instances = stack.enter_context(archive.ReadAhead(node, [one for _, one in pairs]))
            for (job, _), instance in zip(pairs, instances, strict=True):
                if batch.should_stop:
                    return
                outcome = _deliver(node, sender, instances, job, instance)
                if not woken:
                    _wake(node, remote)
                    woken = True
                yield outcome


def _deliver(
    node: Node, sender: StorageSender, instances: archive.ReadAhead, job: Job, instance: StoredInstance
) -> Outcome:
    rule = _rule(node, job)
    try:
        with _outgoing(node, instances, instance, rule) as outgoing:
            code, comment = sender.deliver(outgoing)
    except (NoContextAccepted, AssociationAborted) as error:
        # Aborted twice: it may be this instance that the destination cannot stand. It must not hold up the others.
        return failed(job, str(error))
    except RemoteError:
        raise
    except MedserverError as error:  # it cannot be read, or not be brought into what is accepted
        return failed(job, str(error))
    if status.is_failure(code):
        return failed(job, f"{status.describe(code)}: {comment}" if comment else status.describe(code))
    return done(job)


@contextmanager
def _outgoing(
    node: Node, instances: archive.ReadAhead, instance: StoredInstance, rule: Route | None
) -> Iterator[Outgoing]:
    """Give an instance as something to send: as it is stored, or with what its rule changes."""
    outgoing = Outgoing(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        instance.transfer_syntax_uid,
        instance.size_bytes,
        lambda: instances.open(instance),
        instances.prepare,
        instance.digest,
    )
    if rule is None or not rule.changes:
        yield outgoing
        return
    with (
        instances.open(instance) as stored,
        codecs.change_attributes(
            stored,
            instance.size_bytes,
            instance.transfer_syntax_uid,
            rule.changes.as_mapping(),
            node.config.current.node.ae_title,
            node.transcoder.workers,
            node.transcoder.directory,
        ) as changed,
    ):
        yield replace(outgoing, size_bytes=changed.size_bytes, open_data_set=changed.open, digest="")


def _sender(
    node: Node, remote: Remote, preferred: tuple[str, ...], instances: Iterable[StoredInstance]
) -> StorageSender:
    config = node.config.current
    return StorageSender(
        Address(remote.ae_title, remote.host, remote.port),
        dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances),
        config.node.ae_title,
        WireLimits.from_options(config.limits),
        node.transcoder,
        preferred=preferred,
    )


def _later(job: Job, due_at: datetime) -> NewJob:
    """Return a job that does the same later."""
    return NewJob(job.kind, job.payload, destination=job.destination, priority=job.priority, due_at=due_at)


def _opening(node: Node, job: Job) -> datetime:
    """Return when a job may be done: now, or when the hours of its rule begin."""
    rule = _rule(node, job)
    return rule.hours.next_open(node.clock()) if rule is not None else node.clock()


def _rule(node: Node, job: Job) -> Route | None:
    return next((rule for rule in node.config.current.routes if rule.name == job.payload["route"]), None)


def _preferred(node: Node, remote: Remote, job: Job) -> tuple[str, ...]:
    """Return the transfer syntaxes that the rule of a job wants, or else the entry of the destination."""
    rule = _rule(node, job)
    return rule.transfer_syntaxes if rule is not None and rule.transfer_syntaxes else remote.transfer_syntaxes


def _wake(node: Node, remote: Remote) -> None:
    """Forget that the destination could not be reached."""
    for state in node.index.jobs.lanes(DELIVER):
        if state.lane.destination == remote.name and state.failures:
            node.index.jobs.wake(state.lane)


def _rest_until(node: Node, failures: int) -> datetime:
    rest_s = min(REST_FIRST_S * 2 ** min(failures - 1, 32), REST_LONGEST_S)
    return node.clock() + timedelta(seconds=rest_s * random.uniform(0.8, 1.2))


def _given_up(node: Node, present: Iterable[tuple[Job, StoredInstance]], problem: str) -> Iterator[Outcome]:
    """Yield that what has waited for too long is dead; the rest waits on."""
    for job, _ in present:
        if node.clock() - job.created_at > GIVE_UP_AFTER:
            yield failed(job, problem, final=True)
