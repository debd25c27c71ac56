"""What each SOP class of print management does: one small class each, with the operations that it has.

A method takes a `Call`, and returns a `Response`. What it raises `services.responses` maps to a status.

References
----------
PS3.4 H.4
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medserver import __version__
from medserver.dicom import print_classes as classes
from medserver.dicom import status
from medserver.dicom.json_model import JSON
from medserver.errors import NoSuchInstance, UnrecognisedOperation
from medserver.node import Node
from medserver.printing import sessions
from medserver.printing.attributes import ANNOTATION_BOX, FILM_BOX, FILM_SESSION, IMAGE_BOX, unknown_keywords
from medserver.printing.print_jobs import job_attributes, status_of_printer
from medserver.printing.sessions import FilmBoxInstance, PrintSession, Queued
from medserver.services.attribute_list import requested_tags, written_attributes
from medserver.services.printing.image_list import received_image_list
from medserver.services.printing.print_job_report import PrintJobReport
from medserver.services.request import Request, Response
from medserver.wire.command_set import CommandField
from medserver.workitems.content import data_set, has

MANUFACTURER, MODEL = "medserver", "medserver print gateway"

IMAGE_SEQUENCES = {
    classes.GRAYSCALE_IMAGE_BOX: "BasicGrayscaleImageSequence",
    classes.COLOR_IMAGE_BOX: "BasicColorImageSequence",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and what it is about.

    Parameters
    ----------
    request : Request
        The request.
    node : Node
        Where.
    session : PrintSession
        What has been made on its association.
    uid : str
        The SOP Instance UID that it names; empty if none.
    attributes : JSON
        Its data set.
    """

    request: Request
    node: Node
    session: PrintSession
    uid: str
    attributes: JSON

    def accepted(self, *sop_class_uids: str) -> bool:
        """Tell whether one of some SOP classes was negotiated on the association."""
        contexts = self.request.association.contexts.values()
        return any(each.abstract_syntax in sop_class_uids for each in contexts)

    def response(self, uid: str, content: JSON | None, code: int = status.SUCCESS, comment: str = "") -> Response:
        """Return a response with the attributes of an instance."""
        identifier = None if content is None else written_attributes(self.request, content)
        return Response(code, comment, identifier, {"AffectedSOPInstanceUID": uid})


def _not_known(attributes: JSON, table, *others: str) -> tuple[int, str]:  # noqa: ANN001
    """Return the status for attributes that are not supported (PS3.7 10.1.5.1.6, 0107)."""
    unknown = unknown_keywords(attributes, table, ("SpecificCharacterSet", *others))
    if not unknown:
        return status.SUCCESS, ""
    return status.ATTRIBUTE_LIST_ERROR, f"not supported: {', '.join(unknown)}"


def create_film_session(call: Call) -> Response:
    """N-CREATE of a film session (PS3.4 H.4.1.2.1)."""
    made = call.session.create_film_session(call.uid, call.attributes)
    unknown = _not_known(call.attributes, FILM_SESSION)
    if has(made.attributes, "MemoryAllocation"):
        unknown = status.MEMORY_ALLOCATION_NOT_SUPPORTED, ""
    return call.response(made.uid, made.attributes, *unknown)


def set_film_session(call: Call) -> Response:
    """N-SET of a film session (PS3.4 H.4.1.2.2)."""
    made = call.session.set_film_session(call.uid, call.attributes)
    return call.response(made.uid, made.attributes, *_not_known(call.attributes, FILM_SESSION))


def delete_film_session(call: Call) -> Response:
    """N-DELETE of a film session (PS3.4 H.4.1.2.3)."""
    call.session.delete_film_session(call.uid)
    return call.response(call.uid, None)


def print_film_session(call: Call) -> Response:
    """N-ACTION of a film session (PS3.4 H.4.1.2.4)."""
    queued = call.session.print_film_session(call.uid)
    code = status.EMPTY_FILM_SESSION_PAGE if queued.is_empty else status.SUCCESS
    return _printed(call, queued, code if queued.is_collated else status.COLLATION_NOT_SUPPORTED)


def create_film_box(call: Call) -> Response:
    """N-CREATE of a film box (PS3.4 H.4.2.2.1)."""
    has_annotations = call.accepted(classes.ANNOTATION_BOX)
    is_colour = call.request.context.abstract_syntax == classes.COLOR_META
    made = call.session.create_film_box(
        call.uid, call.attributes, is_colour=is_colour, has_annotations=has_annotations
    )
    return _film_box_response(call, made)


def set_film_box(call: Call) -> Response:
    """N-SET of a film box (PS3.4 H.4.2.2.2)."""
    return _film_box_response(call, call.session.set_film_box(call.uid, call.attributes))


def _film_box_response(call: Call, made: FilmBoxInstance) -> Response:
    film_session = call.session.film_session
    assert film_session is not None
    image_box = classes.COLOR_IMAGE_BOX if made.is_colour else classes.GRAYSCALE_IMAGE_BOX
    named = {"session": classes.FILM_SESSION, "annotation": classes.ANNOTATION_BOX, "lut": classes.PRESENTATION_LUT}
    content = sessions.film_box_attributes(film_session, made, image_box, named)
    references = (
        "ReferencedFilmSessionSequence", "ReferencedPresentationLUTSequence", "ReferencedImageBoxSequence",
        "ReferencedBasicAnnotationBoxSequence",
    )  # fmt: skip
    return call.response(made.uid, content, *_not_known(call.attributes, FILM_BOX, *references))


def delete_film_box(call: Call) -> Response:
    """N-DELETE of a film box (PS3.4 H.4.2.2.3)."""
    call.session.delete_film_box(call.uid)
    return call.response(call.uid, None)


def print_film_box(call: Call) -> Response:
    """N-ACTION of a film box (PS3.4 H.4.2.2.4)."""
    queued = call.session.print_film_box(call.uid)
    return _printed(call, queued, status.EMPTY_FILM_BOX_PAGE if queued.is_empty else status.SUCCESS)


def _printed(call: Call, queued: Queued, code: int) -> Response:
    """Tell of the print job, if its SOP class was negotiated, and report on it while the association lasts."""
    elements: dict[str, int | str] = {"AffectedSOPInstanceUID": call.uid, "ActionTypeID": 1}
    context = next(
        (
            each
            for each in call.request.association.contexts.values()
            if each.abstract_syntax == classes.PRINT_JOB
        ),
        None,
    )
    if context is None:
        return Response(code, elements=elements)
    association = call.request.association
    association.reports.append(PrintJobReport(call.node, association, context, queued.print_job_uid))
    reference = data_set(ReferencedSOPClassUID=classes.PRINT_JOB, ReferencedSOPInstanceUID=queued.print_job_uid)
    content = data_set(ReferencedPrintJobSequence=[reference])
    return Response(code, "", written_attributes(call.request, content), elements)


def set_image_box(call: Call) -> Response:
    """N-SET of an image box (PS3.4 H.4.3.1.2.1, H.4.3.2.2.1); its data set is read here, since it may be large."""
    keyword = IMAGE_SEQUENCES[call.request.sop_class_uid]
    with received_image_list(call.request, call.node, keyword) as (attributes, image, erases):
        box, is_smaller = call.session.set_image_box(call.uid, attributes, image, erases=erases)
        code, comment = _not_known(
            attributes, IMAGE_BOX, keyword, "ReferencedPresentationLUTSequence", "ReferencedVOILUTBoxSequence"
        )
    if is_smaller:
        is_cropped = sessions.is_cropped(box)
        code = status.IMAGE_CROPPED if is_cropped else status.IMAGE_DECIMATED
    return call.response(box.uid, box.attributes, code, comment)


def set_annotation_box(call: Call) -> Response:
    """N-SET of an annotation box (PS3.4 H.4.11.1.2.1)."""
    box = call.session.set_annotation_box(call.uid, call.attributes)
    return call.response(box.uid, box.attributes, *_not_known(call.attributes, ANNOTATION_BOX))


def create_presentation_lut(call: Call) -> Response:
    """N-CREATE of a Presentation LUT (PS3.4 H.4.9.1.2.1)."""
    return call.response(call.session.create_presentation_lut(call.uid, call.attributes), call.attributes)


def delete_presentation_lut(call: Call) -> Response:
    """N-DELETE of a Presentation LUT (PS3.4 H.4.9.1.2.3)."""
    call.session.delete_presentation_lut(call.uid)
    return call.response(call.uid, None)


def get_printer(call: Call) -> Response:
    """N-GET of the printer (PS3.4 H.4.6.1.2.2)."""
    if call.uid != classes.PRINTER_INSTANCE:
        raise NoSuchInstance("the printer has one well-known SOP instance")
    printer = call.session.printer
    state, info = status_of_printer(call.node, printer)
    content = data_set(
        PrinterStatus=state,
        PrinterStatusInfo=info,
        PrinterName=printer.name,
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=MODEL,
        SoftwareVersions=__version__,
    )
    return _told(call, content)


def get_printer_configuration(call: Call) -> Response:
    """N-GET of the printer configuration (PS3.4 H.4.12)."""
    if call.uid != classes.PRINTER_CONFIGURATION_INSTANCE:
        raise NoSuchInstance("the printer configuration has one well-known SOP instance")
    printer = call.session.printer
    metas = [classes.GRAYSCALE_META, *([classes.COLOR_META] if printer.colour else [])]
    item = data_set(
        SOPClassesSupported=metas,
        MaximumMemoryAllocation=0,
        MemoryBitDepth=12,
        PrintingBitDepth=8,
        PrinterName=printer.name,
        MediaInstalledSequence=[
            data_set(ItemNumber=index, MediumType="PAPER" if size.startswith("A") else "BLUE FILM", FilmSizeID=size)
            for index, size in enumerate(printer.media, start=1)
        ],
    )
    return _told(call, data_set(PrinterConfigurationSequence=[item]))


def get_print_job(call: Call) -> Response:
    """N-GET of a print job, by whoever made it, on this association or an earlier one (PS3.4 H.4.5.1.2.2)."""
    films = call.node.index.films.of_request(call.uid) if call.uid else []
    requested_by = call.request.association.requestor.ae_title.strip()
    if not films or any(film.requested_by != requested_by for film in films):
        raise NoSuchInstance("there is no print job of this UID")
    return _told(call, job_attributes(films))


def _told(call: Call, content: JSON) -> Response:
    """Return the attributes that were asked for; an empty list means all (PS3.7 10.1.2.1.5)."""
    wanted = {f"{tag:08X}" for tag in requested_tags(call.request)}
    told = {tag: element for tag, element in content.items() if not wanted or tag in wanted}
    return call.response(call.uid, told)


Method = Callable[[Call], Response]

_CREATE, _SET, _DELETE = CommandField.N_CREATE, CommandField.N_SET, CommandField.N_DELETE
_ACTION, _GET = CommandField.N_ACTION, CommandField.N_GET

ENTITIES: Mapping[str, Mapping[CommandField, Method]] = {
    classes.FILM_SESSION: {
        _CREATE: create_film_session, _SET: set_film_session, _DELETE: delete_film_session,
        _ACTION: print_film_session,
    },
    classes.FILM_BOX: {
        _CREATE: create_film_box, _SET: set_film_box, _DELETE: delete_film_box, _ACTION: print_film_box,
    },
    classes.GRAYSCALE_IMAGE_BOX: {_SET: set_image_box},
    classes.COLOR_IMAGE_BOX: {_SET: set_image_box},
    classes.ANNOTATION_BOX: {_SET: set_annotation_box},
    classes.PRESENTATION_LUT: {_CREATE: create_presentation_lut, _DELETE: delete_presentation_lut},
    classes.PRINTER: {_GET: get_printer},
    classes.PRINTER_CONFIGURATION: {_GET: get_printer_configuration},
    classes.PRINT_JOB: {_GET: get_print_job},
}  # fmt: skip
"""SOP class -> operation -> what does it."""

READS_ITSELF = frozenset({set_image_box})
"""What reads the data set of its request itself."""


def method_for(sop_class_uid: str, command_field: int) -> Method:
    """Return what an operation of a SOP class does.

    Raises
    ------
    UnrecognisedOperation
        It does not have it.
    """
    for field, method in ENTITIES.get(sop_class_uid, {}).items():
        if field == command_field:
            return method
    raise UnrecognisedOperation("the SOP class does not have this operation")
