"""Storage Commitment as SCU, and the report of the SCP on an association of its own (PS3.4 J.3)."""

from __future__ import annotations

from collections.abc import Callable

from medserver.dicom import status, uids
from medserver.dicom.storage_commitment import (
    REFERENCE_SIZE_MAX_BYTES,
    REQUEST_STORAGE_COMMITMENT,
    Commitment,
    decode_commitment,
    encode_commitment,
)
from medserver.errors import AssociationAborted, InvalidArgument, NoContextAccepted
from medserver.scu.exchange import (
    DATA_SET_FOLLOWS,
    Response,
    as_response,
    context_for,
    next_message,
    next_message_id,
    response_to,
    responses,
)
from medserver.scu.normalized import event_report_request
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import RESPONSE, CommandField, encode_command_set
from medserver.wire.message import Message
from medserver.wire.requestor import Proposal

SOP_CLASS_UID = uids.STORAGE_COMMITMENT_PUSH_MODEL

_SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)

PROPOSAL = Proposal(SOP_CLASS_UID, _SYNTAXES)
"""To ask for commitment."""

REPORT_PROPOSAL = Proposal(SOP_CLASS_UID, _SYNTAXES, as_scp=True)
"""To report: who opens the association is the SCP (PS3.4 J.3.3.1.3)."""


Receive = Callable[[Commitment], int]
"""Takes a report, and returns the status with which it is answered."""


class CommitmentRequestor:
    """Asks for storage commitment on an association, and takes the reports that come on it.

    Parameters
    ----------
    association : Association
        With an accepted context of `PROPOSAL`.
    receive : callable
        What to do with a report. It may come before the answer to the request.
    references_max : int
        How many instances a report may name.

    Attributes
    ----------
    is_open : bool
        Whether something may still come.
    """

    def __init__(self, association: Association, receive: Receive, references_max: int) -> None:
        self.is_open = True
        self._association = association
        self._context = context_for(association, SOP_CLASS_UID)
        self._receive = receive
        self._references_max = references_max

    def request(self, commitment: Commitment) -> Response:
        """Send an N-ACTION and return the answer (PS3.4 J.3.2, PS3.7 10.3.5).

        Raises
        ------
        AssociationAborted
            The association ended, or something else arrived.
        """
        message_id = next_message_id()
        command_set = {
            "RequestedSOPClassUID": SOP_CLASS_UID,
            "CommandField": CommandField.N_ACTION,
            "MessageID": message_id,
            "CommandDataSetType": DATA_SET_FOLLOWS,
            "RequestedSOPInstanceUID": uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
            "ActionTypeID": REQUEST_STORAGE_COMMITMENT,
        }
        information = encode_commitment(commitment, self._context.transfer_syntax_uid)
        self._association.send_message(self._context.context_id, encode_command_set(command_set), information)
        while True:
            message = next_message(self._association)
            if message.command_field == CommandField.N_ACTION | RESPONSE and message.message_id == message_id:
                return as_response(message, self._context)
            self._take(message)

    def wait(self, timeout_s: float) -> None:
        """Take a report if one comes within some time [s]."""
        if not self.is_open or not self._association.message_waiting(timeout_s):
            return
        try:
            message = self._association.next_message(timeout_s)
            if message is None:
                self.is_open = False
            else:
                self._take(message)
        except AssociationAborted:  # the report will come on another one
            self.is_open = False

    def _take(self, message: Message) -> None:
        """Take an N-EVENT-REPORT and answer it (PS3.4 J.3.3.1.3, PS3.7 10.3.2)."""
        if message.command_field != CommandField.N_EVENT_REPORT:
            self._association.abort()
            raise AssociationAborted("the remote AE sent something that does not belong to storage commitment")
        raw = message.read_data_set(REFERENCE_SIZE_MAX_BYTES * (self._references_max + 1))
        try:
            commitment = decode_commitment(raw, self._context.transfer_syntax_uid, self._references_max)
            code = self._receive(commitment)
        except InvalidArgument:
            code = status.INVALID_ARGUMENT_VALUE
        self._association.send_message(self._context.context_id, response_to(message, code))


def check_role(association: Association) -> None:
    """Check that we may be the SCP on an association that we asked for (PS3.7 D.3.3.4).

    A peer that says nothing of roles is taken at its accepting the context: SCUs made with pynetdicom and others do
    not answer the proposal, and take the report all the same. (dcm4che has a switch for them,
    roleSelectionNegotiationLenient.)

    Raises
    ------
    NoContextAccepted
        The peer turned the role down.
    """
    _, is_scp = association.acceptor.roles.get(SOP_CLASS_UID, (False, True))
    if not is_scp:
        raise NoContextAccepted("the remote AE does not let us be the SCP of storage commitment")


def send_report(
    association: Association, context: AcceptedContext, event_type_id: int, information: bytes
) -> int:
    """Send an N-EVENT-REPORT and return the status of the answer (PS3.4 J.3.3)."""
    message_id = next_message_id()
    instance_uid = uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
    request = event_report_request(message_id, SOP_CLASS_UID, instance_uid, event_type_id)
    association.send_message(context.context_id, request, information)
    response = next(responses(association, context, CommandField.N_EVENT_REPORT, message_id))
    return response.command_set.get("Status", status.PROCESSING_FAILURE)
