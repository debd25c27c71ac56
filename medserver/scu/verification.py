"""Verification as SCU (PS3.4 A)."""

from __future__ import annotations

from medserver.dicom import uids
from medserver.scu.exchange import Response, context_for, next_message_id, responses, send_request
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Proposal

PROPOSAL = Proposal(uids.VERIFICATION, (uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_LITTLE_ENDIAN))


def echo(association: Association) -> Response:
    """Send a C-ECHO and return the answer."""
    context = context_for(association, uids.VERIFICATION)
    message_id = next_message_id()
    send_request(
        association,
        context,
        {"AffectedSOPClassUID": uids.VERIFICATION, "CommandField": CommandField.C_ECHO, "MessageID": message_id},
    )
    return next(responses(association, context, CommandField.C_ECHO, message_id))
