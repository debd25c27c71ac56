"""The attributes of a work item are changed: by anybody while it is scheduled, then by who has claimed it."""

from __future__ import annotations

from medserver.dicom.json_model import JSON
from medserver.errors import InvalidAttributeValue, MissingAttribute, MissingAttributeValue, OutOfResources
from medserver.index import NewJob
from medserver.node import Node
from medserver.workitems.attributes import FIXED, REQUIRED
from medserver.workitems.changing import Becoming, Present, change
from medserver.workitems.content import TRANSACTION_UID, data_set, has, has_value, moment, tag_of, text_of, value
from medserver.workitems.creating import check_values
from medserver.workitems.follow_ups import keep_one_job, rescheduled_jobs
from medserver.workitems.outcomes import SCHEDULED, Operation, decide, given_for

CONTENT_LENGTH_MAX = 32 * 1024 * 1024
"""As an attribute list is bounded, so is what several of them make of an item, in characters of DICOM JSON."""

_STATE = "ProcedureStepState"


def update(node: Node, sop_instance_uid: str, modification_list: JSON, transaction_uid: str = "") -> tuple[str, ...]:
    """Change attributes of a work item; all of them or none, a sequence as a whole (PS3.4 CC.2.6).

    Parameters
    ----------
    modification_list : Mapping
        The attributes as they are to be; a Transaction UID among them is the same as `transaction_uid`.
    transaction_uid : str
        That of who has claimed it; empty while nobody has.

    Returns
    -------
    tuple of str
        The keywords of what was not changed, since nobody may.

    Raises
    ------
    WorkitemRefused
        As `outcomes.TABLE` says.
    MissingAttribute, MissingAttributeValue, InvalidAttributeValue
        There is nothing to change, an attribute must not be empty, or cannot have its value; or it is the state, which
        is changed by an action only.
    OutOfResources
        The item would become too large.
    """
    given_uid = transaction_uid or value(modification_list, "TransactionUID")
    wanted = {tag: one for tag, one in modification_list.items() if tag != TRANSACTION_UID}
    now = moment(node.clock())
    ignored: list[str] = []
    rescheduled: list[NewJob] = []

    def decided(present: Present) -> Becoming:
        row = present.row
        decide(Operation.UPDATE, row.state, given_for(row.state, row.transaction_digest, given_uid))
        _check(wanted, row.state)
        fixed = {tag_of(keyword): keyword for keyword in FIXED}
        kept = present.content | data_set(SOPInstanceUID=row.sop_instance_uid, ProcedureStepState=row.state)
        ignored[:] = [fixed[tag] for tag, one in wanted.items() if tag in fixed and kept.get(tag) != one]
        changed = {tag: one for tag, one in wanted.items() if tag not in fixed}
        changed |= data_set(ScheduledProcedureStepModificationDateTime=now)
        content = present.content | changed
        length = len(text_of(content))
        if length > max(CONTENT_LENGTH_MAX, len(row.content)):
            raise OutOfResources(f"the work item would have {length} characters, more than {CONTENT_LENGTH_MAX}")
        if row.state != SCHEDULED:
            return Becoming(content)
        contents = present.content, content
        rescheduled[:] = rescheduled_jobs(sop_instance_uid, *contents, node.config.current, node.clock())
        return Becoming(content, jobs=tuple(rescheduled))

    change(node, sop_instance_uid, decided)
    if rescheduled:
        keep_one_job(node, sop_instance_uid)
    return tuple(ignored)


def _check(modification_list: JSON, state: str) -> None:
    if not modification_list:
        raise MissingAttribute("there is nothing to change")
    if has(modification_list, _STATE) and value(modification_list, _STATE) != state:
        raise InvalidAttributeValue("the Procedure Step State is changed by N-ACTION only")
    for keyword in REQUIRED:
        if has(modification_list, keyword) and not has_value(modification_list, keyword):
            raise MissingAttributeValue(keyword)
    check_values(modification_list)
