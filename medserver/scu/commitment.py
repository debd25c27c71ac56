"""Storage Commitment as SCU, and the report of the SCP on an association of its own (PS3.4 J.3)."""

from __future__ import annotations

from medserver.dicom import status, uids
from medserver.dicom.storage_commitment import REQUEST_STORAGE_COMMITMENT, Commitment, encode_commitment
from medserver.errors import AssociationAborted
from medserver.scu.exchange import DATA_SET_FOLLOWS, Response, context_for, next_message_id, responses
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.requestor import Proposal

SOP_CLASS_UID = uids.STORAGE_COMMITMENT_PUSH_MODEL

_SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)

PROPOSAL = Proposal(SOP_CLASS_UID, _SYNTAXES)
"""To ask for commitment."""

REPORT_PROPOSAL = Proposal(SOP_CLASS_UID, _SYNTAXES, as_scp=True)
"""To report: who opens the association is the SCP (PS3.4 J.3.3.1.3)."""


def request_commitment(association: Association, commitment: Commitment) -> Response:
    """Send an N-ACTION and return the answer (PS3.4 J.3.2, PS3.7 10.3.5)."""
    context = context_for(association, SOP_CLASS_UID)
    message_id = next_message_id()
    command_set = {
        "RequestedSOPClassUID": SOP_CLASS_UID,
        "CommandField": CommandField.N_ACTION,
        "MessageID": message_id,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "RequestedSOPInstanceUID": uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        "ActionTypeID": REQUEST_STORAGE_COMMITMENT,
    }
    information = encode_commitment(commitment, context.transfer_syntax_uid)
    association.send_message(context.context_id, encode_command_set(command_set), information)
    return next(responses(association, context, CommandField.N_ACTION, message_id))


def check_role(association: Association) -> None:
    """Check that we may be the SCP on an association that we asked for (PS3.7 D.3.3.4).

    A peer that says nothing of roles is taken at its accepting the context: SCUs made with pynetdicom and others do
    not answer the proposal, and take the report all the same. (dcm4che has a switch for them,
    roleSelectionNegotiationLenient.)

    Raises
    ------
    AssociationAborted
        The peer turned the role down.
    """
    answer = association.acceptor.role_selection.get(SOP_CLASS_UID)
    if answer is not None and not answer.scp_role:
        raise AssociationAborted("the remote AE does not let us be the SCP of storage commitment")


def report_request(message_id: int, event_type_id: int) -> bytes:
    """Return the encoded command set of an N-EVENT-REPORT request (PS3.7 10.3.1)."""
    return encode_command_set({
        "AffectedSOPClassUID": SOP_CLASS_UID,
        "CommandField": CommandField.N_EVENT_REPORT,
        "MessageID": message_id,
        "CommandDataSetType": DATA_SET_FOLLOWS,
        "AffectedSOPInstanceUID": uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        "EventTypeID": event_type_id,
    })


def send_report(
    association: Association, context: AcceptedContext, event_type_id: int, information: bytes
) -> int:
    """Send an N-EVENT-REPORT and return the status of the answer (PS3.4 J.3.3)."""
    message_id = next_message_id()
    association.send_message(context.context_id, report_request(message_id, event_type_id), information)
    response = next(responses(association, context, CommandField.N_EVENT_REPORT, message_id))
    return response.command_set.get("Status", status.PROCESSING_FAILURE)
