"""The outbox is worked off: the job ``deliver``, one for each instance and destination.

One batch goes over one association, or as many as the entry of the destination says, in the order in which the
instances of a study were received. A destination that cannot be reached is left alone for a while, longer each time,
and everything that waits for it stays in its order; others are not held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from zlib import crc32

from medserver import archive, codecs
from medserver.config import Changes, Remote
from medserver.delivery.answers import Answer, meaning
from medserver.delivery.entries import Entry, select, without_destination
from medserver.delivery.side_by_side import merged
from medserver.destinations import destination_of, given_up, sender_to, standing_of
from medserver.dicom import status
from medserver.errors import CannotTranscode, MedserverError, NoContextAccepted, RemoteError
from medserver.index import StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, Sent, changed, done, failed
from medserver.index.jobs.records import IN_TURN
from medserver.node import Node
from medserver.routing.deliveries import CONFIRM, DELIVER, delivered
from medserver.scu.counts import counted
from medserver.scu.sender import StorageSender
from medserver.scu.session import Standing
from medserver.scu.storage import Outgoing


DEFERRALS_IN_PLACE = 3
"""An instance for which the destination had no resources so often in a row lets the others go before it: there may be
some for them."""


def deliver(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Send a batch of instances to the destination `batch.destination`."""
    remote = destination_of(node, batch)
    if remote is None:
        yield from without_destination(node.config.current, batch)
        return
    entries, others = select(node, batch)
    yield from others
    standing = standing_of(node, remote, is_reached_by_any_answer=False)
    yield from merged([
        partial(_send, node, remote, part, batch, standing)
        for part in _parts(entries, remote.send_associations)
    ])
    if standing.reason:
        yield from given_up(node, standing, [entry.job for entry in entries])


def _parts(entries: Iterable[Entry], count: int) -> list[list[Entry]]:
    """Divide what is sent so that a study stays together, and in its order."""
    parts: list[list[Entry]] = [[] for _ in range(count)]
    for entry in entries:
        parts[crc32(entry.instance.study_instance_uid.encode()) % count].append(entry)
    return [part for part in parts if part]


def _send(
    node: Node, remote: Remote, entries: Iterable[Entry], batch: Batch, standing: Standing
) -> Iterator[Outcome]:
    """Send instances one after the other until the destination is given up; what is changed apart from what is not."""
    for manner, group in groupby(entries, key=lambda entry: entry.manner):
        alike = list(group)
        preferred = manner.transfer_syntaxes or remote.transfer_syntaxes
        with (
            sender_to(
                node, remote, _kinds(alike), preferred, standing=standing, should_stop=lambda: batch.should_stop
            ) as sender,
            archive.ReadAhead(node, [entry.instance for entry in alike]) as instances,
            counted(remote=remote.name) as counts,
        ):
            for entry, instance in zip(alike, instances, strict=True):
                if batch.should_stop or batch.gives_way:
                    return
                outcome = _deliver(node, remote, sender, instances, entry, instance)
                if outcome is None:
                    return
                counts.add(instance.sop_class_uid, "failed" if standing.reason or outcome.error else "sent")
                yield replace(outcome, sent=_sent(remote, entry, standing, outcome))


def _sent(remote: Remote, entry: Entry, standing: Standing, outcome: Outcome) -> Sent | None:
    """Return what the audit trail tells of it; nothing if the destination had no resources: it is sent again."""
    if standing.reason:
        return None
    return Sent(remote.ae_title, remote.host or "", entry.instance.sop_instance_uid, outcome.error or "")


def _deliver(
    node: Node,
    remote: Remote,
    sender: StorageSender,
    instances: archive.ReadAhead,
    entry: Entry,
    instance: StoredCopy,
) -> Outcome | None:
    """Send an instance; None if the destination was given up, or the worker is asked to end."""
    try:
        with _outgoing(node, instances, instance, entry.manner.changes) as outgoing:
            code, comment = sender.deliver(outgoing)
    except (NoContextAccepted, CannotTranscode) as error:  # and so it will be
        return failed(entry.job, str(error), final=True)
    except MedserverError as error:
        if isinstance(error, RemoteError) and (sender.standing.reason or sender.is_interrupted):
            return None
        # It cannot be read; or the destination cannot stand it and has aborted twice: it must not hold up the others.
        return failed(entry.job, str(error))
    answer, text = meaning(code), status.describe(code, comment)
    if answer is Answer.OUT_OF_RESOURCES:
        sender.standing.give_up(RemoteError(text))
        return _deferred(entry, text)
    sender.standing.reached()
    if answer is not Answer.TAKEN:
        return failed(entry.job, text, final=answer is Answer.REFUSED)
    return _taken(remote, entry, instance)


def _deferred(entry: Entry, text: str) -> Outcome:
    """Return what becomes of an instance for which the destination had no resources; it may have some for others."""
    delivery = replace(entry.delivery, deferrals=entry.delivery.deferrals + 1)
    keeps_its_place = delivery.deferrals % DEFERRALS_IN_PLACE != 0
    due_at = entry.job.due_at if keeps_its_place else entry.now
    return changed(entry.job, DELIVER, delivery, due_at, answer=text)


def _taken(remote: Remote, entry: Entry, instance: StoredCopy) -> Outcome:
    """Return what becomes of an instance that the destination has taken: it is delivered, or has to be committed to."""
    delivery = entry.delivery
    if remote.must_commit:
        taken = replace(delivery, digest=instance.digest, sends=delivery.sends + 1, deferrals=0, looks=0)
        return changed(entry.job, CONFIRM, taken, IN_TURN)
    return done(entry.job, delivered=delivered(delivery, remote.name, instance.digest, is_committed=False))


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


def _kinds(entries: Iterable[Entry]) -> Iterable[tuple[str, str]]:
    return dict.fromkeys((entry.instance.sop_class_uid, entry.instance.transfer_syntax_uid) for entry in entries)

