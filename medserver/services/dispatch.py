"""From a message to its handler and back: the one dispatch and the one error boundary of the DIMSE services."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from medserver.archive.follow_ups import note_complete
from medserver.config import Remote
from medserver.dicom import status
from medserver.errors import (
    AssociationAborted,
    MedserverError,
    NoSuchSOPClass,
    NotAuthorised,
    SOPClassNotSupported,
    UnrecognisedOperation,
)
from medserver.log import Event, escaped
from medserver.node import Node
from medserver.services import reporting
from medserver.services.registry import service_for
from medserver.services.request import Handler, Request, Response
from medserver.services.responses import status_of
from medserver.wire.acceptor import AcceptedAssociation
from medserver.wire.command_set import NO_DATA_SET, NORMALISED, RESPONSE, CommandField, encode_command_set
from medserver.wire.message import Message
from medserver.wire.pdata import pdata_pieces

BATCH_MAX = 64
"""How many pending responses go to the network together."""

BATCH_S = 0.02
"""How long a pending response waits for others, at most."""

ERROR_COMMENT_MAX = 64
"""The length of the VR LO (PS3.5 6.2)."""

logger = logging.getLogger(__name__)


def serve(association: AcceptedAssociation, node: Node) -> None:
    """Serve an association until the peer releases it or the node stops.

    Raises
    ------
    AssociationAborted
        The association ended in any other way.
    """
    try:
        while True:
            association.idle = True  # before the look at `stopping`: who stops the node looks in the other order
            if association.stopping:
                association.abort_as_provider()
                return
            message = reporting.next_message(association, lambda request: dispatch(association, request, node))
            if message is None:
                _note_complete(association, node)
                return
            association.idle = False
            dispatch(association, message, node)
    except AssociationAborted:
        if not association.stopping:
            raise
    finally:
        reporting.abandon(association)


def _note_complete(association: AcceptedAssociation, node: Node) -> None:
    """Note that the peer has sent what it wanted to send, if a rule goes by that."""
    try:
        note_complete(node, "association", association.studies, node.clock())
    except MedserverError as error:  # then they are complete when they are quiet
        logger.warning("the end of an association is not noted: %s", error)


def dispatch(association: AcceptedAssociation, message: Message, node: Node) -> None:
    """Perform one request and send every response to it."""
    if message.command_field == CommandField.C_CANCEL or message.command_field & RESPONSE:
        return  # it came too late, or nobody waits for it
    responder = _Responder(association, message)
    try:
        request, handler = _find_handler(association, message, node)
        result = handler(request, node)
        if isinstance(result, Response):
            responder.send_last(result)
        else:
            _send_all(responder, result)
    except AssociationAborted:
        raise
    except MedserverError as error:
        code = status_of(error, normalised=message.command_field in NORMALISED)
        if association.failures.allows((message.command_field, code)):
            logger.info(Event(responder.operation, status=f"{code:04X}", comment=str(error)))
        responder.fail(code, str(error), getattr(error, "error_id", None))
    except Exception:
        # A mistake of ours. The peer learns no more than that the operation failed.
        logger.exception("%s failed", responder.operation)
        responder.fail(status.PROCESSING_FAILURE, "internal error")


def _find_handler(
    association: AcceptedAssociation, message: Message, node: Node
) -> tuple[Request, Handler]:
    """Return the request and its handler, or raise why there is none.

    The rights are those of the configuration of this moment, not those of the negotiation.
    """
    command_set = message.command_set
    context = association.contexts[message.context_id]
    sop_class_uid = command_set.get("AffectedSOPClassUID") or command_set.get("RequestedSOPClassUID") or ""
    remote = _remote(association, node)
    if remote is None:
        raise NotAuthorised("the calling AE is no longer configured")
    service = service_for(context.abstract_syntax, remote.private_sop_classes)
    if service is None:
        raise SOPClassNotSupported("the SOP class is no longer served for the calling AE")
    if not remote.permits(service.right):
        raise NotAuthorised(f"{service.right} is not allowed for the calling AE")
    handler = service.operations.get(message.command_field)
    if handler is None:
        raise UnrecognisedOperation("the SOP class does not have this operation")
    if sop_class_uid != context.abstract_syntax and service.right != "store":
        error = NoSuchSOPClass if message.command_field in NORMALISED else SOPClassNotSupported
        raise error("the SOP class is not that of the presentation context")
    extended = association.acceptor.sop_class_extended.get(context.abstract_syntax, b"")
    return Request(association, message, context, sop_class_uid, remote, extended), handler


def _remote(association: AcceptedAssociation, node: Node) -> Remote | None:
    """Return the entry of the requestor in the configuration as it is now; looked up when that has changed."""
    config = node.config.current
    if association.known_by is not config:
        requestor = association.requestor
        association.peer = config.remotes_for(requestor.ae_title, requestor.address_info.address)
        association.known_by = config
    return association.peer


def _send_all(responder: _Responder, responses: Iterator[Response | None]) -> None:
    """Send pending responses in growing batches, and the last one by itself."""
    try:
        for response in responses:
            if response is None:
                responder.send_what_waits()
            elif status.is_pending(response.code):
                responder.send_pending(response)
            else:
                responder.send_last(response)
    finally:
        responses.close()


class _Responder:
    """Encodes and sends the responses to one request."""

    def __init__(self, association: AcceptedAssociation, message: Message) -> None:
        self._association = association
        self._message = message
        self._batch: list[bytes | memoryview] = []
        self._batch_count = 0
        self._batch_limit = 1
        self._flushed_at = time.monotonic()
        self._pending_command_sets: dict[int, bytes] = {}

    @property
    def operation(self) -> str:
        """Return what was asked for, in words."""
        try:
            return CommandField(self._message.command_field).name.replace("_", "-")
        except ValueError:
            return f"operation {self._message.command_field:04X}"

    def send_pending(self, response: Response) -> None:
        """Send a pending response, perhaps together with the next ones."""
        command_set = self._command_set(response)
        length = self._association.pdu_length_to_peer
        self._batch += pdata_pieces(self._message.context_id, command_set, True, length)
        if response.identifier is not None:
            self._batch += pdata_pieces(self._message.context_id, response.identifier, False, length)
        self._batch_count += 1
        if self._batch_count >= self._batch_limit:
            self._flush()
        else:
            self.send_what_waits()

    def send_what_waits(self) -> None:
        """Send pending responses that have waited long enough for others."""
        if self._batch and time.monotonic() - self._flushed_at > BATCH_S:
            self._flush()

    def send_last(self, response: Response) -> None:
        """Send the response that ends the operation."""
        self._flush()
        self._association.send_message(self._message.context_id, self._command_set(response), response.identifier)

    def fail(self, code: int, comment: str, error_id: int | None = None) -> None:
        """End the operation with a failure, once the rest of its data set has been passed over."""
        if not self._message.drain(self._association.limits.drain_max_bytes):
            self._association.abort_as_provider()
            raise AssociationAborted("the peer goes on with a data set that was refused")
        elements = {} if error_id is None else {"ErrorID": error_id}
        self.send_last(Response(code, comment, elements=elements))

    def _flush(self) -> None:
        if self._batch:
            self._association.write(self._batch)
            self._batch, self._batch_count = [], 0
            self._batch_limit = min(self._batch_limit * 2, BATCH_MAX)
        self._flushed_at = time.monotonic()

    def _command_set(self, response: Response) -> bytes:
        if not status.is_pending(response.code) or response.elements:
            return self._encode(response)
        if response.code not in self._pending_command_sets:
            self._pending_command_sets[response.code] = self._encode(response)
        return self._pending_command_sets[response.code]

    def _encode(self, response: Response) -> bytes:
        asked = self._message.command_set
        return encode_command_set({
            "AffectedSOPClassUID": asked.get("AffectedSOPClassUID") or asked.get("RequestedSOPClassUID"),
            "CommandField": self._message.command_field | RESPONSE,
            "MessageIDBeingRespondedTo": self._message.message_id,
            "CommandDataSetType": NO_DATA_SET if response.identifier is None else 0x0001,
            "Status": response.code,
            # A backslash would separate values in an LO (PS3.5 6.2).
            "ErrorComment": escaped(response.comment, ERROR_COMMENT_MAX).replace("\\", "/") or None,
            "AffectedSOPInstanceUID": asked.get("AffectedSOPInstanceUID", asked.get("RequestedSOPInstanceUID")),
            "EventTypeID": asked.get("EventTypeID"),
            "ActionTypeID": asked.get("ActionTypeID"),
            **response.elements,
        })
