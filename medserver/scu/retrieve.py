"""Retrieve as SCU: C-MOVE, and C-GET with its sub-operations (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom.dataset import Dataset

from medserver.dicom import status
from medserver.errors import AssociationAborted, MedserverError
from medserver.scu.exchange import (
    PRIORITY_MEDIUM,
    Response,
    as_response,
    context_for,
    next_message,
    next_message_id,
    response_to,
    responses,
    send_request,
)
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import RESPONSE, CommandField
from medserver.wire.message import Message

Receive = Callable[[AcceptedContext, Message], int]
"""Takes the context and the message of a C-STORE request, reads its data set and returns a status."""


def move(
    association: Association, sop_class_uid: str, identifier: Dataset, destination: str, message_id: int = 0
) -> Iterator[Response]:
    """Send a C-MOVE and yield its responses, the last one included.

    Parameters
    ----------
    message_id : int
        One of `exchange.CHOSEN_MESSAGE_IDS`, which the C-STOREs have as Move Originator Message ID; 0: any.
    """
    context = context_for(association, sop_class_uid)
    message_id = message_id or next_message_id()
    command_set = {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_MOVE,
        "MessageID": message_id,
        "Priority": PRIORITY_MEDIUM,
        "MoveDestination": destination,
    }
    send_request(association, context, command_set, identifier)
    yield from responses(association, context, CommandField.C_MOVE, message_id)


def get(
    association: Association, sop_class_uid: str, identifier: Dataset, receive: Receive
) -> Iterator[Response]:
    """Send a C-GET, receive what comes and yield the responses, the last one included.

    Parameters
    ----------
    receive : callable
        What to do with each instance.
    """
    context = context_for(association, sop_class_uid)
    message_id = next_message_id()
    command_set = {
        "AffectedSOPClassUID": sop_class_uid,
        "CommandField": CommandField.C_GET,
        "MessageID": message_id,
        "Priority": PRIORITY_MEDIUM,
    }
    send_request(association, context, command_set, identifier)
    while True:
        message = next_message(association)
        if message.command_field == CommandField.C_STORE:
            _receive_instance(association, message, receive)
            continue
        if message.command_field != CommandField.C_GET | RESPONSE or message.message_id != message_id:
            association.abort()
            raise AssociationAborted("the remote AE sent something that does not belong to the C-GET")
        response = as_response(message, context)
        yield response
        if not status.is_pending(response.code):
            return


def _receive_instance(association: Association, message: Message, receive: Receive) -> None:
    """Receive one instance and answer its C-STORE; a failure here is the sender's to know."""
    comment = None
    try:
        code = receive(association.contexts[message.context_id], message)
    except AssociationAborted:
        raise
    except (MedserverError, OSError) as error:
        code, comment = status.PROCESSING_FAILURE, str(error)[:64]
    message.drain(association.limits.drain_max_bytes)
    association.send_message(message.context_id, response_to(message, code, ErrorComment=comment))
