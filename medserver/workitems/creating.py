"""A work item is created, SCHEDULED and not claimed (PS3.4 CC.2.5)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from medserver.dicom.dates import normalise_date_time
from medserver.dicom.json_model import JSON
from medserver.dicom.uids import is_valid_uid, new_uid
from medserver.errors import (
    DuplicateInstance,
    InvalidAttributeValue,
    InvalidObjectInstance,
    MissingAttribute,
    MissingAttributeValue,
    NotScheduled,
)
from medserver.index import NewWorkitem
from medserver.log import Event as LogEvent
from medserver.node import Node
from medserver.workitems import events
from medserver.workitems.attributes import EMPTY_AT_FIRST, OF_TYPE_2, REQUIRED
from medserver.workitems.content import (
    TRANSACTION_UID,
    data_set,
    element,
    has,
    has_value,
    keys_of,
    moment,
    tag_of,
    text_of,
    value,
)
from medserver.workitems.follow_ups import event_jobs, process_jobs
from medserver.workitems.outcomes import SCHEDULED, WELL_KNOWN, Remark
from medserver.workitems.telling import rows_of_new

PRIORITIES = ("HIGH", "MEDIUM", "LOW")
READINESS = ("INCOMPLETE", "UNAVAILABLE", "READY")
DEFAULT_WORKLIST_LABEL = "DEFAULT"

_OF_THE_ROW = ("SOPClassUID", "SOPInstanceUID")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Created:
    """A work item that was created.

    Parameters
    ----------
    sop_instance_uid : str
        Which.
    modified : tuple of str
        The keywords of what was given and is not kept, since nothing has been performed yet.
    """

    sop_instance_uid: str
    modified: tuple[str, ...] = ()

    @property
    def remark(self) -> Remark | None:
        """What is to be said of it; None if it was created as asked."""
        return Remark.CREATED_WITH_MODIFICATIONS if self.modified else None


def create(node: Node, sop_instance_uid: str, attribute_list: JSON, requesting_ae_title: str) -> Created:
    """Create a work item; one that is ours to perform is, when its time has come.

    Parameters
    ----------
    sop_instance_uid : str
        Its UID; empty for a new one.
    attribute_list : Mapping
        Its attributes. Those of Type 2 that are missing are added without a value: many SCUs leave them out.
    requesting_ae_title : str
        Who creates it: an AE title, or what else does.

    Raises
    ------
    InvalidObjectInstance
        The SOP Instance UID is not a UID, or that of a well-known instance.
    MissingAttribute, MissingAttributeValue, InvalidAttributeValue
        An attribute is missing, empty, or has a value that it cannot have.
    NotScheduled
        Its state is not SCHEDULED, or it has a Transaction UID (PS3.4 CC.2.5.3).
    DuplicateInstance
        There is one of this UID.
    """
    uid = sop_instance_uid or new_uid()
    if not is_valid_uid(uid) or uid in WELL_KNOWN:
        raise InvalidObjectInstance("the SOP Instance UID is not a valid UID of a work item")
    _check(attribute_list)
    content, modified = _as_created(attribute_list, moment(node.clock()))
    keys = keys_of(content)
    told = events.of_new(content, SCHEDULED)
    own = process_jobs(uid, content, node.config.current, node.clock())
    entered = node.index.workitems.add(
        NewWorkitem(uid, SCHEDULED, text_of(content), requesting_ae_title, keys),
        lambda item, subscribed: [
            *own,
            *event_jobs(node, uid, told, [one.receiver for one in subscribed]),
            *rows_of_new(node, uid, content),
        ],
    )
    if not entered:
        raise DuplicateInstance("there is a work item of this UID")
    logger.info(LogEvent("work item", sop_instance_uid=uid, state=SCHEDULED, created_by=requesting_ae_title))
    return Created(uid, modified)


def check_values(content: JSON) -> None:
    """Check that attributes of which the values are enumerated have one of them, and moments are some.

    Raises
    ------
    InvalidAttributeValue
        One has another value.
    """
    for keyword, allowed in (("ScheduledProcedureStepPriority", PRIORITIES), ("InputReadinessState", READINESS)):
        if has_value(content, keyword) and value(content, keyword) not in allowed:
            raise InvalidAttributeValue(f"{keyword} is none of {', '.join(allowed)}")
    start = "ScheduledProcedureStepStartDateTime"
    if has_value(content, start) and normalise_date_time(value(content, start)) is None:
        raise InvalidAttributeValue(f"{start} is not a date and time")


def _check(attribute_list: JSON) -> None:
    for keyword in REQUIRED:
        if not has(attribute_list, keyword):
            raise MissingAttribute(keyword)
        if not has_value(attribute_list, keyword):
            raise MissingAttributeValue(keyword)
    if value(attribute_list, "ProcedureStepState") != SCHEDULED:
        raise NotScheduled(f"a work item begins with the Procedure Step State {SCHEDULED}")
    if has_value(attribute_list, "TransactionUID"):
        raise NotScheduled("a work item begins with an empty Transaction UID")
    check_values(attribute_list)


def _as_created(attribute_list: JSON, now: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the content of a new item, and the keywords of what was given and is not kept."""
    not_kept = {TRANSACTION_UID, *map(tag_of, _OF_THE_ROW)}
    content = {tag: one for tag, one in attribute_list.items() if tag not in not_kept}
    content |= {tag_of(keyword): element(keyword) for keyword in OF_TYPE_2 if not has(content, keyword)}
    emptied = tuple(keyword for keyword in sorted(EMPTY_AT_FIRST) if has_value(content, keyword))
    content |= {tag_of(keyword): element(keyword) for keyword in emptied}
    if not has_value(content, "WorklistLabel"):  # the SCP fills it (PS3.4 table CC.2.5-3, type 2/1)
        content |= data_set(WorklistLabel=DEFAULT_WORKLIST_LABEL)
    content |= data_set(ScheduledProcedureStepModificationDateTime=now)
    return content, emptied
