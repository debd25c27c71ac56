"""Print management as SCU: a film is printed on an imager over one association (PS3.4 H.4).

Every step waits for the answer to the one before: image boxes have the UIDs that the imager gives them in its answer
about the film box. What the imager tells meanwhile (N-EVENT-REPORT) is answered, and noted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from medserver.dicom import print_classes as classes
from medserver.dicom import status
from medserver.dicom.uids import new_uid
from medserver.errors import AssociationAborted, NoContextAccepted, PrinterRefused, RemoteError
from medserver.log import Event
from medserver.scu.exchange import (
    RESPONSE_DATA_SET_MAX_BYTES,
    Response,
    as_response,
    decode_data_set,
    next_message,
    next_message_id,
    response_to,
    send_request,
)
from medserver.scu.normalized import proposal
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import RESPONSE, CommandField
from medserver.wire.message import Message

PROPOSED = (
    classes.GRAYSCALE_META, classes.COLOR_META, classes.PRESENTATION_LUT, classes.ANNOTATION_BOX, classes.PRINT_JOB,
    classes.FILM_SESSION, classes.FILM_BOX, classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX, classes.PRINTER,
)  # fmt: skip
"""What is proposed: the single SOP classes too, for imagers that take them only by themselves."""

PROPOSALS = tuple(map(proposal, PROPOSED))

PRINT = 1
"""Action Type ID of a film session or box (PS3.4 H.4.1.2.4)."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilmOrder:
    """A film as an imager gets it.

    Parameters
    ----------
    session, film_box : Dataset
        Attributes of the film session and the film box, without what refers to another instance.
    presentation_lut : Dataset or None
        What the film box refers to, where the imager has Presentation LUTs.
    image_boxes : mapping of int to Dataset
        Attributes of each image box, by its position.
    annotations : mapping of int to str
        Texts, by their positions.
    """

    session: Dataset
    film_box: Dataset
    presentation_lut: Dataset | None
    image_boxes: Mapping[int, Dataset]
    annotations: Mapping[int, str]


class Imager:
    """An imager over an association.

    Parameters
    ----------
    association : Association
        With contexts of `PROPOSALS`.
    is_colour : bool
        Whether what is printed has colours, if the imager prints any.

    Attributes
    ----------
    is_colour : bool
        Whether it prints colours.
    """

    def __init__(self, association: Association, is_colour: bool = False) -> None:
        self._association = association
        self._contexts = {each.abstract_syntax: each for each in association.contexts.values()}
        metas = (classes.COLOR_META, classes.GRAYSCALE_META) if is_colour else (classes.GRAYSCALE_META,)
        self._meta = next((each for each in metas if each in self._contexts), None)
        self.is_colour = self._meta == classes.COLOR_META or (
            is_colour and self._meta is None and classes.COLOR_IMAGE_BOX in self._contexts
        )

    def has(self, sop_class_uid: str) -> bool:
        """Tell whether it serves a SOP class, by itself or as part of a meta SOP class."""
        return self._context_of(sop_class_uid) is not None

    def printer_status(self) -> tuple[str, str]:
        """Return Printer Status and Printer Status Info (PS3.4 H.4.6).

        Raises
        ------
        RemoteError
            It does not tell.
        """
        found = self._call(CommandField.N_GET, classes.PRINTER, classes.PRINTER_INSTANCE)
        return _text(found.identifier, "PrinterStatus"), _text(found.identifier, "PrinterStatusInfo")

    def print_job(self, sop_instance_uid: str) -> tuple[str, str] | None:
        """Return Execution Status and its Info of a Print Job (PS3.4 H.4.5); None if it is not known any more.

        Raises
        ------
        RemoteError
            It does not tell.
        """
        response = self._exchanged(CommandField.N_GET, classes.PRINT_JOB, sop_instance_uid)
        if response.code == status.NO_SUCH_INSTANCE:
            return None
        _check(response, "N-GET of the Print Job")
        return _text(response.identifier, "ExecutionStatus"), _text(response.identifier, "ExecutionStatusInfo")

    def print_film(self, order: FilmOrder) -> str:
        """Print a film, and return the UID of its Print Job; empty if the imager has no Print Jobs.

        Raises
        ------
        PrinterRefused
            The imager has not been told to print, or has refused to.
        RemoteError
            It has been told to print, and has not answered.
        """
        try:
            session_uid = self._created(classes.FILM_SESSION, order.session)
            film_box_uid = self._prepared(order, session_uid)
        except PrinterRefused:
            raise
        except RemoteError as error:
            raise PrinterRefused(str(error)) from error
        response = self._exchanged(CommandField.N_ACTION, classes.FILM_BOX, film_box_uid, ActionTypeID=PRINT)
        _check(response, "N-ACTION of the film box")
        jobs = _items(response.identifier, "ReferencedPrintJobSequence")
        self._end(session_uid)
        return str(jobs[0].get("ReferencedSOPInstanceUID", "")) if jobs else ""

    def _prepared(self, order: FilmOrder, session_uid: str) -> str:
        """Make the film box and all that is in it, and return its UID."""
        film_box = Dataset(order.film_box)
        film_box.ReferencedFilmSessionSequence = [_reference(classes.FILM_SESSION, session_uid)]
        if order.presentation_lut is not None and self.has(classes.PRESENTATION_LUT):
            lut_uid = self._created(classes.PRESENTATION_LUT, order.presentation_lut)
            film_box.ReferencedPresentationLUTSequence = [_reference(classes.PRESENTATION_LUT, lut_uid)]
        made = self._call(CommandField.N_CREATE, classes.FILM_BOX, new_uid(), film_box)
        film_box_uid = str(made.command_set.get("AffectedSOPInstanceUID", ""))
        image_boxes = _items(made.identifier, "ReferencedImageBoxSequence")
        if len(image_boxes) < max(order.image_boxes, default=0):
            raise PrinterRefused(
                f"the imager has {len(image_boxes)} image boxes for {order.film_box.ImageDisplayFormat}, "
                f"and {max(order.image_boxes)} are needed"
            )
        for position, attributes in sorted(order.image_boxes.items()):
            box = image_boxes[position - 1]
            kind = classes.COLOR_IMAGE_BOX if self.is_colour else classes.GRAYSCALE_IMAGE_BOX
            self._call(CommandField.N_SET, kind, str(box.get("ReferencedSOPInstanceUID", "")), attributes)
        self._annotate(order.annotations, _items(made.identifier, "ReferencedBasicAnnotationBoxSequence"))
        return film_box_uid

    def _annotate(self, texts: Mapping[int, str], boxes: Sequence[Dataset]) -> None:
        for position, text in sorted(texts.items()):
            if position > len(boxes):
                logger.warning(Event("annotation left out", position=position, boxes=len(boxes)))
                continue
            attributes = Dataset()
            attributes.AnnotationPosition, attributes.TextString = position, text
            uid = str(boxes[position - 1].get("ReferencedSOPInstanceUID", ""))
            self._call(CommandField.N_SET, classes.ANNOTATION_BOX, uid, attributes)

    def _end(self, session_uid: str) -> None:
        """Delete the film session; what is printed is printed, whatever becomes of that."""
        try:
            self._call(CommandField.N_DELETE, classes.FILM_SESSION, session_uid)
        except RemoteError as error:
            logger.info(Event("film session not deleted", reason=str(error)))

    def _created(self, sop_class_uid: str, attributes: Dataset) -> str:
        """Create an instance and return its UID: the one that it was given, or another if the imager says so."""
        uid = new_uid()
        response = self._call(CommandField.N_CREATE, sop_class_uid, uid, attributes)
        return str(response.command_set.get("AffectedSOPInstanceUID") or uid)

    def _call(
        self, command_field: CommandField, sop_class_uid: str, sop_instance_uid: str, attributes: Dataset | None = None
    ) -> Response:
        """Perform an operation.

        Raises
        ------
        PrinterRefused
            The answer is a failure.
        RemoteError
            There is none.
        """
        response = self._exchanged(command_field, sop_class_uid, sop_instance_uid, attributes)
        if command_field is CommandField.N_CREATE and not response.command_set.get("AffectedSOPInstanceUID"):
            response.command_set["AffectedSOPInstanceUID"] = sop_instance_uid
        name = command_field.name.replace("_", "-")
        _check(response, f"{name} of {_NAMES.get(sop_class_uid, sop_class_uid)}")
        return response

    def _context_of(self, sop_class_uid: str) -> AcceptedContext | None:
        if self._meta is not None and sop_class_uid in classes.META_SOP_CLASSES[self._meta]:
            return self._contexts[self._meta]
        own = self._contexts.get(sop_class_uid)
        if own is None and sop_class_uid == classes.PRINTER:
            return self._contexts.get(classes.COLOR_META)
        return own

    def _exchanged(
        self,
        command_field: CommandField,
        sop_class_uid: str,
        sop_instance_uid: str,
        attributes: Dataset | None = None,
        **more: Any,
    ) -> Response:
        context = self._context_of(sop_class_uid)
        if context is None:
            raise NoContextAccepted(f"the imager did not accept {_NAMES.get(sop_class_uid, sop_class_uid)}")
        named = "Affected" if command_field is CommandField.N_CREATE else "Requested"
        message_id = next_message_id()
        command_set = {
            "CommandField": command_field,
            "MessageID": message_id,
            f"{named}SOPClassUID": sop_class_uid,
            f"{named}SOPInstanceUID": sop_instance_uid,
            **more,
        }
        send_request(self._association, context, command_set, attributes)
        for message in self._messages():
            if message.command_field == command_field | RESPONSE and message.message_id == message_id:
                return as_response(message, context)
            self._association.abort()
            raise AssociationAborted("the imager sent something that is not an answer to the request")
        raise AssociationAborted("the imager does not answer")

    def _messages(self) -> Iterator[Message]:
        """Yield what arrives but for events, which are answered."""
        while True:
            message = next_message(self._association)
            if message.command_field != CommandField.N_EVENT_REPORT:
                yield message
                continue
            context = self._association.contexts[message.context_id]
            told: Dataset | None = None
            if message.has_data_set:
                raw = message.read_data_set(RESPONSE_DATA_SET_MAX_BYTES)
                told = decode_data_set(raw, context.transfer_syntax_uid)
            info = _text(told, "PrinterStatusInfo") or _text(told, "ExecutionStatusInfo")
            logger.info(Event("imager tells", event_type=message.command_set.get("EventTypeID"), info=info))
            self._association.send_message(message.context_id, response_to(message, status.SUCCESS))


_NAMES = {
    classes.FILM_SESSION: "the film session",
    classes.FILM_BOX: "the film box",
    classes.GRAYSCALE_IMAGE_BOX: "an image box",
    classes.COLOR_IMAGE_BOX: "an image box",
    classes.PRESENTATION_LUT: "the Presentation LUT",
    classes.ANNOTATION_BOX: "an annotation box",
    classes.PRINT_JOB: "the Print Job",
    classes.PRINTER: "the printer",
}


def _check(response: Response, what: str) -> None:
    """Note a warning, and raise `PrinterRefused` for a failure."""
    if status.is_failure(response.code):
        raise PrinterRefused(f"the imager answers the {what} with {status.describe(response.code, response.comment)}")
    if response.code != status.SUCCESS:
        logger.warning(Event("imager warns", of=what, status=status.describe(response.code, response.comment)))


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _items(dataset: Dataset | None, keyword: str) -> Sequence[Dataset]:
    return () if dataset is None else dataset.get(keyword) or ()


def _text(dataset: Dataset | None, keyword: str) -> str:
    return "" if dataset is None else str(dataset.get(keyword) or "")
