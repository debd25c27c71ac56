"""Films on DICOM imagers, of which dcmprscp is one: what they get, what they answer, and what becomes of the film."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicColorPrintManagementMeta,
    BasicGrayscalePrintManagementMeta,
)

from medserver.printing.density import FILM_VIEWING, density_of
from medserver.printing.film import Annotation, Film, ImageBox, PresentationLut, ReceivedImage
from tests.peers import Address, requires
from tests.peers.imagers import DcmPrintSCP, PythonImager
from tests.peers.process import wait_until
from tests.printing.conftest import Shop

TWO = Film(
    image_display_format="STANDARD\\1,2",
    boxes=(ImageBox(1, ReceivedImage("1", 20, 30)), ImageBox(2, ReceivedImage("2", 20, 30))),
)
ONE = Film(boxes=(ImageBox(1, ReceivedImage("1", 20, 30)),))


@pytest.fixture
def imager() -> Iterator[PythonImager]:
    one = PythonImager()
    yield one
    one.stop()


def _shop(make_shop: Callable[..., Shop], address: Address, *options: str) -> Shop:
    lines = "\n".join(options)
    return make_shop(
        f"[node]\ndata = data\n[ae IMAGER]\nae_title = {address.ae_title}\naddress = 127.0.0.1:{address.port}\n"
        f"allow = echo\n[printer FILM]\noutput = dicom\ndestination = IMAGER\n{lines}\n"
    )


def _work(shop: Shop) -> None:
    shop.work()
    shop.clock.advance(120)


def _ended(shop: Shop) -> str:
    def state() -> str:
        _work(shop)
        return shop.row().state if shop.row().ended_at else ""

    return wait_until(state, what="the end of the film")


@pytest.mark.parametrize(("profile", "film"), [("IHEFULL", TWO), ("IHERESTRICTED", ONE)])
def test_a_film_on_the_imager_of_dcmtk(
    profile: str, film: Film, make_shop: Callable[..., Shop], tmp_path: Path
) -> None:
    requires("dcmtk")
    peer = DcmPrintSCP(tmp_path / profile, profile)
    try:
        shop = _shop(make_shop, peer.address)
        shop.request(film=replace(film, film_session_label="of a test"))
        assert _ended(shop) == "DONE"
        wait_until(lambda: peer.films(), what="the film")
        [printed] = peer.films()
        assert printed.FilmBoxContentSequence[0].ImageDisplayFormat == film.image_display_format
        images = peer.hardcopies()
        assert len(images) == len(film.boxes)
        expected = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(20, 30)
        assert all(np.array_equal(each.pixel_array, expected) for each in images)
    finally:
        peer.server.kill()


def test_gray_of_twelve_bits(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    """What goes through a Presentation LUT of 12 bits stays so; the table is applied: the imager gets P-values."""
    table = PresentationLut("", 0, 12, tuple(range(4095, -1, -16)))
    shop = _shop(make_shop, imager.address)
    shop.request(film=replace(ONE, presentation_lut=table))
    _work(shop)
    [film] = imager.printed
    [box] = film["image box"]
    [pixels] = box.BasicGrayscaleImageSequence
    assert (pixels.BitsAllocated, pixels.BitsStored, pixels.HighBit) == (16, 12, 11)
    sent = np.frombuffer(pixels.PixelData, "<u2")
    assert (sent[0], sent[255], sent[256]) == (4095, 15, 4095)
    assert film["lut"][0].PresentationLUTShape == "IDENTITY"


@pytest.mark.parametrize("has_luts", [True, False])
def test_linear_densities(has_luts: bool, make_shop: Callable[..., Shop]) -> None:
    """An imager that knows no Presentation LUT gets the P-values of the densities; it would take these for P-values."""
    imager = PythonImager(PythonImager.ALL if has_luts else (BasicGrayscalePrintManagementMeta,))
    try:
        shop = _shop(make_shop, imager.address)
        shop.request(film=replace(ONE, presentation_lut=PresentationLut("LIN OD"), min_density=20, max_density=300))
        _work(shop)
        [film] = imager.printed
        [pixels] = film["image box"][0].BasicGrayscaleImageSequence
        if has_luts:
            assert film["lut"][0].PresentationLUTShape == "LIN OD"
            assert pixels.PixelData[:256] == bytes(range(256))
            return
        assert pixels.BitsStored == 12
        values = np.frombuffer(pixels.PixelData, "<u2")[:256]
        wanted = density_of(12, PresentationLut(), FILM_VIEWING)[values]
        assert np.abs(wanted - np.linspace(3.0, 0.2, 256)).max() < 0.02
    finally:
        imager.stop()


@pytest.mark.parametrize("is_colour", [True, False])
def test_colour(is_colour: bool, make_shop: Callable[..., Shop]) -> None:
    """An imager without colours gets gray."""
    metas = (BasicGrayscalePrintManagementMeta, BasicColorPrintManagementMeta)
    imager = PythonImager(metas if is_colour else metas[:1])
    try:
        shop = _shop(make_shop, imager.address)
        image = ReceivedImage("1", 10, 20, 3, 8, "RGB")
        shop.request(film=Film(is_colour=True, boxes=(ImageBox(1, image),)))
        assert _ended(shop) == "DONE"
        [box] = imager.printed[0]["image box"]
        sent = np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(200, 3)
        if is_colour:
            [pixels] = box.BasicColorImageSequence
            assert (pixels.PhotometricInterpretation, pixels.PlanarConfiguration) == ("RGB", 1)
            assert pixels.PixelData == sent.T.tobytes()
        else:
            [pixels] = box.BasicGrayscaleImageSequence
            assert len(pixels.PixelData) == 200
        assert shop.row().reference == "no Print Job"
    finally:
        imager.stop()


def test_its_print_job_is_followed(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    shop = _shop(make_shop, imager.address)
    shop.request()
    _work(shop)
    [uid] = imager.jobs
    assert (shop.row().state, shop.row().status_info, shop.row().reference) == ("PRINTING", "QUEUED", uid)
    imager.jobs[uid] = ("PRINTING", "NORMAL")
    _work(shop)
    assert (shop.row().state, shop.row().status_info) == ("PRINTING", "NORMAL")
    imager.answers = {("N-GET", "Printer"): 0x0110}
    _work(shop)
    assert (shop.row().state, shop.row().status_info) == ("PRINTING", "PRINTER DOWN")
    imager.answers = {}
    imager.jobs[uid] = ("FAILURE", "FILM JAM")
    _work(shop)
    assert (shop.row().state, shop.row().status_info) == ("FAILURE", "FILM JAM")


def test_only_what_its_entry_lists_is_sent(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    film = replace(ONE, film_session_label="label", border_density="WHITE", max_density=300)
    shop = _shop(make_shop, imager.address, "attributes = FilmSizeID, MaxDensity")
    shop.request(film=film)
    _work(shop)
    [printed] = imager.printed
    assert {each.keyword for each in printed["film box"][0]} == {
        "ImageDisplayFormat", "FilmSizeID", "MaxDensity", "ReferencedFilmSessionSequence",
    }  # fmt: skip
    assert not printed["session"][0]
    assert "lut" not in printed
    assert {each.keyword for each in printed["image box"][0]} == {"ImageBoxPosition", "BasicGrayscaleImageSequence"}


def test_a_label_in_other_letters_is_no_reason_to_refuse_a_film(make_shop: Callable[..., Shop], tmp_path: Path) -> None:
    """dcmprscp takes no Specific Character Set, which is no attribute of a film session."""
    requires("dcmtk")
    peer = DcmPrintSCP(tmp_path / "IHEFULL", "IHEFULL")
    try:
        shop = _shop(make_shop, peer.address)
        shop.request(film=replace(ONE, film_session_label="CT Abdömen 山田"))
        assert _ended(shop) == "DONE"
        assert "FilmSessionLabel" in peer.server.output
        assert "[CT Abdomen ??]" in peer.server.output
    finally:
        peer.server.kill()


def test_annotations(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    """Texts without an annotation box are left out; warnings stand above the first image, whatever the imager has."""
    texts = (Annotation(1, "first"), Annotation(2, "second"), Annotation(3, "no place"))
    film = replace(TWO, annotations=texts, annotation_display_format_id="1", warnings=("TWO PATIENTS",))
    shop = _shop(make_shop, imager.address)
    shop.request(film=film)
    _work(shop)
    [printed] = imager.printed
    assert [each.TextString for each in printed["annotation"]] == ["first", "second"]
    first, second = (each.BasicGrayscaleImageSequence[0] for each in printed["image box"])
    above = first.Rows - second.Rows
    assert (second.Rows, above % 12) == (20, 0) and above > 0
    assert sum(first.PixelData[: above * 30]) > 100 * above * 30  # dark letters on white
    assert first.PixelData[above * 30 :] == second.PixelData


@pytest.mark.parametrize("has_boxes", [True, False])
def test_texts_that_annotation_boxes_do_not_take_stand_above_the_first_image(
    has_boxes: bool, make_shop: Callable[..., Shop]
) -> None:
    """An annotation box knows no Specific Character Set, and 64 letters; many imagers have none."""
    texts = tuple(Annotation(number, text) for number, text in enumerate(("plain", "山田", "long " * 14), start=1))
    imager = PythonImager(PythonImager.ALL if has_boxes else (BasicGrayscalePrintManagementMeta,))
    try:
        shop = _shop(make_shop, imager.address)
        image = ReceivedImage("1", 3, 200)
        shop.request(film=Film(boxes=(ImageBox(1, image),), annotations=texts, annotation_display_format_id="1"))
        _work(shop)
        [printed] = imager.printed
        assert [each.TextString for each in printed.get("annotation", [])] == (["plain"] if has_boxes else [])
        [box] = printed["image box"]
        rows = box.BasicGrayscaleImageSequence[0].Rows - 3
        assert rows // 12 >= (3 if has_boxes else 4)
    finally:
        imager.stop()


REFUSALS = (
    ("N-CREATE", "session", 0x0106), ("N-CREATE", "film box", 0x0106), ("N-CREATE", "film box", 0x0120),
    ("N-CREATE", "lut", 0x0110), ("N-SET", "image box", 0xC603), ("N-ACTION", "film box", 0xC602),
)  # fmt: skip
WARNINGS = (
    ("N-CREATE", "session", 0x0107), ("N-CREATE", "film box", 0x0116), ("N-SET", "image box", 0xB604),
    ("N-ACTION", "film box", 0xB603), ("N-DELETE", "session", 0x0110),
)  # fmt: skip


def test_what_it_refuses_waits_and_is_no_reprint(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    shop = _shop(make_shop, imager.address)
    shop.request()
    for operation, of, code in REFUSALS:
        imager.answers = {(operation, of): code}
        _work(shop)
        row = shop.row()
        assert (row.state, row.status_info, row.handovers) == ("PENDING", "CHECK PRINTER", 0)
        assert f"0x{code:04X}" in row.detail
    imager.answers = {}
    _work(shop)
    assert (shop.row().state, shop.row().handovers, len(imager.printed)) == ("PRINTING", 1, 1)
    assert imager.printed[0]["image box"][-1].BasicGrayscaleImageSequence[0].Rows == 20


def test_warnings_are_noted_and_it_is_printed(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    shop = _shop(make_shop, imager.address)
    for number, (operation, of, code) in enumerate(WARNINGS, start=1):
        imager.answers = {(operation, of): code}
        shop.request(f"1.2.{number}")
        _work(shop)
        row = shop.row(f"1.2.{number}")
        assert (row.state, row.handovers, len(imager.printed)) == ("PRINTING", 1, number)


def test_image_boxes_that_are_missing(make_shop: Callable[..., Shop]) -> None:
    imager = PythonImager(boxes=1)
    try:
        shop = _shop(make_shop, imager.address)
        shop.request(film=TWO)
        _work(shop)
        assert "the imager has 1 image boxes for STANDARD\\1,2, and 2 are needed" in shop.row().detail
        assert (shop.row().state, shop.row().handovers, imager.printed) == ("PENDING", 0, [])
    finally:
        imager.stop()


def test_one_that_is_out_of_film(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    imager.printer_status = ("FAILURE", "SUPPLY EMPTY")
    shop = _shop(make_shop, imager.address)
    shop.request()
    _work(shop)
    assert (shop.row().state, shop.row().status_info) == ("PENDING", "SUPPLY EMPTY")
    imager.printer_status = ("WARNING", "SUPPLY LOW")
    _work(shop)
    assert shop.row().state == "PRINTING"


def test_one_that_breaks_off_when_it_is_told_to_print(make_shop: Callable[..., Shop], imager: PythonImager) -> None:
    """It may have printed: the film comes with a mark, and the row and the log tell of it."""

    def break_off() -> None:
        for association in imager.associations():
            association.abort()

    imager.on_action = break_off
    shop = _shop(make_shop, imager.address)
    shop.request()
    _work(shop)
    assert (shop.row().state, shop.row().handovers, shop.row().reference) == ("PRINTING", 1, "")
    imager.on_action = lambda: None
    _work(shop)
    assert (shop.row().state, shop.row().handovers) == ("PRINTING", 2)
    first, second = (each["image box"][0].BasicGrayscaleImageSequence[0] for each in imager.printed)
    assert first.Rows == 20 < second.Rows
