"""Unified Procedure Step: events as SCP of that SOP class, and the operations of a requester, performer or watcher.

Commands name the class of Push, whichever SOP class their presentation context is of (PS3.4 CC.3.1).
"""

from __future__ import annotations

from typing import Any

from medserver.dicom import uids
from medserver.dicom.character_sets import UNICODE_UTF_8
from medserver.dicom.json_model import JSON, SPECIFIC_CHARACTER_SET, write_json
from medserver.errors import NoContextAccepted
from medserver.scu.exchange import Response, context_for, next_message_id, responses, send_request
from medserver.scu.normalized import event_report_request
from medserver.scu.query import IDENTIFIER_SYNTAXES
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Proposal

EVENT_PROPOSAL = Proposal(uids.UNIFIED_PROCEDURE_STEP_EVENT, IDENTIFIER_SYNTAXES, as_scp=True)
"""To tell of changes: who opens the association is the SCP (PS3.4 CC.2.4.3)."""

PUSH = Proposal(uids.UNIFIED_PROCEDURE_STEP_PUSH, IDENTIFIER_SYNTAXES)
PULL = Proposal(uids.UNIFIED_PROCEDURE_STEP_PULL, IDENTIFIER_SYNTAXES)
WATCH = Proposal(uids.UNIFIED_PROCEDURE_STEP_WATCH, IDENTIFIER_SYNTAXES)


def check_role(association: Association) -> None:
    """Check that we may be the SCP of events; a peer that says nothing of roles is taken at its accepting the context.

    Raises
    ------
    NoContextAccepted
        The peer turned the role down.
    """
    _, is_scp = association.acceptor.roles.get(uids.UNIFIED_PROCEDURE_STEP_EVENT, (False, True))
    if not is_scp:
        raise NoContextAccepted("the remote AE does not let us be the SCP of Unified Procedure Step events")


def report_event(
    association: Association, sop_instance_uid: str, event_type_id: int, information: JSON
) -> Response:
    """Send an N-EVENT-REPORT and return the answer (PS3.4 CC.2.4).

    Raises
    ------
    NoContextAccepted
        The remote AE does not take events.
    AssociationAborted
        The association ended before the answer.
    """
    check_role(association)
    context = context_for(association, uids.UNIFIED_PROCEDURE_STEP_EVENT)
    message_id = next_message_id()
    request = event_report_request(message_id, uids.UNIFIED_PROCEDURE_STEP_PUSH, sop_instance_uid, event_type_id)
    association.send_message(context.context_id, request, _encoded(information, context.transfer_syntax_uid))
    return next(responses(association, context, CommandField.N_EVENT_REPORT, message_id))


def create(association: Association, sop_instance_uid: str, attribute_list: JSON) -> Response:
    """Create a work item (N-CREATE), in a context of `PUSH`."""
    names = {
        "AffectedSOPClassUID": uids.UNIFIED_PROCEDURE_STEP_PUSH,
        "AffectedSOPInstanceUID": sop_instance_uid,
    }
    return _exchange(association, PUSH, CommandField.N_CREATE, names, attribute_list)


def get(association: Association, proposal: Proposal, sop_instance_uid: str) -> Response:
    """Read all attributes of a work item (N-GET)."""
    return _exchange(association, proposal, CommandField.N_GET, _requested(sop_instance_uid))


def act(
    association: Association,
    proposal: Proposal,
    sop_instance_uid: str,
    action_type_id: int,
    information: JSON,
) -> Response:
    """Do something to a work item, or to who is told of it (N-ACTION)."""
    names = _requested(sop_instance_uid) | {"ActionTypeID": action_type_id}
    return _exchange(association, proposal, CommandField.N_ACTION, names, information)


def _requested(sop_instance_uid: str) -> dict[str, Any]:
    return {
        "RequestedSOPClassUID": uids.UNIFIED_PROCEDURE_STEP_PUSH,
        "RequestedSOPInstanceUID": sop_instance_uid,
    }


def _exchange(
    association: Association,
    proposal: Proposal,
    command_field: CommandField,
    names: dict[str, Any],
    data_set: JSON | None = None,
) -> Response:
    context = context_for(association, proposal.abstract_syntax)
    message_id = next_message_id()
    encoded = _encoded(data_set, context.transfer_syntax_uid) if data_set else None
    send_request(association, context, {"CommandField": command_field, "MessageID": message_id} | names, encoded)
    return next(responses(association, context, command_field, message_id))


def _encoded(content: JSON, transfer_syntax_uid: str) -> bytes:
    """Encode a data set, in UTF-8."""
    told = {**content, SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": [UNICODE_UTF_8]}}
    return write_json(told, transfer_syntax_uid)
