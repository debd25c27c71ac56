"""What waits in a print session: images in a file of bounded size, in the order of bytes that they are printed in."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from medserver.dicom.json_model import JSON
from medserver.errors import InvalidAttributeValue, NoPrintMemory
from medserver.printing import sessions
from medserver.printing.attributes import number
from medserver.printing.film import film_of
from medserver.printing.fitting import requested_size_mm
from medserver.printing.instances import FilmBoxInstance
from medserver.printing.pixels import CHUNK_BYTES, PixelFile, ReceivedPixels, described, pixel_chunks
from medserver.printing.remarks import Remark
from medserver.printing.sessions import PrintSession
from medserver.workitems.content import data_set
from tests.printing.conftest import Shop


def _received(
    pixels: np.ndarray, vr: str = "OW", *, is_big_endian: bool = False, **attributes: object
) -> ReceivedPixels:
    rows, columns = pixels.shape[-2:] if pixels.ndim < 3 or pixels.shape[0] == 3 else pixels.shape[:2]
    samples = 3 if pixels.ndim == 3 else 1
    bits = 8 if pixels.dtype == np.uint8 else 12
    raw = pixels.astype(">u2" if is_big_endian and bits > 8 else pixels.dtype).tobytes()
    raw += bytes(len(raw) % 2)
    if is_big_endian and bits == 8 and vr == "OW":
        raw = np.frombuffer(raw, ">u2").astype("<u2").tobytes()
    file = tempfile.TemporaryFile()
    file.write(b"head" + raw)
    what = {
        "SamplesPerPixel": samples, "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "Rows": rows, "Columns": columns, "BitsAllocated": 8 if bits == 8 else 16, "BitsStored": bits,
        "HighBit": bits - 1, "PixelRepresentation": 0,
    }  # fmt: skip
    return ReceivedPixels(data_set(**what | attributes), file, 4, len(raw), is_big_endian, vr)


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("is_big_endian", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (700, 1601)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_pixels(vr: str, is_big_endian: bool, shape: tuple[int, int], dtype: type) -> None:
    pixels = (np.arange(shape[0] * shape[1]) % 251).reshape(shape).astype(dtype)
    if dtype is np.uint16:
        vr = "OW"
    image = _received(pixels, vr, is_big_endian=is_big_endian)
    kept = b"".join(pixel_chunks(image, described(image, 1, is_colour=False)))
    assert kept == pixels.astype("<u2" if dtype is np.uint16 else np.uint8).tobytes()


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("is_big_endian", [False, True])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("shape", [(3, 5), (701, 1601)])
def test_colours(vr: str, is_big_endian: bool, planar: int, shape: tuple[int, int]) -> None:
    pixels = (np.arange(shape[0] * shape[1] * 3) % 251).reshape((*shape, 3)).astype(np.uint8)
    sent = pixels.transpose(2, 0, 1) if planar else pixels
    image = _received(
        sent, vr, is_big_endian=is_big_endian, PlanarConfiguration=planar, Rows=shape[0], Columns=shape[1]
    )
    chunks = list(pixel_chunks(image, described(image, 1, is_colour=True)))
    assert b"".join(chunks) == pixels.tobytes()
    assert max(map(len, chunks)) <= 3 * CHUNK_BYTES


def test_the_room_of_an_image_is_used_again(tmp_path: Path) -> None:
    file = PixelFile(tmp_path, size_max_bytes=100)
    first, second = file.put([b"a" * 40], 40), file.put([b"b" * 40], 40)
    with pytest.raises(NoPrintMemory, match="more than 100 bytes"):
        file.put([b"c" * 30], 30)
    file.remove(first)
    third = file.put([b"c" * 20, b"d" * 10], 30)
    assert (third, b"".join(file.get(third)), b"".join(file.get(second))) == (0, b"c" * 20 + b"d" * 10, b"b" * 40)
    file.remove(second)
    file.remove(third)
    assert file.put([b"e" * 100], 100) == 0
    file.close()


def _film(session: PrintSession, uid: str = "1.2.2") -> FilmBoxInstance:
    if session.film_session is None:
        session.create_film_session("1.2.1", {})
    reference = data_set(ReferencedSOPInstanceUID="1.2.1")
    content = data_set(ImageDisplayFormat=["STANDARD", "1,1"], ReferencedFilmSessionSequence=[reference])
    return session.create_film_box(uid, content, is_colour=False, has_annotations=True)[0]


def _session(shop: Shop, **changes: object) -> PrintSession:
    printer = shop.node.config.current.printer("FILM")
    assert printer is not None
    return PrintSession(shop.node, replace(printer, **changes), "WS1")


def _show(session: PrintSession, box: FilmBoxInstance, content: JSON, image: ReceivedPixels | None) -> None:
    session.set_image_box(box.image_boxes[0].uid, content, image, is_colour=False, erases=False)


def test_an_image_takes_the_room_of_the_one_before_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PixelFile.__init__, "__defaults__", (5000, 0))
    session = _session(shop)
    box = _film(session)
    pixels = np.zeros((40, 50), np.uint8)
    for _ in range(10):
        _show(session, box, {}, _received(pixels))
    second = _film(session, "1.2.22")
    _show(session, second, {}, _received(pixels))
    with pytest.raises(NoPrintMemory):  # C605
        _show(session, _film(session, "1.2.23"), {}, _received(pixels))
    session.delete_film_box("1.2.23")
    session.delete_film_box("1.2.22")
    _show(session, box, {}, _received(pixels))
    session.close()


def test_what_is_set_of_an_image_does_not_outlive_it(shop: Shop) -> None:
    session = _session(shop)
    box = _film(session)
    pixels = np.zeros((4, 6), np.uint8)
    _show(session, box, data_set(Polarity="REVERSE"), _received(pixels))
    _show(session, box, data_set(MagnificationType="NONE"), None)
    queued = session.print_film_box("1.2.2")
    [row] = shop.node.index.films.of_request(queued.print_job_uid)
    assert '"polarity": "REVERSE"' in row.content and '"magnification_type": "NONE"' in row.content
    _show(session, box, {}, _received(pixels))
    [row] = shop.node.index.films.of_request(session.print_film_box("1.2.2").print_job_uid)
    assert "polarity" not in row.content
    session.close()


def test_no_film_of_a_session_is_queued_if_not_all_have_room(shop: Shop) -> None:
    session = _session(shop, films_max=3)
    session.create_film_session("1.2.1", data_set(NumberOfCopies=2))
    for uid in ("1.2.2", "1.2.22"):
        _show(session, _film(session, uid), {}, _received(np.zeros((4, 6), np.uint8)))
    with pytest.raises(sessions.FilmSessionQueueFull):
        session.print_film_session("1.2.1")
    assert shop.node.index.films.counts() == {}


def test_films_for_whose_images_there_is_no_space(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """C601, C602; what was written of the films before is removed: who tries again and again would fill the volume."""
    session = _session(shop)
    for uid in ("1.2.2", "1.2.22"):
        _show(session, _film(session, uid), {}, _received(np.zeros((1000, 1000), np.uint8)))
    volume = shop.node.primary_volume
    volume.films.put("1.2.99", [b""])  # it makes the folder
    left = [1_500_000]

    def require_space(path: str, size_bytes: int) -> None:
        left[0] -= size_bytes
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "full", path)

    monkeypatch.setattr(volume._files, "require_space", require_space)
    with pytest.raises(sessions.FilmSessionQueueFull, match="cannot be kept"):
        session.print_film_session("1.2.1")
    with pytest.raises(sessions.PrintQueueFull, match="cannot be kept"):
        session.print_film_box("1.2.22")
    assert (shop.node.index.films.counts(), volume.films.names()) == ({}, ["1.2.99"])
    left[0] = 10_000_000
    session.print_film_session("1.2.1")
    assert shop.node.index.films.counts() == {("FILM", "PENDING"): 2}
    session.close()


def test_films_on_a_volume_that_is_away(shop: Shop) -> None:
    session = _session(shop)
    _show(session, _film(session), {}, _received(np.zeros((4, 6), np.uint8)))
    shop.node.primary_volume.detach("it is away")
    with pytest.raises(sessions.PrintQueueFull, match="it is away"):
        session.print_film_box("1.2.2")
    shop.node.primary_volume.attach(None)
    session.print_film_box("1.2.2")
    assert shop.node.index.films.counts() == {("FILM", "PENDING"): 1}
    session.close()


def test_copies_are_collated(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    session = _session(shop)
    session.create_film_session("1.2.1", data_set(NumberOfCopies=2))
    for columns in (5, 6):
        box = _film(session, f"1.2.2{columns}")
        _show(session, box, {}, _received(np.zeros((4, columns), np.uint8)))
    queued = session.print_film_session("1.2.1")
    rows = shop.node.index.films.of_request(queued.print_job_uid)
    assert [film_of(row.content).boxes[0].image.columns for row in rows] == [5, 6, 5, 6]
    assert {row.copies for row in rows} == {1} and queued.remarks == frozenset()
    monkeypatch.setattr(sessions, "COLLATED_FILMS_MAX", 3)
    queued = session.print_film_session("1.2.1")
    assert [row.copies for row in shop.node.index.films.of_request(queued.print_job_uid)] == [2, 2]
    assert queued.remarks == {Remark.NOT_COLLATED}
    session.close()


def test_densities_of_the_printer(shop: Shop) -> None:
    session = _session(shop)
    box = _film(session)
    _, remarks = session.set_film_box("1.2.2", data_set(MinDensity=5, MaxDensity=320))
    assert remarks == {Remark.DENSITY_CLIPPED}
    _show(session, box, {}, _received(np.zeros((4, 6), np.uint8)))
    [row] = shop.node.index.films.of_request(session.print_film_box("1.2.2").print_job_uid)
    assert '"min_density": 20, "max_density": 300' in row.content
    session.close()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "wide"])
def test_a_size_that_is_none(text: str) -> None:
    with pytest.raises(InvalidAttributeValue):
        requested_size_mm(data_set(RequestedImageSize=text))


@pytest.mark.parametrize("text", ["nan", "inf", "x", "1e999"])
def test_a_number_that_is_none(text: str) -> None:
    with pytest.raises(InvalidAttributeValue):
        number({"00280010": {"vr": "LO", "Value": [text]}}, "Rows")
