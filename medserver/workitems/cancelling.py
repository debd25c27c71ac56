"""Somebody wants a work item cancelled who does not perform it (PS3.4 CC.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from medserver.dicom.json_model import JSON
from medserver.dicom.uids import new_uid
from medserver.errors import PerformerUnreachable
from medserver.node import Node
from medserver.workitems import events
from medserver.workitems.changing import Becoming, Present, change
from medserver.workitems.content import first_item, moment, only, data_set
from medserver.workitems.events import OF_REASON
from medserver.workitems.outcomes import (
    CANCELED,
    IN_PROGRESS,
    SCHEDULED,
    Given,
    Operation,
    Remark,
    decide,
    digest_of,
)
from medserver.workitems.performing import is_performed_here
from medserver.workitems.states import PROGRESS, ended

_NOTHING: Mapping = MappingProxyType({})


def request_cancel(
    node: Node, sop_instance_uid: str, requesting_ae_title: str, request: JSON = _NOTHING
) -> Remark | None:
    """Have an item cancelled: at once if nobody has claimed it, else its performer is told.

    A worker of ours that performs it stops within a second. Of other performers only they know whether they do; that
    a subscriber is one of them is taken for granted.

    Parameters
    ----------
    requesting_ae_title : str
        Who asks.
    request : Mapping
        The Action Information: why, and whom to ask.

    Returns
    -------
    Remark or None
        What is to be said of it, None if it is cancelled or the performer is told.

    Raises
    ------
    NoSuchWorkitem, WorkitemIsCompleted
        As `outcomes.TABLE` says.
    PerformerUnreachable
        Nobody would hear of it.
    """
    now = moment(node.clock())
    remarks: list[Remark] = []

    def decided(present: Present) -> Becoming | None:
        row = present.row
        remarks.clear()
        remark = decide(Operation.REQUEST_CANCEL, row.state, Given.MISSING)
        if remark is not None:
            remarks.append(remark)
            return None
        if row.state == SCHEDULED:
            progress = first_item(present.content, PROGRESS) | only(request, OF_REASON)
            content = ended(present.content | data_set(**{PROGRESS: [progress]}), CANCELED, now)
            return Becoming(content, (IN_PROGRESS, CANCELED), transaction_digest=digest_of(new_uid()))
        if not is_performed_here(node, row) and not _is_heard(node, present):
            raise PerformerUnreachable("nobody is subscribed to the work item who could be told")
        told = events.cancel_requested(requesting_ae_title, request)
        return Becoming(present.content, cancel_requested=True, told=(told,))

    change(node, sop_instance_uid, decided)
    return remarks[0] if remarks else None


def _is_heard(node: Node, present: Present) -> bool:
    return any(node.config.current.destination(one.receiver) for one in present.subscriptions)
