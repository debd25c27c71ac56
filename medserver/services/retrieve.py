"""Retrieve as SCP: C-MOVE to a configured AE and C-GET on the same association (PS3.4 C.4.2, C.4.3, Y, Z)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from pydicom.dataset import Dataset

from medserver import archive
from medserver.codecs import TranscodeAhead
from medserver.config import Remote
from medserver.dicom import status, uids
from medserver.dicom.attributes import UNIQUE_KEYS
from medserver.dicom.conditions import Condition
from medserver.dicom.dataset_values import value_of
from medserver.dicom.keys import parse_key
from medserver.errors import (
    AssociationAborted,
    CannotCountMatches,
    ConnectionFailed,
    IdentifierMismatch,
    IndexFailure,
    MedserverError,
    RemoteError,
    UnknownMoveDestination,
)
from medserver.index import Selection, StoredCopy
from medserver.log import Event
from medserver.node import Node
from medserver.scu.sender import StorageSender
from medserver.scu.storage import send_instance
from medserver.services.identifier import read_identifier
from medserver.services.model import (
    RELATIONAL,
    InformationModel,
    check_patient_keys,
    check_unique_keys_above,
    model_of,
    negotiated,
)
from medserver.services.request import Request, Response
from medserver.services.suboperations import perform, refuse
from medserver.services.without_bulk_data import send_without_bulk_data
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Address

LISTENS_WITHIN_S = 1.0
"""How soon after its request the Move Destination must listen."""

LISTENS_RETRY_S = 0.05

logger = logging.getLogger(__name__)


def move(request: Request, node: Node) -> Iterator[Response]:
    """Send the instances that match to the Move Destination (C-MOVE).

    Raises
    ------
    UnknownMoveDestination
        The destination is not configured, or without an address to connect to.
    IdentifierMismatch, CannotUnderstand, CannotCountMatches
    """
    selection = _select(request, node)
    destination = _destination(request, node)
    originator = (request.association.requestor.ae_title, request.message.message_id)
    sender = StorageSender(
        Address.of(destination),
        [(sop_class, syntax) for sop_class, syntax, _ in selection.contexts],
        node.config.current.node.ae_title,
        request.association.limits,
        node.transcoder,
        originator,
        destination.transfer_syntaxes,
    )
    with archive.ReadAhead(node, selection) as instances, sender:
        try:
            _open(sender, destination)
        except RemoteError as error:
            logger.info(Event("C-MOVE", destination=destination.ae_title, problem=str(error)))
            yield refuse(request, selection.count, selection, str(error))
            return
        logger.info(Event("C-MOVE", destination=destination.ae_title, instances=selection.count))
        yield from perform(
            request,
            selection.count,
            instances,
            lambda instance: sender.send(instances.outgoing(instance))[0],
        )


def _open(sender: StorageSender, destination: Remote) -> None:
    """Open the association with the Move Destination, which may begin to listen a moment after its request.

    GDCM's C-MOVE SCU listens for the instances only once it has sent the request: until then it refuses us.

    Raises
    ------
    RemoteError, NoContextAccepted
        As `StorageSender.open` does.
    """
    deadline = time.monotonic() + LISTENS_WITHIN_S
    is_noted = False
    while True:
        try:
            return sender.open()
        except ConnectionFailed as error:
            if time.monotonic() > deadline:  # also where a connection is not refused, but gets no answer at all
                raise
            if not is_noted:
                is_noted = True
                logger.info(Event("C-MOVE", destination=destination.ae_title, tried_again=str(error)))
        threading.Event().wait(LISTENS_RETRY_S)


def get(request: Request, node: Node) -> Iterator[Response]:
    """Send the instances that match on the same association (C-GET).

    Raises
    ------
    IdentifierMismatch, CannotUnderstand, CannotCountMatches
    """
    selection = _select(request, node)
    logger.info(Event("C-GET", instances=selection.count))
    without_bulk_data = request.sop_class_uid == uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET
    if without_bulk_data:
        yield from perform(
            request,
            selection.count,
            selection,
            lambda instance: _send_back(
                request, instance, lambda: send_without_bulk_data(request.association, instance, node)
            ),
        )
        return
    with archive.ReadAhead(node, selection) as instances, TranscodeAhead(node.transcoder) as transcoding:
        yield from perform(
            request,
            selection.count,
            instances,
            lambda instance: _send_back(
                request,
                instance,
                lambda: send_instance(
                    request.association,
                    instances.outgoing(instance),
                    transcoding,
                    preferred=request.association.peer.transfer_syntaxes,
                ),
            ),
        )


def _send_back(request: Request, instance: StoredCopy, send: Callable[[], int]) -> int:
    """Perform one sub-operation of a C-GET and return its status; `send` returns the Message ID of the request."""
    association = request.association
    try:
        message_id = send()
    except AssociationAborted:
        raise
    except MedserverError as error:
        logger.warning(Event("not sent", sop_instance_uid=instance.sop_instance_uid, reason=str(error)))
        return status.PROCESSING_FAILURE
    response = association.wait_response(
        CommandField.C_STORE, message_id, association.limits.dimse_timeout_s
    )
    return response.command_set.get("Status", status.PROCESSING_FAILURE)


def _destination(request: Request, node: Node) -> Remote:
    ae_title = str(request.message.command_set.get("MoveDestination", ""))
    remote = node.config.current.destination(ae_title)
    if remote is None:
        raise UnknownMoveDestination("the Move Destination has no entry with an address and a port")
    return remote


def _select(request: Request, node: Node) -> Selection:
    """Return the instances that the identifier names."""
    identifier = read_identifier(request, node)
    model = model_of(request.sop_class_uid)
    level = model.level_of(identifier)
    if level == "PATIENT":
        check_patient_keys(identifier)
    check_unique_keys_above(model, level, identifier, required=not negotiated(request.extended, RELATIONAL))
    try:
        return node.index.select(_conditions(identifier, model, level), patients_only=model.is_of_patients)
    except IndexFailure as error:
        raise CannotCountMatches(str(error)) from error


def _conditions(identifier: Dataset, model: InformationModel, level: str) -> tuple[Condition, ...]:
    """Return the unique keys as conditions: of the level, and of those above (PS3.4 C.4.2.2.1).

    Raises
    ------
    IdentifierMismatch
        The unique key of the level is missing, empty or a pattern.
    """
    own = UNIQUE_KEYS[level]
    conditions = list(model.scope())
    for keyword in (*model.unique_keys_above(level), own):
        value = value_of(identifier, keyword)
        if keyword == own and (not value or (isinstance(value, str) and set(value) & set("*?"))):
            raise IdentifierMismatch(f"{keyword} must be given for a retrieve at {level} level")
        condition = parse_key(keyword, identifier[keyword].VR, value) if value else None
        if condition is not None:
            conditions.append(condition)
    issuer = value_of(identifier, "IssuerOfPatientID")
    if level == "PATIENT" and issuer:
        conditions.append(parse_key("IssuerOfPatientID", "LO", issuer))
    return tuple(conditions)
