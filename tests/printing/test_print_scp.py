"""Print management as SCP: a Print SCU makes films, which are printed, and every status has its condition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pypdfium2
import pytest
from pynetdicom.sop_class import BasicFilmBox, BasicFilmSession  # type: ignore[attr-defined]

from medserver.config import ConfigFile
from medserver.dicom import status
from medserver.node import open_node
from medserver.printing.printer_states import look
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.print_scu import PrintSCU, colour_image, gray_image


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a printer FILM1 that writes to a folder, and one that has no room."""
    one = Node(tmp_path_factory.mktemp("print"), clients=("WS1", "WS2", "DCMPRINT"))
    folder = one.data / "films"
    one.set_section("printer film", {"output": "pdf", "ae_title": "FILM1", "folder": folder, "media": "14INX17IN, A4"})
    one.set_section(
        "printer full",
        {"output": "pdf", "ae_title": "FULL", "folder": one.directory / "config.ini" / "no", "films_max": 1},
    )
    one.set_section("printer own", {"output": "pdf", "ae_title": "OWN", "folder": folder, "clients": "WS2"})
    one.start()
    yield one
    one.kill()


@pytest.fixture
def printer(node: Node) -> Address:
    """Give the printer."""
    return node.address._replace(ae_title="FILM1")


@pytest.fixture
def scu(printer: Address) -> Iterator[PrintSCU]:
    """Give a Print SCU that is associated with it."""
    with PrintSCU(printer) as one:
        yield one


def _pages(node: Node) -> set[Path]:
    return set((node.data / "films").glob("*.pdf"))


def _boxes(made) -> list[str]:  # noqa: ANN001
    return [each.ReferencedSOPInstanceUID for each in made.ReferencedImageBoxSequence]


def test_there_is_one_session_at_a_time(scu: PrintSCU) -> None:
    code, made = scu.create_session(None, FilmSessionLabel="Doe", NumberOfCopies=2)
    assert (code, made.FilmSessionLabel, made.NumberOfCopies) == (0, "Doe", 2)
    assert scu.create_session()[0] == status.DUPLICATE


def test_image_boxes_that_have_no_room_are_refused(scu: PrintSCU) -> None:
    """A film that is answered with success can be printed."""
    scu.create_session()
    refused = {"ImageDisplayFormat": "STANDARD\\256,1", "FilmSizeID": "A4"}
    assert scu.create_box(**refused)[0] == status.INVALID_ATTRIBUTE_VALUE
    assert scu.create_box(**refused | {"ImageDisplayFormat": "STANDARD\\16,16"})[0] == 0


def test_the_whole_way(node: Node, scu: PrintSCU) -> None:
    before = _pages(node)
    assert scu.create_session(FilmSessionLabel="Doe")[0] == 0
    code, made = scu.create_box(ImageDisplayFormat="STANDARD\\2,1", AnnotationDisplayFormatID="1")
    assert code == 0
    boxes = _boxes(made)
    assert len(boxes) == 2
    assert scu.set_image(boxes[0], gray_image()) == 0
    assert scu.set_image(boxes[1], gray_image(40, 30, 12), 2) == 0
    assert scu.set_annotation(made.ReferencedBasicAnnotationBoxSequence[0].ReferencedSOPInstanceUID, "Left side") == 0
    code, reply = scu.print()
    assert code == 0
    job = reply.ReferencedPrintJobSequence[0].ReferencedSOPInstanceUID
    wait_until(lambda: [event for event, _ in scu.events][-1:] == [3])
    [page] = _pages(node) - before
    with pypdfium2.PdfDocument(page) as document:
        text = document[0].get_textpage().get_text_bounded()
        assert "Left side" in text
        assert len([each for each in document[0].get_objects() if each.type == 3]) == 2
    code, told = scu.get_job(job)
    assert (code, told.ExecutionStatus, told.Originator) == (0, "DONE", "WS1")
    assert scu.delete(BasicFilmSession, "1.2.1") == 0
    assert scu.print()[0] == status.NO_SUCH_INSTANCE


@pytest.mark.parametrize("planar", [0, 1])
def test_colours(node: Node, scu: PrintSCU, planar: int) -> None:
    before = _pages(node)
    scu.is_colour = True
    assert scu.create_session()[0] == 0
    code, made = scu.create_box(ImageDisplayFormat="STANDARD\\1,1", MagnificationType="NONE")
    assert code == 0
    assert scu.set_image(_boxes(made)[0], colour_image(planar=planar)) == 0
    assert scu.print()[0] == 0
    wait_until(lambda: len(_pages(node) - before) == 1)
    with pypdfium2.PdfDocument((_pages(node) - before).pop()) as document:
        [image] = [each for each in document[0].get_objects() if each.type == 3]
        pixels = image.get_bitmap().to_numpy()
    assert pixels.shape == (20, 30, 3)
    corners = [tuple(int(value) for value in pixels[row, column][::-1]) for row, column in ((0, 0), (0, 29), (19, 0))]
    assert corners == [(0, 0, 0), (255, 0, 0), (0, 255, 0)]


def test_all_films_of_a_session(node: Node, scu: PrintSCU) -> None:
    before = _pages(node)
    assert scu.create_session(NumberOfCopies=2)[0] == 0
    for number in (1, 2):
        code, made = scu.create_box(f"1.2.2.{number}", ImageDisplayFormat="STANDARD\\1,1")
        assert code == 0
        assert scu.set_image(_boxes(made)[0], gray_image()) == 0
    assert scu.print(BasicFilmBox, "1.2.2.1")[0] == status.NO_SUCH_INSTANCE  # not the last one
    assert scu.print(BasicFilmSession, "1.2.1")[0] == 0
    wait_until(lambda: len(_pages(node) - before) == 4)


def test_what_was_printed_does_not_change(node: Node, scu: PrintSCU) -> None:
    assert scu.create_session()[0] == 0
    _, made = scu.create_box(ImageDisplayFormat="STANDARD\\1,1")
    assert scu.set_image(_boxes(made)[0], gray_image()) == 0
    assert scu.print()[0] == 0
    assert scu.set_image(_boxes(made)[0], None) == 0
    assert scu.print()[0] == status.EMPTY_FILM_BOX_PAGE


STATUSES = (
    ("a box of no session", status.INVALID_ATTRIBUTE_VALUE,
     lambda scu: scu.create_box(ImageDisplayFormat="STANDARD\\1,1")[0]),
    ("without a format", status.MISSING_ATTRIBUTE, lambda scu: _in_session(scu)),
    ("an empty format", status.MISSING_ATTRIBUTE_VALUE, lambda scu: _in_session(scu, ImageDisplayFormat="")),
    ("an unknown format", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _in_session(scu, ImageDisplayFormat="SLIDE")),
    ("too many boxes", status.INVALID_ATTRIBUTE_VALUE,
     lambda scu: _in_session(scu, ImageDisplayFormat="STANDARD\\17,16")),
    ("16 x 16", status.SUCCESS, lambda scu: _in_session(scu, ImageDisplayFormat="STANDARD\\16,16")),
    ("another size", status.INVALID_ATTRIBUTE_VALUE,
     lambda scu: _in_session(scu, ImageDisplayFormat="STANDARD\\1,1", FilmSizeID="8INX10IN")),
    ("too many copies", status.ATTRIBUTE_VALUE_OUT_OF_RANGE, lambda scu: scu.create_session(NumberOfCopies=21)[0]),
    ("a strange priority", status.INVALID_ATTRIBUTE_VALUE, lambda scu: scu.create_session(PrintPriority="NOW")[0]),
    ("memory", status.MEMORY_ALLOCATION_NOT_SUPPORTED, lambda scu: scu.create_session(MemoryAllocation=100)[0]),
    ("an attribute that is not known", status.ATTRIBUTE_LIST_ERROR, lambda scu: scu.create_session(PatientID="1")[0]),
    ("no film box", status.NO_FILM_BOX, lambda scu: (scu.create_session(), scu.print(BasicFilmSession, "1.2.1")[0])[1]),
    ("another action", status.NO_SUCH_ACTION,
     lambda scu: (_in_session(scu, ImageDisplayFormat="STANDARD\\1,1"), scu.print(action=2)[0])[1]),
    ("an empty film", status.EMPTY_FILM_BOX_PAGE,
     lambda scu: (_in_session(scu, ImageDisplayFormat="STANDARD\\1,1"), scu.print()[0])[1]),
    ("signed pixels", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _image(scu, gray_image(PixelRepresentation=1))),
    ("16 bits", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _image(scu, gray_image(bits=16))),
    ("no rows", status.MISSING_ATTRIBUTE_VALUE, lambda scu: _image(scu, gray_image(Rows=None))),
    ("too few pixels", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _image(scu, gray_image(Rows=600))),
    ("too many pixels", status.IMAGE_LARGER_THAN_BOX, lambda scu: _image(scu, gray_image(Rows=20000, Columns=20000))),
    ("a colour image", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _image(scu, colour_image())),
    ("another position", status.INVALID_ATTRIBUTE_VALUE, lambda scu: _image(scu, gray_image(), position=2)),
    ("too wide, cropped", status.IMAGE_CROPPED,
     lambda scu: _image(scu, gray_image(), RequestedImageSize="500", RequestedDecimateCropBehavior="CROP")),
    ("too wide, smaller", status.IMAGE_DEMAGNIFIED, lambda scu: _image(scu, gray_image(), RequestedImageSize="500")),
    ("too wide, refused", status.IMAGE_LARGER_THAN_BOX,
     lambda scu: _image(scu, gray_image(), RequestedImageSize="500", RequestedDecimateCropBehavior="FAIL")),
    ("not magnified, too large", status.IMAGE_LARGER_THAN_BOX,
     lambda scu: _image(scu, gray_image(10, 6000), MagnificationType="NONE")),
    ("a LUT of no kind", status.MISSING_ATTRIBUTE, lambda scu: scu.create_lut()),
    ("a LUT shape", status.SUCCESS, lambda scu: scu.create_lut(PresentationLUTShape="LIN OD")),
    ("a strange LUT shape", status.INVALID_ATTRIBUTE_VALUE, lambda scu: scu.create_lut(PresentationLUTShape="INVERSE")),
    ("a job of nobody", status.NO_SUCH_INSTANCE, lambda scu: scu.get_job("1.2.9")[0]),
    ("the printer", status.SUCCESS, lambda scu: scu.get_printer()[0]),
)  # fmt: skip


def _in_session(scu: PrintSCU, **attributes: object) -> int:
    assert scu.create_session()[0] == 0
    return scu.create_box(**attributes)[0]


def _image(scu: PrintSCU, image, position: int = 1, **attributes: object) -> int:  # noqa: ANN001
    assert scu.create_session()[0] == 0
    _, made = scu.create_box(ImageDisplayFormat="STANDARD\\1,1")
    return scu.set_image(_boxes(made)[0], image, position, **attributes)


@pytest.mark.parametrize(("expected", "do"), [row[1:] for row in STATUSES], ids=[row[0] for row in STATUSES])
def test_statuses(scu: PrintSCU, expected: int, do) -> None:  # noqa: ANN001
    assert f"{do(scu):04X}" == f"{expected:04X}"


def test_a_printer_without_room(node: Node) -> None:
    with PrintSCU(node.address._replace(ae_title="FULL")) as scu:
        assert scu.get_printer()[1].PrinterStatus == "WARNING"
        assert _in_session(scu, ImageDisplayFormat="STANDARD\\1,1") == 0
        assert scu.print()[0] == status.EMPTY_FILM_BOX_PAGE
        assert scu.print()[0] == status.FILM_BOX_QUEUE_FULL
        assert scu.print(BasicFilmSession, "1.2.1")[0] == status.FILM_SESSION_QUEUE_FULL


def test_a_printer_of_others(node: Node) -> None:
    with PrintSCU(node.address._replace(ae_title="OWN")) as scu:
        assert scu.create_session()[0] == status.NOT_AUTHORISED


def test_the_printer_tells_of_itself(scu: PrintSCU) -> None:
    _, told = scu.get_printer()
    assert (told.PrinterStatus, told.PrinterName) == ("NORMAL", "film")
    _, told = scu.get_printer([0x21100030])
    assert [element.keyword for element in told if element.keyword != "SpecificCharacterSet"] == ["PrinterName"]


def test_a_printer_that_fails_is_reported_to_who_prints_on_it(node: Node, scu: PrintSCU) -> None:
    folder = node.data / "films"
    assert scu.get_printer()[1].PrinterStatus == "NORMAL"
    with closing(open_node(ConfigFile(node.config))) as opened:
        printer = opened.config.current.printer("film")
        assert printer is not None
        folder.rename(node.data / "aside")
        try:
            folder.write_text("no folder")
            look(opened, printer)
            assert scu.create_session()[0] == 0
            wait_until(lambda: bool(scu.events))
            assert scu.events[0][0] == 2
            assert scu.events[0][1].PrinterStatusInfo == "CHECK PRINTER"
            assert scu.get_printer()[1].PrinterStatus == "WARNING"
        finally:
            folder.unlink(missing_ok=True)
            (node.data / "aside").rename(folder)
            look(opened, printer)
    assert scu.get_printer()[1].PrinterStatus == "NORMAL"
    wait_until(lambda: [event for event, _ in scu.events] == [2, 1])
