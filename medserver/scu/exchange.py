"""Requests to a remote AE and its responses, whatever the service (PS3.7 9.1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from medserver.dicom import status
from medserver.dicom.data_sets import read_data_set, write_data_set
from medserver.errors import AssociationAborted, NoContextAccepted
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import NO_DATA_SET, RESPONSE, CommandField, encode_command_set
from medserver.wire.message import Message

DATA_SET_FOLLOWS = 0x0001
PRIORITY_MEDIUM = 0x0000
RESPONSE_DATA_SET_MAX_BYTES = 16 * 1024 * 1024
RESPONSE_ELEMENTS_MAX = 100_000
RESPONSE_DEPTH_MAX = 64

CHOSEN_MESSAGE_IDS = range(0x8000, 0x10000)
"""Message IDs that nobody gets who does not ask for one: of a C-MOVE whose C-STOREs are to be known by it."""

_message_ids = itertools.cycle(range(1, CHOSEN_MESSAGE_IDS.start))


@dataclass(frozen=True, slots=True)
class Response:
    """One response of a remote AE.

    Attributes
    ----------
    code : int
        The DIMSE status.
    command_set : dict of str to int or str
        The whole command set: counters, error comment.
    identifier : Dataset or None
        The data set of the response.
    """

    code: int
    command_set: dict
    identifier: Dataset | None = None

    @property
    def comment(self) -> str:
        """Return the Error Comment, empty if there is none."""
        return str(self.command_set.get("ErrorComment", ""))


def next_message_id() -> int:
    """Return a Message ID that no operation in progress has."""
    return next(_message_ids)


def context_for(association: Association, abstract_syntax: str) -> AcceptedContext:
    """Return the accepted context of an abstract syntax.

    Raises
    ------
    NoContextAccepted
        The remote AE did not accept one.
    """
    for context in association.contexts.values():
        if context.abstract_syntax == abstract_syntax:
            return context
    raise NoContextAccepted("the remote AE did not accept the presentation context of the service")


def decode_data_set(raw: bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode a small data set that a remote AE sent.

    Raises
    ------
    CannotUnderstand
        It cannot be read.
    """
    return read_data_set(
        raw, transfer_syntax_uid, elements_max=RESPONSE_ELEMENTS_MAX, depth_max=RESPONSE_DEPTH_MAX
    )


def send_request(
    association: Association, context: AcceptedContext, command_set: dict, data_set: Dataset | bytes | None = None
) -> None:
    """Send a request whose data set is small; it may be encoded already, for the context."""
    if isinstance(data_set, Dataset):
        data_set = write_data_set(data_set, context.transfer_syntax_uid)
    encoded = encode_command_set(
        command_set | {"CommandDataSetType": NO_DATA_SET if data_set is None else DATA_SET_FOLLOWS}
    )
    association.send_message(context.context_id, encoded, data_set)


def response_to(message: Message, code: int, **elements: object) -> bytes:
    """Return the encoded command set of the response to a request (PS3.7 9.3, 10.3).

    Parameters
    ----------
    message : Message
        The request. Its SOP class, instance and types of event and action are named again.
    code : int
        The status.
    **elements
        More of the command set, by keyword; they win, and None leaves one out.
    """
    asked = message.command_set
    return encode_command_set({
        "AffectedSOPClassUID": asked.get("AffectedSOPClassUID") or asked.get("RequestedSOPClassUID"),
        "CommandField": message.command_field | RESPONSE,
        "MessageIDBeingRespondedTo": message.message_id,
        "CommandDataSetType": NO_DATA_SET,
        "Status": code,
        "AffectedSOPInstanceUID": asked.get("AffectedSOPInstanceUID", asked.get("RequestedSOPInstanceUID")),
        "EventTypeID": asked.get("EventTypeID"),
        "ActionTypeID": asked.get("ActionTypeID"),
        **elements,
    })


def cancel(association: Association, context: AcceptedContext, message_id: int) -> None:
    """Ask the remote AE to end an operation (C-CANCEL, PS3.7 9.3.2.3)."""
    command_set = {"CommandField": CommandField.C_CANCEL, "MessageIDBeingRespondedTo": message_id}
    send_request(association, context, command_set)


def next_message(association: Association) -> Message:
    """Wait for the next message.

    Raises
    ------
    AssociationAborted
        The association ended, or nothing came within the DIMSE timeout.
    """
    message = association.next_message(association.limits.dimse_timeout_s)
    if message is None:
        raise AssociationAborted("the remote AE released the association before it had answered")
    return message


def as_response(message: Message, context: AcceptedContext) -> Response:
    """Return a received message as a response, its data set decoded."""
    identifier = None
    if message.has_data_set:
        raw = message.read_data_set(RESPONSE_DATA_SET_MAX_BYTES)
        identifier = decode_data_set(raw, context.transfer_syntax_uid)
    return Response(message.command_set.get("Status", status.PROCESSING_FAILURE), message.command_set, identifier)


def responses(
    association: Association, context: AcceptedContext, command_field: CommandField, message_id: int
) -> Iterator[Response]:
    """Yield every response to a request, the last one included.

    Raises
    ------
    AssociationAborted
        The association ended, or something else arrived.
    """
    while True:
        message = next_message(association)
        if message.command_field != command_field | RESPONSE or message.message_id != message_id:
            association.abort()
            raise AssociationAborted("the remote AE sent something that is not an answer to the request")
        response = as_response(message, context)
        yield response
        if not status.is_pending(response.code):
            return
