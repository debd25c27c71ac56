"""Items of performers that are lost: cancelled, and issued again (the jobs ``workitem_lost`` and ``workitem_again``).

A remote AE that has claimed an item and says nothing of it for long may never do so. With ``[workitems] lost_after``
the item is cancelled then, with the reason *Discontinued Procedure Step rescheduled*, and another one takes its place,
whose Replaced Procedure Step Sequence names it, with those that it has replaced itself. After ``issued_again_max`` such
items none takes the place of the last one: what it asks for may be what its performers die of. A performer that comes
back finds its item final. Whoever watches all items is told of both. Items that our own workers perform have leases,
and are not touched.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from medserver.config import WorkitemOptions
from medserver.dicom.json_model import JSON
from medserver.dicom.uids import UNIFIED_PROCEDURE_STEP_PUSH, uid_of
from medserver.errors import DuplicateInstance, MedserverError, NoSuchWorkitem
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.log import Event
from medserver.node import Node
from medserver.workitems.attributes import EMPTY_AT_FIRST
from medserver.workitems.changing import Becoming, Present, change
from medserver.workitems.content import content_of, data_set, items, moment, tag_of, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import WorkitemPayload
from medserver.workitems.outcomes import CANCELED, IN_PROGRESS, SCHEDULED
from medserver.workitems.performing import is_performed_here
from medserver.workitems.states import cancelled, ended

LOST, AGAIN = "workitem_lost", "workitem_again"
INTERVAL_S = 60.0
"""How often is looked for such items."""

RESCHEDULED = ("110528", "DCM", "Discontinued Procedure Step rescheduled")
GIVEN_UP = ("110501", "DCM", "Equipment failure")
"""PS3.16 CID 9300."""

REPLACED = "ReplacedProcedureStepSequence"

logger = logging.getLogger(__name__)


def replace_lost(node: Node, batch: Batch) -> None:
    """Cancel the items of which their performers have said nothing for too long, and have them issued again."""
    options = node.config.current.workitems
    silent_s = options.lost_after
    if not silent_s:
        return
    before, last = node.clock() - timedelta(seconds=silent_s), 0
    while not batch.should_stop and (page := node.index.workitems.page(last, {"state": [IN_PROGRESS]})):
        for row in page:
            if row.changed_at < before and not is_performed_here(node, row):
                _replace(node, row.sop_instance_uid, before, options)
        last = page[-1].id


def _replace(node: Node, sop_instance_uid: str, before: datetime, options: WorkitemOptions) -> None:
    """Cancel an item, unless its performer has said something meanwhile."""
    now = moment(node.clock())
    lost: list[str] = []

    def decided(present: Present) -> Becoming | None:
        row = present.row
        lost.clear()
        if row.state != IN_PROGRESS or row.changed_at >= before or is_performed_here(node, row):
            return None
        lost.append(row.performer)
        text = f"{row.performer or 'its performer'} has not reported for {options.lost_after:g} s"
        count = len(replaced_by(present.content, sop_instance_uid))
        if count >= options.issued_again_max:
            text += f"; it was issued again {count} times" if count else ""
            return Becoming(ended(cancelled(present.content, now, GIVEN_UP, text), CANCELED, now), (CANCELED,))
        content = ended(cancelled(present.content, now, RESCHEDULED, text), CANCELED, now)
        again = NewJob(AGAIN, WorkitemPayload(sop_instance_uid))
        return Becoming(content, (CANCELED,), jobs=[again])

    try:
        change(node, sop_instance_uid, decided)
    except NoSuchWorkitem:
        return
    except MedserverError as error:
        logger.warning(Event("not replaced", sop_instance_uid=sop_instance_uid, reason=str(error)))
        return
    if lost:
        logger.warning(Event("performer lost", sop_instance_uid=sop_instance_uid, performer=lost[0]))


def issue_again(node: Node, batch: Batch) -> None:
    """Create the items that take the place of others; one that is there was created before."""
    for job in batch:
        replaced = WorkitemPayload.of(job).sop_instance_uid
        row = node.index.workitems.get(replaced)
        if row is None:
            continue
        try:
            attributes = attributes_of_another(row.content, replaced)
            created = create(node, again_uid(replaced), attributes, row.created_by)
        except DuplicateInstance:
            continue
        logger.info(Event("issued again", sop_instance_uid=created.sop_instance_uid, replaces=replaced))


def again_uid(replaced: str) -> str:
    """Return the UID of the item that takes the place of another one."""
    return uid_of("again", replaced)


def replaced_by(content: JSON, sop_instance_uid: str) -> list[str]:
    """Return the UIDs of the items, the last one first, that were lost before an item took their place.

    Who creates an item may say that it replaces some: these are others.
    """
    found: list[str] = []
    for item in reversed(items(content, REPLACED)):
        replaced = value(item, "ReferencedSOPInstanceUID")
        if again_uid(replaced) != (found[-1] if found else sop_instance_uid):
            break
        found.append(replaced)
    return found


def attributes_of_another(content: str, replaced: str) -> dict[str, Any]:
    """Return the attributes with which an item is created in the place of another (PS3.3 C.30.3)."""
    kept: JSON = content_of(content)
    dropped = {tag_of(keyword) for keyword in EMPTY_AT_FIRST}
    reference = data_set(ReferencedSOPClassUID=UNIFIED_PROCEDURE_STEP_PUSH, ReferencedSOPInstanceUID=replaced)
    return {tag: one for tag, one in kept.items() if tag not in dropped} | data_set(
        ProcedureStepState=SCHEDULED, ReplacedProcedureStepSequence=[*items(kept, REPLACED), reference]
    )
