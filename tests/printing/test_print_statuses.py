"""Every status that the table of print management has can be provoked, and nothing else is answered."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from medserver.dicom import print_classes as classes
from medserver.dicom import status, uids
from medserver.index import open_index
from medserver.printing.film import film_of
from medserver.services.policy import PRINTED
from medserver.services.printing.entities import ENTITIES
from medserver.services.printing.statuses import OPERATIONS, STATUSES, PrintStatus
from medserver.services.responses import is_stated
from medserver.wire.command_set import CommandField
from medserver.wire.requestor import Proposal
from PIL import ImageCms
from pydicom.dataset import Dataset

from tests.peers import Address
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.print_scu import colour_image, gray_image
from tests.printing.raw_scu import (
    ACTION,
    BOX,
    CREATE,
    DELETE,
    GET,
    LUT,
    SESSION,
    SET,
    RawPrintSCU,
    dataset,
    image_without_pixels,
    in_session,
    lut_reference,
    lut_table,
    printing,
)
from tests.services.client import Client

Provocation = Callable[[RawPrintSCU], int]

NOBODY = "1.2.99"
CT, VOI_LUT_BOX = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.1.22"
UNREADABLE = b"\x10\x20\x10\x00CS\xff\xff1"
TOO_LARGE_BYTES = 9 * 1024 * 1024
_ITEM = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x20\0\x10\0SH\x02\x001 "
MANY_ELEMENTS = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 100_001 * len(_ITEM)) + _ITEM * 100_001


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a printer, one that takes two films and prints none, and one for others."""
    one = Node(tmp_path_factory.mktemp("print"), clients=("WS1", "WS2"))
    folder = one.data / "films"
    media = {"output": "pdf", "folder": folder, "media": "14INX17IN, A4", "copies_max": 120}
    one.set_section("printer film", {**media, "ae_title": "FILM1"})
    nowhere = one.directory / "config.ini" / "no"
    one.set_section("printer full", {**media, "ae_title": "FULL", "folder": nowhere, "films_max": 1})
    one.set_section("printer own", {**media, "ae_title": "OWN", "clients": "WS2"})
    one.start()
    yield one
    one.kill()


def _instance(scu: RawPrintSCU, sop_class_uid: str) -> str:
    """Make what an operation needs, and return the UID of an instance of a SOP class."""
    scu.is_colour = sop_class_uid == classes.COLOR_IMAGE_BOX
    if sop_class_uid in (classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX):
        return scu.film()
    if sop_class_uid == classes.ANNOTATION_BOX:
        return scu.annotation()
    if sop_class_uid == classes.PRESENTATION_LUT:
        assert scu.create_lut(PresentationLUTShape="IDENTITY").code == 0
        return LUT
    if sop_class_uid == classes.PRINT_JOB:
        scu.film(image=gray_image())
        printed = scu.print().identifier
        assert printed is not None
        return printed.ReferencedPrintJobSequence[0].ReferencedSOPInstanceUID
    if sop_class_uid == classes.PRINTER:
        return classes.PRINTER_INSTANCE
    if sop_class_uid == classes.PRINTER_CONFIGURATION:
        return classes.PRINTER_CONFIGURATION_INSTANCE
    scu.film(image=gray_image())
    return SESSION if sop_class_uid == classes.FILM_SESSION else BOX


def _good(sop_class_uid: str, operation: CommandField) -> Dataset | None:
    """Return a data set that is taken."""
    if operation not in (CREATE, SET):
        return None
    if sop_class_uid == classes.FILM_BOX:
        return in_session(ImageDisplayFormat="STANDARD\\1,1") if operation is CREATE else dataset(Trim="YES")
    return {
        classes.FILM_SESSION: dataset(FilmSessionLabel="Doe"),
        classes.GRAYSCALE_IMAGE_BOX: dataset(Polarity="REVERSE"),
        classes.COLOR_IMAGE_BOX: dataset(Polarity="REVERSE"),
        classes.ANNOTATION_BOX: dataset(TextString="Left"),
        classes.PRESENTATION_LUT: dataset(PresentationLUTShape="LIN OD"),
    }[sop_class_uid]


def _elements(operation: CommandField) -> dict[str, object]:
    return {"ActionTypeID": 1} if operation is ACTION else {}


def _prepared(scu: RawPrintSCU, row: PrintStatus) -> str:
    """Return the UID for an operation that is to succeed: a new one for an N-CREATE."""
    if row.operation is not CREATE:
        return _instance(scu, row.sop_class_uid)
    if row.sop_class_uid == classes.FILM_BOX:
        scu.create_session()
    return {classes.FILM_SESSION: SESSION, classes.FILM_BOX: BOX, classes.PRESENTATION_LUT: LUT}[row.sop_class_uid]


def _with(scu: RawPrintSCU, row: PrintStatus, content: Dataset | bytes | None, uid: str, **elements: object) -> int:
    asked = _elements(row.operation) | elements
    return scu.send(row.operation, row.sop_class_uid, uid, content, **asked).code


def _plainly(scu: RawPrintSCU, row: PrintStatus) -> int:
    return _with(scu, row, _good(row.sop_class_uid, row.operation), _prepared(scu, row))


def _unknown_attribute(scu: RawPrintSCU, row: PrintStatus) -> int:
    uid = _prepared(scu, row)
    if row.operation is GET:
        return _with(scu, row, None, uid, AttributeIdentifierList=b"\x10\x00\x10\x00")
    content = _good(row.sop_class_uid, row.operation)
    assert content is not None
    content.PatientID = "1"
    return _with(scu, row, content, uid)


def _unreadable(scu: RawPrintSCU, row: PrintStatus) -> int:
    return _with(scu, row, UNREADABLE, _prepared(scu, row))


def _again(scu: RawPrintSCU, row: PrintStatus) -> int:
    _plainly(scu, row)
    return _with(scu, row, _good(row.sop_class_uid, row.operation), _uid_of(row))


def _uid_of(row: PrintStatus) -> str:
    return {classes.FILM_SESSION: SESSION, classes.FILM_BOX: BOX, classes.PRESENTATION_LUT: LUT}[row.sop_class_uid]


def _of_nobody(scu: RawPrintSCU, row: PrintStatus) -> int:
    _prepared(scu, row)
    return _with(scu, row, _good(row.sop_class_uid, row.operation), NOBODY)


def _no_uid(scu: RawPrintSCU, row: PrintStatus) -> int:
    _prepared(scu, row)
    return _with(scu, row, _good(row.sop_class_uid, row.operation), "1.2.x")


def _of_another_class(scu: RawPrintSCU, row: PrintStatus) -> int:
    _prepared(scu, row)
    scu.create_session()
    other = BOX if row.sop_class_uid == classes.FILM_SESSION else SESSION
    return _with(scu, row, _good(row.sop_class_uid, row.operation), other)


def _another_action(scu: RawPrintSCU, row: PrintStatus) -> int:
    return _with(scu, row, None, _prepared(scu, row), ActionTypeID=2)


def _no_tags(scu: RawPrintSCU, row: PrintStatus) -> int:
    return _with(scu, row, None, _prepared(scu, row), AttributeIdentifierList=b"\x10\x00")


def _too_much(scu: RawPrintSCU, row: PrintStatus) -> int:
    uid = _prepared(scu, row)
    if row.sop_class_uid in (classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX):
        content: Dataset | bytes = MANY_ELEMENTS
    else:
        content = bytes(TOO_LARGE_BYTES)
    return _with(scu, row, content, uid)


GENERAL: dict[int, Callable[[RawPrintSCU, PrintStatus], int]] = {
    status.SUCCESS: _plainly,
    status.ATTRIBUTE_LIST_ERROR: _unknown_attribute,
    status.PROCESSING_FAILURE: _unreadable,
    status.DUPLICATE: _again,
    status.NO_SUCH_INSTANCE: _of_nobody,
    status.INVALID_OBJECT_INSTANCE: _no_uid,
    status.CLASS_INSTANCE_CONFLICT: _of_another_class,
    status.NO_SUCH_ACTION: _another_action,
    status.MISTYPED_ARGUMENT: _no_tags,
    status.RESOURCE_LIMITATION: _too_much,
}
"""What provokes a status of any SOP class."""


def _session(**attributes: object) -> Provocation:
    return lambda scu: scu.create_session(**attributes).code


def _changed_session(**attributes: object) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        scu.create_session()
        return scu.send(SET, classes.FILM_SESSION, SESSION, dataset(**attributes)).code

    return provoke


def _box(display_format: str | None = "STANDARD\\1,1", **attributes: object) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        scu.create_session()
        return scu.create_box(display_format=display_format, **attributes).code

    return provoke


def _changed_box(**attributes: object) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        scu.film()
        return scu.send(SET, classes.FILM_BOX, BOX, dataset(**attributes)).code

    return provoke


def _image(image: Callable[[], Dataset] = gray_image, **attributes: object) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        uid = scu.film()
        shown = colour_image() if scu.is_colour and image is gray_image else image()
        return scu.set_image(uid, shown, **attributes).code

    return provoke


def _printed(sop_class_uid: str, film: Callable[[RawPrintSCU], object]) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        film(scu)
        return scu.print(sop_class_uid, SESSION if sop_class_uid == classes.FILM_SESSION else BOX).code

    return provoke


def _wide(**attributes: object) -> Callable[[RawPrintSCU], object]:
    return lambda scu: scu.set_image(scu.film(), gray_image(), RequestedImageSize="500", **attributes)


def _grown(scu: RawPrintSCU) -> None:
    """Make a film whose image, which fits, does not fit any longer."""
    scu.set_image(scu.film(), gray_image(10, 6000))
    assert scu.send(SET, classes.FILM_BOX, BOX, dataset(MagnificationType="NONE")).code == 0


def _many_copies(scu: RawPrintSCU) -> None:
    scu.create_session(NumberOfCopies=60)
    for uid in (BOX, "1.2.22"):
        made = scu.create_box(uid)
        assert made.identifier is not None
        scu.set_image(made.identifier.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID, gray_image())


def _twice(sop_class_uid: str) -> Provocation:
    def provoke(scu: RawPrintSCU) -> int:
        scu.film(image=gray_image())
        scu.print()
        return scu.print(sop_class_uid, SESSION if sop_class_uid == classes.FILM_SESSION else BOX).code

    return provoke


def _lut(**attributes: object) -> Provocation:
    return lambda scu: scu.create_lut(**attributes).code


def _annotation(**attributes: object) -> Provocation:
    return lambda scu: scu.send(SET, classes.ANNOTATION_BOX, scu.annotation(), dataset(**attributes)).code


_TOO_LARGE = {"RequestedImageSize": "500", "RequestedDecimateCropBehavior": "FAIL"}

OWN: dict[tuple[str, CommandField, int], Provocation] = {
    (classes.FILM_SESSION, CREATE, status.INVALID_ATTRIBUTE_VALUE): _session(PrintPriority="NOW"),
    (classes.FILM_SESSION, CREATE, status.ATTRIBUTE_VALUE_OUT_OF_RANGE): _session(NumberOfCopies=121),
    (classes.FILM_SESSION, CREATE, status.MEMORY_ALLOCATION_NOT_SUPPORTED): _session(MemoryAllocation=100),
    (classes.FILM_SESSION, SET, status.INVALID_ATTRIBUTE_VALUE): _changed_session(NumberOfCopies=0),
    (classes.FILM_SESSION, SET, status.ATTRIBUTE_VALUE_OUT_OF_RANGE): _changed_session(NumberOfCopies=121),
    (classes.FILM_SESSION, SET, status.MEMORY_ALLOCATION_NOT_SUPPORTED): _changed_session(MemoryAllocation=1),
    (classes.FILM_SESSION, ACTION, status.COLLATION_NOT_SUPPORTED): _printed(classes.FILM_SESSION, _many_copies),
    (classes.FILM_SESSION, ACTION, status.EMPTY_FILM_SESSION_PAGE): _printed(
        classes.FILM_SESSION, lambda scu: scu.film()
    ),
    (classes.FILM_SESSION, ACTION, status.NO_FILM_BOX): _printed(
        classes.FILM_SESSION, lambda scu: scu.create_session()
    ),
    (classes.FILM_SESSION, ACTION, status.FILM_SESSION_QUEUE_FULL): _twice(classes.FILM_SESSION),
    (classes.FILM_BOX, CREATE, status.INVALID_ATTRIBUTE_VALUE): _box("SLIDE"),
    (classes.FILM_BOX, CREATE, status.MISSING_ATTRIBUTE): _box(None),
    (classes.FILM_BOX, CREATE, status.MISSING_ATTRIBUTE_VALUE): _box(""),
    (classes.FILM_BOX, CREATE, status.DENSITY_OUTSIDE_RANGE): _box(MaxDensity=320),
    (classes.FILM_BOX, SET, status.INVALID_ATTRIBUTE_VALUE): _changed_box(MinDensity=100, MaxDensity=50),
    (classes.FILM_BOX, SET, status.DENSITY_OUTSIDE_RANGE): _changed_box(MinDensity=5),
    (classes.FILM_BOX, ACTION, status.EMPTY_FILM_BOX_PAGE): _printed(classes.FILM_BOX, lambda scu: scu.film()),
    (classes.FILM_BOX, ACTION, status.FILM_BOX_QUEUE_FULL): _twice(classes.FILM_BOX),
    **{
        (uid, ACTION, code): _printed(uid, film)
        for uid in (classes.FILM_SESSION, classes.FILM_BOX)
        for code, film in (
            (status.IMAGE_DEMAGNIFIED, _wide()),
            (status.IMAGE_CROPPED, _wide(RequestedDecimateCropBehavior="CROP")),
            (status.IMAGE_DECIMATED, _wide(RequestedDecimateCropBehavior="DECIMATE")),
            (status.IMAGE_LARGER_THAN_BOX, _grown),
        )
    },
    **{
        (uid, SET, code): provoke
        for uid in (classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX)
        for code, provoke in (
            (status.INVALID_ATTRIBUTE_VALUE, _image(lambda: gray_image(PixelRepresentation=1))),
            (status.MISSING_ATTRIBUTE_VALUE, _image(image_without_pixels)),
            (status.IMAGE_DEMAGNIFIED, _image(RequestedImageSize="500")),
            (status.DENSITY_OUTSIDE_RANGE, _image(MaxDensity=400)),
            (status.IMAGE_CROPPED, _image(RequestedImageSize="500", RequestedDecimateCropBehavior="CROP")),
            (status.IMAGE_DECIMATED, _image(RequestedImageSize="500", RequestedDecimateCropBehavior="DECIMATE")),
            (status.IMAGE_LARGER_THAN_BOX, _image(**_TOO_LARGE)),
        )
    },
    (classes.ANNOTATION_BOX, SET, status.INVALID_ATTRIBUTE_VALUE): _annotation(AnnotationPosition=2, TextString="x"),
    (classes.PRESENTATION_LUT, CREATE, status.INVALID_ATTRIBUTE_VALUE): _lut(PresentationLUTShape="INVERSE"),
    (classes.PRESENTATION_LUT, CREATE, status.MISSING_ATTRIBUTE): _lut(PatientID="1"),
    (classes.PRESENTATION_LUT, CREATE, status.MISSING_ATTRIBUTE_VALUE): _lut(PresentationLUTShape=""),
}  # fmt: skip
"""What provokes a status of one SOP class."""

QUEUE_FULL = (status.FILM_SESSION_QUEUE_FULL, status.FILM_BOX_QUEUE_FULL)

ELSEWHERE = (status.INSUFFICIENT_PRINTER_MEMORY,)
"""Provoked in `test_sessions`, with a limit that is not a gigabyte."""


def _id(row: PrintStatus) -> str:
    return f"{classes_name(row.sop_class_uid)}-{row.operation.name}-{row.code:04X}"


def classes_name(uid: str) -> str:
    """Return the name of a constant of `print_classes`."""
    return next(name for name, value in vars(classes).items() if value == uid)


def _address(node: Node, row: PrintStatus) -> Address:
    called = {status.NOT_AUTHORISED: "OWN"} | dict.fromkeys(QUEUE_FULL, "FULL")
    return node.address._replace(ae_title=called.get(row.code, "FILM1"))


@pytest.mark.parametrize("row", [each for each in STATUSES if each.code not in ELSEWHERE], ids=_id)
def test_every_status(node: Node, row: PrintStatus) -> None:
    with printing(_address(node, row), without=(classes.PRINT_JOB,) if row.operation is ACTION else ()) as scu:
        if row.code == status.NOT_AUTHORISED:
            scu.is_colour = row.sop_class_uid == classes.COLOR_IMAGE_BOX
            answered = _with(scu, row, _good(row.sop_class_uid, row.operation), SESSION)
        elif (row.sop_class_uid, row.operation, row.code) in OWN:
            scu.is_colour = row.sop_class_uid == classes.COLOR_IMAGE_BOX
            answered = OWN[row.sop_class_uid, row.operation, row.code](scu)
        else:
            answered = GENERAL[row.code](scu, row)
    assert f"{answered:04X}" == f"{row.code:04X}"


def test_the_table_has_the_operations_that_there_are() -> None:
    assert {uid: set(methods) for uid, methods in ENTITIES.items()} == {
        uid: set(operations) for uid, operations in OPERATIONS.items()
    }
    assert len({(row.sop_class_uid, row.operation, row.code) for row in STATUSES}) == len(STATUSES)
    assert all(is_stated(row.code, row.operation) for row in STATUSES)
    assert OWN.keys() <= {(row.sop_class_uid, row.operation, row.code) for row in STATUSES}


@pytest.mark.parametrize("operation", [CREATE, DELETE, GET, ACTION])
def test_an_image_box_has_no_other_operation(node: Node, operation: CommandField) -> None:
    with printing(node.address._replace(ae_title="FILM1")) as scu:
        uid = scu.film()
        answered = scu.send(operation, classes.GRAYSCALE_IMAGE_BOX, uid, **_elements(operation))
    assert answered.code == status.UNRECOGNISED_OPERATION


def test_a_sop_class_of_another_context(node: Node) -> None:
    with printing(node.address._replace(ae_title="FILM1")) as scu:
        scu.context_of = lambda uid, context=scu.context_of(classes.PRINT_JOB): context  # type: ignore[method-assign]
        assert scu.create_session().code == status.NO_SUCH_SOP_CLASS


def test_a_presentation_lut_that_is_not_for_the_image(node: Node) -> None:
    with printing(node.address._replace(ae_title="FILM1")) as scu:
        assert scu.create_lut(PresentationLUTSequence=lut_table(256)).code == 0
        uid = scu.film(ReferencedPresentationLUTSequence=lut_reference())
        assert scu.set_image(uid, gray_image(bits=12)).code == status.INVALID_ATTRIBUTE_VALUE
        assert scu.set_image(uid, gray_image()).code == 0


def test_an_icc_profile_is_for_colours(node: Node) -> None:
    with printing(node.address._replace(ae_title="FILM1")) as scu:
        scu.create_session()
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        assert scu.create_box(ICCProfile=profile).code == status.ATTRIBUTE_LIST_ERROR
        scu.is_colour = True
        made = scu.create_box("1.2.22", ICCProfile=profile)
        assert made.code == 0 and made.identifier is not None
        uid = made.identifier.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID
        assert scu.set_image(uid, colour_image()).code == 0
        reply = scu.print(uid="1.2.22").identifier
    assert reply is not None
    job_uid = reply.ReferencedPrintJobSequence[0].ReferencedSOPInstanceUID
    with closing(open_index("sqlite:///index.db", base=node.data)) as index:
        wait_until(lambda: index.films.of_request(job_uid)[0].state == "DONE")
        assert film_of(index.films.of_request(job_uid)[0].content).icc_profile


def test_what_a_printer_is_called_for(node: Node) -> None:
    offered = [
        uids.VERIFICATION, classes.GRAYSCALE_META, PRINTED, uids.STUDY_ROOT_FIND, CT,
        VOI_LUT_BOX,
    ]  # fmt: skip
    proposals = [Proposal(uid, (uids.EXPLICIT_VR_LITTLE_ENDIAN,)) for uid in offered]
    found = {}
    for called in ("FILM1", "MEDSERVER"):
        with Client(node.address._replace(ae_title=called), "WS1").associated(proposals) as association:
            found[called] = [each.abstract_syntax for each in association.contexts.values()]
    assert found["FILM1"] == offered[:3]
    # All printers have AE titles, and there are several: for the node's own there is none.
    assert found["MEDSERVER"] == [offered[0], *offered[2:5]]
