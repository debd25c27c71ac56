"""The outbox is worked off: the job ``deliver``, one for each instance and destination.

One batch goes over one association, or as many as the entry of the destination says, in the order in which the
instances of a study were received. A destination that cannot be reached is left alone for a while, longer each time,
and everything that waits for it stays in its order; others are not held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from zlib import crc32

from medserver import archive, codecs
from medserver.config import Changes, Remote, Route
from medserver.delivery.confirming import confirm_job
from medserver.delivery.entries import Entry, select
from medserver.delivery.resting import destination_of, no_destination, rest
from medserver.delivery.side_by_side import Pace, merged
from medserver.dicom import status
from medserver.errors import AssociationAborted, MedserverError, NoContextAccepted, RemoteError
from medserver.index import Job, Lane, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.routing.outbox import DELIVER
from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address


def deliver(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Send a batch of instances to the destination `batch.destination`."""
    remote = destination_of(node, batch)
    if remote is None:
        yield from no_destination(batch)
        return
    entries, others = select(node, batch)
    yield from others
    pace = Pace(remote.send_rate_max_mb_per_s * 1e6, lambda: batch.should_stop)
    try:
        yield from merged([
            partial(_send, node, remote, part, batch, pace) for part in _parts(entries, remote.send_associations)
        ])
    except RemoteError as error:
        yield from rest(node, Lane(DELIVER, batch.destination), error, [entry.job for entry in entries])


def _parts(entries: Iterable[Entry], count: int) -> list[list[Entry]]:
    """Divide what is sent so that a study stays together, and in its order."""
    parts: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        parts[crc32(entry.instance.study_instance_uid.encode()) % count].append(entry)
    return [part for part in parts if part]


def _send(node: Node, remote: Remote, entries: Iterable[Entry], batch: Batch, pace: Pace) -> Iterator[Outcome]:
    """Send instances one after the other; those that are changed apart from those that are not.

    Raises
    ------
    RemoteError
        The destination cannot be reached, or the association broke: what has no outcome was not delivered.
    """
    is_reached = False
    for (preferred, changes), group in groupby(entries, key=lambda entry: _manner(remote, entry.rule)):
        alike = list(group)
        with (
            _sender(node, remote, preferred, [entry.instance for entry in alike]) as sender,
            archive.ReadAhead(node, [entry.instance for entry in alike]) as instances,
        ):
            for entry, instance in zip(alike, instances, strict=True):
                pace.wait(instance.size_bytes)
                if batch.should_stop:
                    return
                outcome = _deliver(node, remote, sender, instances, entry.job, instance, changes)
                if not is_reached:
                    node.index.jobs.wake(entry.job.lane)
                    is_reached = True
                yield outcome


def _deliver(
    node: Node,
    remote: Remote,
    sender: StorageSender,
    instances: archive.ReadAhead,
    job: Job,
    instance: StoredCopy,
    changes: Changes,
) -> Outcome:
    try:
        with _outgoing(node, instances, instance, changes) as outgoing:
            code, comment = sender.deliver(outgoing)
    except (NoContextAccepted, AssociationAborted) as error:
        # Aborted twice: it may be this instance that the destination cannot stand. It must not hold up the others.
        return failed(job, str(error))
    except RemoteError:
        raise
    except MedserverError as error:  # it cannot be read, or not be brought into what is accepted
        return failed(job, str(error))
    if status.is_failure(code):
        return failed(job, status.describe(code, comment))
    return done(job, confirm_job(job)) if remote.must_commit else done(job)


@contextmanager
def _outgoing(
    node: Node, instances: archive.ReadAhead, instance: StoredCopy, changes: Changes
) -> Iterator[Outgoing]:
    """Give an instance as something to send: as it is stored, or with what its rule changes."""
    outgoing = instances.outgoing(instance)
    if not changes:
        yield outgoing
        return
    with (
        outgoing.open_data_set() as stored,
        codecs.change_attributes(
            stored,
            instance.size_bytes,
            instance.transfer_syntax_uid,
            changes.as_mapping(),
            node.config.current.node.ae_title,
            node.transcoder.workers,
            node.transcoder.directory,
        ) as changed,
    ):
        # Of this one nothing is remembered, and those that come next are not made ahead: they will be others as well.
        yield Outgoing(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            changed.size_bytes,
            changed.open,
            instances.prepare,
        )


def _sender(
    node: Node, remote: Remote, preferred: tuple[str, ...], instances: Iterable[StoredCopy]
) -> StorageSender:
    config = node.config.current
    return StorageSender(
        Address.of(remote),
        dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in instances),
        config.node.ae_title,
        WireLimits.from_options(config.limits),
        node.transcoder,
        preferred=preferred,
    )


def _manner(remote: Remote, rule: Route | None) -> tuple[tuple[str, ...], Changes]:
    """Return how something is sent by a rule: its transfer syntaxes, or those of the destination, and its changes."""
    if rule is None:
        return remote.transfer_syntaxes, Changes()
    return rule.transfer_syntaxes or remote.transfer_syntaxes, rule.changes

