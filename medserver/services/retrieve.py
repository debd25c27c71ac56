"""Retrieve as SCP: C-MOVE to a configured AE and C-GET on the same association (PS3.4 C.4.2, C.4.3, Y, Z)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

from pydicom.dataset import Dataset

from medserver import archive
from medserver.codecs import TranscodeAhead
from medserver.config import Remote
from medserver.destinations import sender_to
from medserver.dicom import status, uids
from medserver.dicom.attributes import UNIQUE_KEYS
from medserver.dicom.conditions import Condition, SingleValue
from medserver.dicom.dataset_values import value_of
from medserver.dicom.frame_lists import FrameKeys, frame_keys_of
from medserver.dicom.keys import parse_key
from medserver.errors import (
    CannotCountMatches,
    IdentifierMismatch,
    IndexFailure,
    OutOfResources,
    RemoteError,
    UnknownMoveDestination,
)
from medserver.index import Query, Selection
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.scu.storage import send_instance
from medserver.services.audit import begin_retrieve
from medserver.services.identifier import read_identifier
from medserver.queries.model import (
    RELATIONAL,
    InformationModel,
    check_patient_keys,
    check_unique_keys_above,
    model_of,
    negotiated,
)
from medserver.services.request import Request, Response
from medserver.services.suboperations import BackgroundOperation, perform
from medserver.services.without_bulk_data import send_without_bulk_data
from medserver.wire.command_set import CommandField

FRAME = "FRAME"
"""The level below the instance, of Composite Instance Root alone (PS3.4 Y.3.1)."""

LISTENS_WITHIN_S = 1.0
"""How soon after its request the Move Destination must listen: GDCM's C-MOVE SCU listens only once it has sent it."""

logger = logging.getLogger(__name__)


def move(request: Request, node: Node) -> Iterator[Response]:
    """Send the instances that match to the Move Destination (C-MOVE).

    Raises
    ------
    UnknownMoveDestination
        The destination is not configured, or without an address to connect to.
    IdentifierMismatch, InvalidFrameRequest, CannotUnderstand, CannotCountMatches
        The identifier cannot be served.
    """
    selection, frames = _select(request, node)
    request.audited.destination = destination = _destination(request, node)
    begin_retrieve(request, node, selection)
    sender = sender_to(
        node,
        destination,
        [(sop_class, syntax) for sop_class, syntax, _ in selection.contexts],
        move_originator=(request.association.requestor.ae_title, request.message.message_id),
        preferred=destination.transfer_syntaxes,
        listens_within_s=LISTENS_WITHIN_S,
    )

    def perform_all(operation: BackgroundOperation) -> str:
        problem = ""
        with sender, _instances(node, selection, frames) as instances:
            try:
                sender.open()
                for instance in operation.wanted(instances):
                    operation.record(instance, *sender.send(instances.outgoing(instance)))
                    if problem := sender.standing.reason:
                        break
            except (RemoteError, OutOfResources) as error:
                problem = str(error)
        if problem:
            not_sent = operation.remaining
            logger.info(
                Event("C-MOVE", destination=destination.ae_title, not_sent=not_sent, problem=Whole(problem))
            )
        return problem

    logger.info(Event("C-MOVE", destination=destination.ae_title, instances=selection.count))
    return BackgroundOperation(request, selection, perform_all, sender.interrupt).responses()


def get(request: Request, node: Node) -> Iterator[Response]:
    """Send the instances that match on the same association (C-GET).

    Raises
    ------
    IdentifierMismatch, InvalidFrameRequest, CannotUnderstand, CannotCountMatches
        The identifier cannot be served.
    NotMultiFrame, NoSuchFrames, NoFrameTimes, CannotTranscode, StoreFailure
        At the level FRAME: the new instance cannot be made.
    """
    selection, frames = _select(request, node)
    begin_retrieve(request, node, selection)
    logger.info(Event("C-GET", instances=selection.count))
    without_bulk_data = request.sop_class_uid == uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET
    if without_bulk_data:
        yield from perform(
            request,
            selection.count,
            selection,
            lambda instance: _answer(request, send_without_bulk_data(request.association, instance, node)),
        )
        return
    with _instances(node, selection, frames) as instances, TranscodeAhead(node.transcoder) as transcoding:
        yield from perform(
            request,
            selection.count,
            instances,
            lambda instance: _answer(
                request,
                send_instance(
                    request.association,
                    instances.outgoing(instance),
                    transcoding,
                    preferred=request.remote.transfer_syntaxes,
                ),
            ),
        )


def _answer(request: Request, message_id: int) -> tuple[int, str]:
    """Return the status and the comment with which the peer answers a sub-operation of a C-GET."""
    association = request.association
    response = association.wait_response(CommandField.C_STORE, message_id, association.limits.dimse_timeout_s)
    command_set = response.command_set
    return command_set.get("Status", status.PROCESSING_FAILURE), str(command_set.get("ErrorComment", ""))


def _destination(request: Request, node: Node) -> Remote:
    ae_title = str(request.message.command_set.get("MoveDestination", ""))
    remote = node.config.current.destination(ae_title)
    if remote is None:
        raise UnknownMoveDestination("the Move Destination has no entry with an address and a port")
    return remote


def _instances(
    node: Node, selection: Selection, frames: FrameKeys | None
) -> archive.ReadAhead | archive.ExtractedFrames:
    """Return what is sent: the instances as they are stored, or a new one of some frames."""
    return archive.ReadAhead(node, selection) if frames is None else archive.ExtractedFrames(node, selection, frames)


def _select(request: Request, node: Node) -> tuple[Selection, FrameKeys | None]:
    """Return the instances that the identifier names; and which frames of one, at the level FRAME."""
    identifier = read_identifier(request, node)
    model = model_of(request.sop_class_uid)
    level = model.level_of(identifier)
    if model.has_patient_level:
        check_patient_keys(identifier)
    # PS3.4 Y.4.1.2.2: there are no relational retrieves of frames
    required = level == FRAME or not negotiated(request.extended, RELATIONAL)
    check_unique_keys_above(model, level, identifier, required=required)
    frames = frame_keys_of(identifier) if level == FRAME else None
    conditions = _conditions(identifier, model, level)
    try:
        if level == "PATIENT":
            _check_one_patient(node, conditions)
        return node.index.select(conditions, patients_only=model.is_of_patients), frames
    except IndexFailure as error:
        raise CannotCountMatches(str(error)) from error


def _conditions(identifier: Dataset, model: InformationModel, level: str) -> tuple[Condition, ...]:
    """Return the unique keys as conditions: of the level, and of those above (PS3.4 C.4.2.2.1).

    With the Patient ID goes its issuer, where the identifier names one.

    Raises
    ------
    IdentifierMismatch
        The unique key of the level is missing, empty or a pattern.
    """
    own = UNIQUE_KEYS.get(level)  # a frame has none: it is one of those of the instance above
    conditions = list(model.scope())
    for keyword in filter(None, (*model.unique_keys_above(level), own)):
        value = value_of(identifier, keyword)
        if keyword == own and (not value or (isinstance(value, str) and set(value) & set("*?"))):
            raise IdentifierMismatch(f"{keyword} must be given for a retrieve at {level} level")
        condition = parse_key(keyword, identifier[keyword].VR, value) if value else None
        if condition is not None:
            conditions.append(condition)
    issuer = value_of(identifier, "IssuerOfPatientID") if model.has_patient_level else None
    if issuer:
        conditions.append(SingleValue("IssuerOfPatientID", str(issuer).strip()))
    return tuple(conditions)


def _check_one_patient(node: Node, conditions: tuple[Condition, ...]) -> None:
    """Check that an identifier means one patient: the images of two are never sent for those of one.

    Raises
    ------
    IdentifierMismatch
        Two issuers have given the Patient ID, or two persons have it by mistake.
    """
    patients = node.index.find(Query("PATIENT", conditions, ("PatientID",), patients_only=True))
    if len(list(islice(patients, 2))) > 1:
        raise IdentifierMismatch("several patients have the Patient ID: add its issuer, or retrieve studies")
