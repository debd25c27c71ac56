"""Basic Structured Displays are printed with the layout of their image boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from medserver.dicom.uids import uid_of
from medserver.errors import ObjectNotReadable
from medserver.printing.displays import _grid
from medserver.printing.film import film_of
from medserver.printing.pictures import STRUCTURED_DISPLAY
from medserver.processing.requests import Reference
from medserver.workitems.follow_ups import PRINT_WORKITEM
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.conftest import Shop
from tests.printing.test_pulling import (  # noqa: F401 - fixtures
    PATIENCE_S,
    dcmtk_programs,
    files,
    gateway_of,
    pages_of,
    server,
    wait_until_forgotten,
)
from tests.printing.test_workitems import (
    ONE_PRINTER,
    STUDY,
    UID,
    ask,
    damage,
    films,
    frame_number_text,
    reason,
    row,
    store,
    work,
)
from tests.processing import phantoms
from tests.processing.rules_node import receive

Box = tuple[float, float, float, float]


def item(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def display(boxes: Sequence[Box], uids: Sequence[str], uid: str = "2.25.900", **of_images: object) -> Dataset:
    """Return a display whose boxes have left, top, right and bottom edges, y from below as the standard has it."""
    made = phantoms.common(STRUCTURED_DISPLAY, "OT", series=9)
    made.SOPInstanceUID, made.ContentLabel, made.ContentDescription = uid, "TWO", "Before and after"
    made.InstanceNumber, made.ContentDate, made.ContentTime = 1, "20260102", "030405"
    made.PresentationCreationDate, made.PresentationCreationTime = "20260102", "030405"
    made.NumberOfScreens = 1
    made.StructuredDisplayImageBoxSequence = []
    for number, (edges, image) in enumerate(zip(boxes, uids, strict=True), 1):
        box = item(
            ImageBoxNumber=number, DisplayEnvironmentSpatialPosition=list(edges), ImageBoxLayoutType="SINGLE",
            StudyInstanceUID=STUDY, SeriesInstanceUID=f"{phantoms.UID}.1",
        )  # fmt: skip
        named = item(ReferencedSOPClassUID=phantoms.CT, ReferencedSOPInstanceUID=image, **of_images)
        box.ReferencedImageSequence = [named] if image else []
        made.StructuredDisplayImageBoxSequence.append(box)
    return made


SIDE_BY_SIDE: Sequence[Box] = ((0.5, 1.0, 1.0, 0.0), (0.0, 1.0, 0.5, 0.0))


def image(number: int) -> str:
    return f"{phantoms.UID}.1.{number}"


@pytest.fixture
def shop(make_shop) -> Shop:
    one = make_shop(ONE_PRINTER)
    store(one)
    return one


def named(uid: str = "2.25.900") -> Reference:
    return Reference(STUDY, f"{phantoms.UID}.9", ((STRUCTURED_DISPLAY, uid),))


def test_the_layout_is_that_of_the_display(shop: Shop) -> None:
    receive(shop.node, display(SIDE_BY_SIDE, [image(2), image(1)]))
    ask(shop, named())
    work(shop)
    [film] = films(shop)
    assert film.image_display_format == "STANDARD\\2,1"
    shown = [(box.image_box_position, box.image.sop_instance_uid) for box in film.boxes]
    assert shown == [(1, image(1)), (2, image(2))]
    assert "Before and after" in film.heading


def test_another_layout_may_be_asked_for(shop: Shop) -> None:
    receive(shop.node, display(SIDE_BY_SIDE, [image(2), image(1)]))
    ask(shop, named(), layout="1,1")
    work(shop)
    assert [film.boxes[0].image.sop_instance_uid for film in films(shop)] == [image(2), image(1)]


@pytest.mark.parametrize(
    "boxes, layout, positions",
    [
        ([(0, 0, 1, 1)], "STANDARD\\1,1", [1]),
        ([(0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)], "STANDARD\\2,2", [1, 4]),
        ([(0, 0.5, 1, 1), (0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5)], "ROW\\2,1", [3, 1, 2]),
        ([(0, 0, 1 / 3, 1), (1 / 3, 0, 2 / 3, 1), (2 / 3 + 0.004, 0, 1, 1)], "STANDARD\\3,1", [1, 2, 3]),
    ],
)
def test_rectangles_become_a_display_format(boxes: Sequence[Box], layout: str, positions: list[int]) -> None:
    assert _grid(boxes) == (layout, positions)


def test_boxes_on_each_other() -> None:
    with pytest.raises(ObjectNotReadable):
        _grid([(0, 0, 1, 1), (0.01, 0, 1, 1)])


@pytest.mark.parametrize(
    "made, code_value",
    [
        (display(SIDE_BY_SIDE, ["9.9", image(1)]), "110523"),
        (display(SIDE_BY_SIDE, ["", ""]), "110521"),
        (display([(0, 0, 1, 1), (0, 0, 1, 1)], [image(1), image(2)]), "110521"),
        (display([(0, 0, 7, 1)], [image(1)]), "110521"),
        (display([], []), "110521"),
    ],
)
def test_what_cannot_be_printed(shop: Shop, made: Dataset, code_value: str) -> None:
    receive(shop.node, made)
    ask(shop, named())
    work(shop)
    assert (row(shop).state, reason(shop)[0]) == ("CANCELED", code_value)


@pytest.mark.parametrize(
    "number, code_value",
    [("x", "110521"), ("1.5", "110521"), ("0", "110521"), ("-1", "110521"), ("nan", "110521"), ("1e400", "110521"),
     ("2", "110522"), ("99999999999", "110522")],
)  # fmt: skip
def test_frames_that_cannot_be(shop: Shop, number: str, code_value: str) -> None:
    """Another frame than the one that is named is not printed for it, and nothing is tried for ever."""
    made = display(SIDE_BY_SIDE, [image(2), image(1)])
    made.StructuredDisplayImageBoxSequence[0].ReferencedImageSequence[0].add(frame_number_text(number))
    receive(shop.node, made)
    ask(shop, named())
    work(shop)
    assert (row(shop).state, reason(shop)[0], films(shop)) == ("CANCELED", code_value, [])


def test_a_display_that_shows_what_is_no_image(shop: Shop) -> None:
    receive(shop.node, display(SIDE_BY_SIDE, [image(2), image(1)], uid="2.25.901"))
    receive(shop.node, display(SIDE_BY_SIDE, ["2.25.901", image(1)]))
    ask(shop, named())
    work(shop)
    assert (row(shop).state, reason(shop)[0], films(shop)) == ("CANCELED", "110522", [])


def test_a_damaged_display(shop: Shop) -> None:
    receive(shop.node, display(SIDE_BY_SIDE, [image(2), image(1)]))
    damage(shop, "2.25.900")
    ask(shop, named())
    work(shop, PRINT_WORKITEM)
    assert (row(shop).state, reason(shop)[0], films(shop)) == ("CANCELED", "110521", [])


def stored(node: Node, made: Dataset, called_ae_title: str) -> int:
    """Send a display, and return the status."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    peer = AE("WS1")
    peer.add_requested_context(STRUCTURED_DISPLAY, ExplicitVRLittleEndian)
    association = peer.associate(node.address.host, node.address.port, ae_title=called_ae_title)
    try:
        return association.send_c_store(made).Status
    finally:
        association.release()


def test_a_display_that_is_sent_to_a_printer_is_printed(
    server: Node, make_directory, files: list[Path]  # noqa: F811
) -> None:
    """C-STORE with the AE title of the printer: its images are fetched from where the display says, and forgotten."""
    gateway = gateway_of(make_directory("display"), server, ae_title="FILM1").start()
    try:
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files[:2]]
        uid = generate_uid()
        made = display(SIDE_BY_SIDE, [one.SOPInstanceUID for one in headers], uid, RetrieveAETitle="SERVER")
        assert stored(gateway, made, "FILM1") == 0x0000
        wait_until(lambda: len(pages_of(gateway)) == 1, deadline_s=PATIENCE_S, what="the film")
        wait_until_forgotten(gateway, 1)  # the display itself was sent, and stays
        # By the AE title of the node it is stored, and nothing more.
        other = display(SIDE_BY_SIDE, [one.SOPInstanceUID for one in headers], generate_uid())
        assert stored(gateway, other, "GATEWAY") == 0x0000
        listed = gateway.cli("workitem", "list").stdout
        assert listed.count("COMPLETED") == 1 and "SCHEDULED" not in listed
    finally:
        gateway.kill()


def test_film_of_display_is_read(shop: Shop) -> None:
    receive(shop.node, display(SIDE_BY_SIDE, [image(2), image(1)]))
    ask(shop, named())
    work(shop)
    [film] = shop.node.index.films.of_request(UID)
    assert film_of(film.content).image_display_format == "STANDARD\\2,1"
    assert film.uid == uid_of("film", UID, "1")
