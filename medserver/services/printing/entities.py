"""What each SOP class of print management does: a function for each of its operations.

A function takes a `Call`, and returns a `Response`. What it raises `services.responses` maps to a status; which there
are is in `statuses`.

References
----------
PS3.4 H.4
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medserver.dicom import print_classes as classes
from medserver.dicom import status
from medserver.dicom.json_model import JSON
from medserver.errors import NoSuchInstance, UnrecognisedOperation
from medserver.node import Node
from medserver.printing.attributes import ANNOTATION_BOX, FILM_BOX, FILM_SESSION, IMAGE_BOX, left_out
from medserver.printing.instances import (
    FilmBoxInstance,
    FilmSessionInstance,
    ReferencedClasses,
    film_box_attributes,
    film_session_attributes,
    image_box_attributes,
)
from medserver.printing.print_jobs import job_attributes
from medserver.printing.printer_attributes import printer_attributes, printer_configuration
from medserver.printing.remarks import Remark
from medserver.printing.sessions import PrintSession, Queued
from medserver.services.attribute_list import requested_tags, written_attributes
from medserver.services.printing.image_list import received_image_list
from medserver.services.printing.print_job_report import PrintJobReport
from medserver.services.printing.statuses import code_of
from medserver.services.request import Request, Response
from medserver.wire.command_set import CommandField
from medserver.workitems.content import data_set

IMAGE_SEQUENCES = {
    classes.GRAYSCALE_IMAGE_BOX: "BasicGrayscaleImageSequence",
    classes.COLOR_IMAGE_BOX: "BasicColorImageSequence",
}

LUT_REFERENCE = "ReferencedPresentationLUTSequence"
FILM_BOX_REFERENCES = (
    "ReferencedFilmSessionSequence", "ReferencedImageBoxSequence", "ReferencedBasicAnnotationBoxSequence",
    LUT_REFERENCE,
)  # fmt: skip
"""Attributes that are read beside the tables, or are those of an answer that comes back."""

CHARACTER_SET_TAG = "00080005"


def references(image_box: str) -> ReferencedClasses:
    """Return the SOP classes that references name, with one of the image boxes."""
    return ReferencedClasses(
        classes.FILM_SESSION, classes.FILM_BOX, image_box, classes.ANNOTATION_BOX, classes.PRESENTATION_LUT
    )


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

    def response(
        self,
        uid: str,
        content: JSON | None,
        remarks: Iterable[Remark] = (),
        unknown: Sequence[str] = (),
        elements: Mapping[str, int | str] | None = None,
    ) -> Response:
        """Return a response with the attributes of an instance.

        Parameters
        ----------
        uid : str
            The instance.
        content : JSON or None
            Its attributes; None: no data set.
        remarks : iterable of Remark
            What is remarked; the first in the order of `Remark` decides the status.
        unknown : sequence of str
            The tags of attributes that were left out.
        elements : mapping of str to int or str, optional
            More of the command set.
        """
        code, comment = status.SUCCESS, ""
        told = sorted(remarks, key=list(Remark).index)
        if told:
            code, comment = code_of(told[0], self.request.sop_class_uid), "; ".join(each.value for each in told)
        elif unknown:
            code, comment = status.ATTRIBUTE_LIST_ERROR, f"left out: {', '.join(unknown)}"
        identifier = None if content is None else written_attributes(self.request, content)
        return Response(code, comment, identifier, {"AffectedSOPInstanceUID": uid, **(elements or {})})


def create_film_session(call: Call) -> Response:
    """N-CREATE of a film session (PS3.4 H.4.1.2.1)."""
    made, remarks = call.session.create_film_session(call.uid, call.attributes)
    return _film_session_response(call, made, remarks, is_new=True)


def set_film_session(call: Call) -> Response:
    """N-SET of a film session (PS3.4 H.4.1.2.2)."""
    changed, remarks = call.session.set_film_session(call.uid, call.attributes)
    return _film_session_response(call, changed, remarks, is_new=False)


def _film_session_response(
    call: Call, session: FilmSessionInstance, remarks: Iterable[Remark], *, is_new: bool
) -> Response:
    """Return what the session is: some imagers' clients stop without a data set (fo-dicom issue 852)."""
    content = film_session_attributes(session, references(classes.GRAYSCALE_IMAGE_BOX))
    unknown = left_out(call.attributes, FILM_SESSION, (LUT_REFERENCE,), is_new=is_new)
    return call.response(session.uid, content, remarks, unknown)


def delete_film_session(call: Call) -> Response:
    """N-DELETE of a film session (PS3.4 H.4.1.2.3)."""
    call.session.delete_film_session(call.uid)
    return call.response(call.uid, None)


def print_film_session(call: Call) -> Response:
    """N-ACTION of a film session (PS3.4 H.4.1.2.4)."""
    return _printed(call, call.session.print_film_session(call.uid))


def create_film_box(call: Call) -> Response:
    """N-CREATE of a film box (PS3.4 H.4.2.2.1); the meta SOP class decides whether it is for colours."""
    made, remarks = call.session.create_film_box(
        call.uid,
        call.attributes,
        is_colour=call.request.context.abstract_syntax == classes.COLOR_META,
        has_annotations=call.accepted(classes.ANNOTATION_BOX),
    )
    return _film_box_response(call, made, remarks, is_new=True)


def set_film_box(call: Call) -> Response:
    """N-SET of a film box (PS3.4 H.4.2.2.2)."""
    changed, remarks = call.session.set_film_box(call.uid, call.attributes)
    return _film_box_response(call, changed, remarks, is_new=False)


def _film_box_response(call: Call, box: FilmBoxInstance, remarks: Iterable[Remark], *, is_new: bool) -> Response:
    film_session = call.session.film_session
    assert film_session is not None
    image_box = classes.COLOR_IMAGE_BOX if box.is_colour else classes.GRAYSCALE_IMAGE_BOX
    content = film_box_attributes(film_session, box, references(image_box))
    # An ICC profile is for colours alone (PS3.4 H.4.2.2.1.1).
    others = (*FILM_BOX_REFERENCES, "ICCProfile") if box.is_colour else FILM_BOX_REFERENCES
    unknown = left_out(call.attributes, FILM_BOX, others, is_new=is_new)
    return call.response(box.uid, content, remarks, unknown)


def delete_film_box(call: Call) -> Response:
    """N-DELETE of a film box (PS3.4 H.4.2.2.3)."""
    call.session.delete_film_box(call.uid)
    return call.response(call.uid, None)


def print_film_box(call: Call) -> Response:
    """N-ACTION of a film box (PS3.4 H.4.2.2.4)."""
    return _printed(call, call.session.print_film_box(call.uid))


def _printed(call: Call, queued: Queued) -> Response:
    """Tell of the print job, if its SOP class was negotiated, and report on it while the association lasts.

    Without it there is no action reply (PS3.4 H.4.1.2.4.1).
    """
    association = call.request.association
    elements = {"ActionTypeID": 1}
    of_jobs = [each for each in association.contexts.values() if each.abstract_syntax == classes.PRINT_JOB]
    if not of_jobs:
        return call.response(call.uid, None, queued.remarks, elements=elements)
    association.reports.append(PrintJobReport(call.node, association, of_jobs[0], queued.print_job_uid))
    reference = data_set(ReferencedSOPClassUID=classes.PRINT_JOB, ReferencedSOPInstanceUID=queued.print_job_uid)
    content = data_set(ReferencedPrintJobSequence=[reference])
    return call.response(call.uid, content, queued.remarks, elements=elements)


def set_image_box(call: Call) -> Response:
    """N-SET of an image box (PS3.4 H.4.3.1.2.1, H.4.3.2.2.1); its data set is read here, since it may be large."""
    sop_class_uid = call.request.sop_class_uid
    keyword = IMAGE_SEQUENCES[sop_class_uid]
    with received_image_list(call.request, call.node, keyword) as (attributes, image, erases):
        is_colour = sop_class_uid == classes.COLOR_IMAGE_BOX
        box, remarks = call.session.set_image_box(call.uid, attributes, image, is_colour=is_colour, erases=erases)
        unknown = left_out(attributes, IMAGE_BOX, (keyword, LUT_REFERENCE))
    return call.response(box.uid, image_box_attributes(box, references(sop_class_uid)), remarks, unknown)


def set_annotation_box(call: Call) -> Response:
    """N-SET of an annotation box (PS3.4 H.4.4.2.1)."""
    box = call.session.set_annotation_box(call.uid, call.attributes)
    return call.response(box.uid, box.attributes, unknown=left_out(call.attributes, ANNOTATION_BOX))


def create_presentation_lut(call: Call) -> Response:
    """N-CREATE of a Presentation LUT (PS3.4 H.4.9.2.1)."""
    uid = call.session.create_presentation_lut(call.uid, call.attributes)
    known = ("PresentationLUTShape", "PresentationLUTSequence")
    unknown = left_out(call.attributes, (), known)
    content = {tag: element for tag, element in call.attributes.items() if tag not in unknown}
    return call.response(uid, content, unknown=unknown)


def delete_presentation_lut(call: Call) -> Response:
    """N-DELETE of a Presentation LUT (PS3.4 H.4.9.2.2)."""
    call.session.delete_presentation_lut(call.uid)
    return call.response(call.uid, None)


def get_printer(call: Call) -> Response:
    """N-GET of the printer (PS3.4 H.4.6.2.2)."""
    if call.uid != classes.PRINTER_INSTANCE:
        raise NoSuchInstance("the printer has one well-known SOP instance")
    return _told(call, printer_attributes(call.node, call.session.printer))


def get_printer_configuration(call: Call) -> Response:
    """N-GET of the printer configuration (PS3.4 H.4.11.2.2)."""
    if call.uid != classes.PRINTER_CONFIGURATION_INSTANCE:
        raise NoSuchInstance("the printer configuration has one well-known SOP instance")
    printer = call.session.printer
    metas = [classes.GRAYSCALE_META, *([classes.COLOR_META] if printer.colour else [])]
    return _told(call, printer_configuration(printer, (*metas, *classes.SINGLE_SOP_CLASSES)))


def get_print_job(call: Call) -> Response:
    """N-GET of a print job, by whoever made it, on this association or an earlier one (PS3.4 H.4.5.2.2)."""
    films = call.node.index.films.of_request(call.uid) if call.uid else []
    requested_by = call.request.association.requestor.ae_title.strip()
    if not films or any(film.requested_by != requested_by for film in films):
        raise NoSuchInstance("there is no print job of this UID")
    return _told(call, job_attributes(films))


def _told(call: Call, content: JSON) -> Response:
    """Return the attributes that were asked for; an empty list means all (PS3.7 10.1.2.1.5)."""
    wanted = [f"{tag:08X}" for tag in requested_tags(call.request)]
    told = {tag: element for tag, element in content.items() if not wanted or tag in wanted}
    unknown = [tag for tag in wanted if tag not in content and tag != CHARACTER_SET_TAG]
    return call.response(call.uid, told, unknown=unknown)


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
