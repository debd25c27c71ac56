"""Unified Procedure Step as SCP: the normalised operations, and events that a peer reports to us (PS3.4 CC.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from medserver.dicom import status, uids
from medserver.errors import ActionNotAppropriate, InvalidArgument, NoSuchAction, NoSuchEventType
from medserver.log import Event
from medserver.node import Node
from medserver.services.attribute_list import received_attributes, requested_tags, written_attributes
from medserver.services.request import Request, Response
from medserver.workitems import subscribing
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import value
from medserver.workitems.creating import create as create_workitem
from medserver.workitems.events import EVENT_NAMES
from medserver.workitems.outcomes import WELL_KNOWN, Remark
from medserver.workitems.retrieving import retrieve as retrieve_workitem
from medserver.workitems.states import change_state
from medserver.workitems.updating import update

CHANGE_STATE, REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = 1, 2, 3, 4, 5

ACTION_NAMES = {
    CHANGE_STATE: "Change UPS State",
    REQUEST_CANCEL: "Request UPS Cancel",
    SUBSCRIBE: "Subscribe to Receive UPS Event Reports",
    UNSUBSCRIBE: "Unsubscribe from Receiving UPS Event Reports",
    SUSPEND: "Suspend Global Subscription",
}
"""Action Type ID -> name (PS3.4 tables CC.2.1-1, CC.2.2-1, CC.2.3-1)."""

ACTIONS = {
    uids.UNIFIED_PROCEDURE_STEP_PUSH: (REQUEST_CANCEL,),
    uids.UNIFIED_PROCEDURE_STEP_PULL: (CHANGE_STATE,),
    uids.UNIFIED_PROCEDURE_STEP_WATCH: (REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND),
}
"""The SOP class of a presentation context -> the Action Type IDs that it has (PS3.4 CC.1.1 and tables CC.3.1.x)."""

REMARKS: Mapping[Remark, int] = {
    Remark.CREATED_WITH_MODIFICATIONS: status.WORKITEM_CREATED_WITH_MODIFICATIONS,
    Remark.ALREADY_CANCELED: status.WORKITEM_ALREADY_CANCELED,
    Remark.ALREADY_COMPLETED: status.WORKITEM_ALREADY_COMPLETED,
    Remark.ATTRIBUTES_NOT_SUPPORTED: status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED,
}
"""The warning that a remark is."""

logger = logging.getLogger(__name__)


def create(request: Request, node: Node) -> Response:
    """Create a work item (N-CREATE, PS3.4 CC.2.5); it gets a UID if it has none.

    Raises
    ------
    RequestError
        See `creating.create`.
    """
    uid = str(request.message.command_set.get("AffectedSOPInstanceUID") or "")
    with received_attributes(request) as attributes:
        created = create_workitem(node, uid, attributes, _requestor(request))
    comment = f"not kept: {', '.join(created.modified)}" if created.modified else ""
    return _response(created.remark, comment, created.sop_instance_uid)


def modify(request: Request, node: Node) -> Response:
    """Change attributes of a work item (N-SET, PS3.4 CC.2.6).

    Raises
    ------
    RequestError
        See `updating.update`.
    """
    uid = _instance(request)
    with received_attributes(request) as modifications:
        ignored = update(node, uid, modifications)
    remark = Remark.ATTRIBUTES_NOT_SUPPORTED if ignored else None
    return _response(remark, f"not changed: {', '.join(ignored)}" if ignored else "", uid)


def retrieve(request: Request, node: Node) -> Response:
    """Give the attributes of a work item, or those of the Attribute Identifier List (N-GET, PS3.4 CC.2.7).

    Raises
    ------
    InvalidArgument
        The list is none.
    NoSuchWorkitem
        There is no item of this UID.
    """
    uid = _instance(request)
    content = retrieve_workitem(node, uid, requested_tags(request))
    return Response(identifier=written_attributes(request, content), elements={"AffectedSOPInstanceUID": uid})


def act(request: Request, node: Node) -> Response:
    """Do something to a work item, or to who is told of it (N-ACTION, PS3.4 CC.2.1 to CC.2.3).

    Raises
    ------
    NoSuchAction
        The SOP class of the presentation context does not have the action.
    ActionNotAppropriate
        It is not meant for a well-known instance.
    RequestError
        See the operations.
    """
    action_type_id = request.message.command_set.get("ActionTypeID")
    if action_type_id not in ACTIONS.get(request.context.abstract_syntax, ()):
        raise NoSuchAction("the SOP class of the presentation context does not have this action")
    uid = _instance(request)
    if action_type_id in (CHANGE_STATE, REQUEST_CANCEL) and uid in WELL_KNOWN:
        raise ActionNotAppropriate("the well-known instance stands for no work item")
    if not request.message.has_data_set and action_type_id == REQUEST_CANCEL:  # all that it may say is optional
        information: dict[str, Any] = {}
        remark = _ACTIONS[action_type_id](request, node, uid, information)
    else:
        with received_attributes(request) as information:
            remark = _ACTIONS[action_type_id](request, node, uid, information)
    return _response(remark, "", uid)


def receive_event(request: Request, node: Node) -> Response:
    """Note what a peer tells of a work item of its own (N-EVENT-REPORT, PS3.4 CC.2.4.2): it is in the log.

    Raises
    ------
    NoSuchEventType
        It is another event.
    """
    command_set = request.message.command_set
    event_type_id = command_set.get("EventTypeID")
    if event_type_id not in EVENT_NAMES:
        raise NoSuchEventType("Unified Procedure Step has the event types 1 to 5")
    with received_attributes(request) as information:
        state = value(information, "ProcedureStepState")
    logger.info(
        Event(
            "work item event",
            sender=_requestor(request),
            sop_instance_uid=str(command_set.get("AffectedSOPInstanceUID") or ""),
            event=EVENT_NAMES[event_type_id],
            state=state,
        )
    )
    return Response()


def _change_state(request: Request, node: Node, uid: str, information: Mapping[str, Any]) -> Remark | None:
    state = value(information, "ProcedureStepState")
    return change_state(node, uid, state, value(information, "TransactionUID"), _requestor(request))


def _request_cancel(request: Request, node: Node, uid: str, information: Mapping[str, Any]) -> Remark | None:
    return request_cancel(node, uid, _requestor(request), information)


def _subscribe(request: Request, node: Node, uid: str, information: Mapping[str, Any]) -> None:
    lock = value(information, "DeletionLock").upper()
    if lock not in ("TRUE", "FALSE", ""):
        raise InvalidArgument("the Deletion Lock is neither TRUE nor FALSE")
    subscribing.subscribe(node, uid, _receiver(information), lock == "TRUE")


def _unsubscribe(request: Request, node: Node, uid: str, information: Mapping[str, Any]) -> None:
    subscribing.unsubscribe(node, uid, _receiver(information))


def _suspend(request: Request, node: Node, uid: str, information: Mapping[str, Any]) -> None:
    subscribing.suspend(node, uid, _receiver(information))


_ACTIONS: Mapping[int, Callable[[Request, Node, str, Mapping[str, Any]], Remark | None]] = {
    CHANGE_STATE: _change_state,
    REQUEST_CANCEL: _request_cancel,
    SUBSCRIBE: _subscribe,
    UNSUBSCRIBE: _unsubscribe,
    SUSPEND: _suspend,
}


def _receiver(information: Mapping[str, Any]) -> str:
    receiver = value(information, "ReceivingAE")
    if not receiver:
        raise InvalidArgument("the Receiving AE is missing")
    return receiver


def _requestor(request: Request) -> str:
    return request.association.requestor.ae_title.strip()


def _instance(request: Request) -> str:
    return str(request.message.command_set.get("RequestedSOPInstanceUID") or "")


def _response(remark: Remark | None, comment: str, uid: str) -> Response:
    code = status.SUCCESS if remark is None else REMARKS[remark]
    return Response(code, comment or (str(remark) if remark else ""), elements={"AffectedSOPInstanceUID": uid})


