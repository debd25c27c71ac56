"""Images that were fetched to be printed are forgotten when they have been: the job ``forget_fetched``.

There is one for each object that came by a fetch of ours and was new, entered in the transaction that entered the
object. Nobody was told that it is safe: it was fetched for this, and who has it is who had it before. What anybody has
sent since, or wants to have printed, processed or sent, stays.

What comes by C-MOVE comes with a C-STORE as from anybody. It is known by its Move Originator (PS3.7 9.3.1.1): this
node, and a Message ID that is made of the UID of the work item and that no other C-MOVE of ours has. From an AE that
leaves it out, which it may, it stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from zlib import crc32

from medserver.archive.follow_ups import ROUTE
from medserver.errors import CannotUnderstand
from medserver.fetching import FollowUps
from medserver.index import InstanceRecord, Job, JobFilter, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, held
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.printing.film import ReferencedImage, film_of
from medserver.printing.queue import WAITING
from medserver.routing.deliveries import OUTBOX_KINDS
from medserver.safekeeping.deletion import order_deletion
from medserver.scu.exchange import CHOSEN_MESSAGE_IDS
from medserver.workitems.follow_ups import JOBS_LOOKED_AT_MAX, PRINT_WORKITEM, PrintPayload
from medserver.workitems.outcomes import FINAL
from medserver.workitems.searching import studies_of_open_items

FORGET = "forget_fetched"

LOOK_FIRST_S, LOOK_LAST_S, LOOK_PART = 1.0, 300.0, 0.25
"""How often is looked whether the item has ended: first, at last [s], and by which part of the age between."""

AWAITED_KINDS = (*OUTBOX_KINDS, ROUTE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FetchedPayload(Payload):
    """An object that was fetched to be printed.

    Parameters
    ----------
    workitem_uid : str
        The work item that asked.
    sop_instance_uid, digest : str
        The object.
    received_at : str
        When it was fetched, ISO 8601.
    """

    workitem_uid: str
    sop_instance_uid: str
    digest: str
    received_at: str


def forgets(workitem_uid: str) -> FollowUps:
    """Return what adds the job that forgets an object which is fetched for a work item."""

    def follow_ups(record: InstanceRecord) -> Iterator[NewJob]:
        at = record.received_at.isoformat()
        yield NewJob(FORGET, FetchedPayload(workitem_uid, record.sop_instance_uid, record.digest, at))

    return follow_ups


def message_id_of(workitem_uid: str) -> int:
    """Return the Message ID of a C-MOVE that is done for a work item."""
    return CHOSEN_MESSAGE_IDS[crc32(workitem_uid.encode()) % len(CHOSEN_MESSAGE_IDS)]


def forgets_moved(node: Node, command_set: Mapping[str, Any]) -> FollowUps | None:
    """Return what adds that job to an object that a C-STORE brings; None if it is not of a C-MOVE of such an item.

    The job that performs the item, and fetches for it, is there until nothing more comes.
    """
    message_id = command_set.get("MoveOriginatorMessageID") or 0
    originator = command_set.get("MoveOriginatorApplicationEntityTitle") or ""
    if message_id not in CHOSEN_MESSAGE_IDS or originator != node.config.current.node.ae_title:
        return None
    for job in islice(node.index.jobs.list(JobFilter(PRINT_WORKITEM)), JOBS_LOOKED_AT_MAX):
        uid = PrintPayload.of(job).sop_instance_uid
        if message_id_of(uid) == message_id:
            return forgets(uid)
    return None


def forget_fetched(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Have objects deleted of which the items have ended, and that nobody else wants."""
    payloads = {job.id: FetchedPayload.of(job) for job in batch}
    ended = {uid for uid in {each.workitem_uid for each in payloads.values()} if _has_ended(node, uid)}
    over = [job for job in batch if payloads[job.id].workitem_uid in ended]
    copies = node.index.instances([payloads[job.id].sop_instance_uid for job in over]) if over else {}
    wanted = _wanted(node, list(copies.values())) if copies else set()
    committed = node.index.holdings.committed(sorted(copies)) if copies else set()  # who asks may delete what it has
    forgotten: list[StoredCopy] = []
    for job in batch:
        payload = payloads[job.id]
        copy = copies.get(payload.sop_instance_uid)
        if payload.workitem_uid not in ended or payload.sop_instance_uid in wanted:
            yield _later(node, job)
        elif copy is None or copy.sop_instance_uid in committed or not _is_untouched(copy, payload):
            yield done(job)
        else:
            forgotten.append(copy)
    if forgotten:
        ordered = order_deletion(
            node, forgotten, by="printing", reason="it was fetched to be printed", is_alone=True
        )
        logger.info(Event("forgotten", instances=len(ordered)))
        uids = {copy.sop_instance_uid for copy in forgotten}
        yield from (done(job) for job in over if payloads[job.id].sop_instance_uid in uids)


def _later(node: Node, job: Job) -> Outcome:
    age_s = (node.clock() - job.created_at).total_seconds()
    delay_s = min(LOOK_LAST_S, LOOK_FIRST_S + LOOK_PART * age_s)
    return replace(held(job, "its work item has not ended, or others want it", delay_s), is_expected=True)


def _has_ended(node: Node, workitem_uid: str) -> bool:
    row = node.index.workitems.get(workitem_uid)
    return row is None or row.state in FINAL


def _is_untouched(copy: StoredCopy, payload: FetchedPayload) -> bool:
    """Tell whether an object is what was fetched, and nobody has sent it since."""
    fetched_at = datetime.fromisoformat(payload.received_at)
    return (copy.digest, copy.receipts) == (payload.digest, 1) and copy.received_at == fetched_at


def _wanted(node: Node, copies: Sequence[StoredCopy]) -> set[str]:
    """Return which instances somebody wants, by SOP Instance UID."""
    uids = {copy.sop_instance_uid for copy in copies}
    studies = studies_of_open_items(node)
    wanted = {copy.sop_instance_uid for copy in copies if copy.study_instance_uid in studies}
    wanted |= node.index.holdings.awaited(sorted(uids), AWAITED_KINDS)
    return wanted | (uids & set(_on_films(node)))


def _on_films(node: Node) -> Iterator[str]:
    """Yield the instances of the films that are not printed yet."""
    last = 0
    while page := node.index.films.page(last, {"state": WAITING}):
        for row in page:
            try:
                boxes = film_of(row.content).boxes
            except CannotUnderstand:
                continue
            yield from (box.image.sop_instance_uid for box in boxes if isinstance(box.image, ReferencedImage))
        last = page[-1].id
