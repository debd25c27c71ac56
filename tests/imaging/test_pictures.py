"""Pictures by worker processes: of compressed images, in every encoding, of what lies."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medserver.codecs import Workers
from medserver.dicom.part10 import read_file_meta
from medserver.errors import CannotRender, CannotTranscode, MedserverError, TransferSyntaxNotSupported
from medserver.imaging import (
    PixelRange,
    Rendering,
    StoredLut,
    StoredWindow,
    Text,
    Window,
    extra,
    render,
    render_picture,
)
from medserver.imaging.messages import as_json, from_json
from medserver.imaging.pictures import _checked
from tests.imaging.images import add_overlay, image, item
from tests.imaging.states import state
from tests.samples import paths

RANDOM = np.random.default_rng(19)


@dataclass(frozen=True)
class Stored:
    """A data set in memory."""

    transfer_syntax_uid: str
    data_set: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data_set)

    @contextmanager
    def open_data_set(self) -> Iterator[BinaryIO]:
        yield io.BytesIO(self.data_set)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1, memory_max_bytes=2**29, time_max_s=20.0) as workers:
        yield workers


def stored(dataset: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Stored:
    """Return a data set in an encoding."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    file = io.BytesIO()
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    pydicom.dcmwrite(file, dataset, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return of_file(file.getvalue())


def of_file(content: bytes) -> Stored:
    """Return the data set of a Part 10 file."""
    meta = read_file_meta(io.BytesIO(content))
    return Stored(meta.transfer_syntax_uid, content[meta.data_set_offset :])


def pixels(
    source: Stored, workers: Workers, index: int = 0, options: Rendering | None = None, **how: object
) -> np.ndarray:
    """Return the pixels of a picture."""
    with render_picture(source, index, options or Rendering(), workers, **how) as picture:
        with open(picture.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            shown = np.asarray(Pillow.open(io.BytesIO(file.read())))
        assert shown.shape[:2] == (picture.rows, picture.columns)
        assert (shown.ndim == 3) == (picture.samples_per_pixel == 3)
    return shown


@pytest.mark.parametrize(
    "transfer_syntax_uid", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_encoding(transfer_syntax_uid: str, workers: Workers) -> None:
    cells = RANDOM.integers(-1000, 1000, (3, 20, 30)).astype("i2")
    dataset = image(cells, WindowCenter=40, WindowWidth=900)
    add_overlay(dataset, RANDOM.random((20, 30)) < 0.1)
    source = stored(dataset, transfer_syntax_uid)
    for index in (0, 2):
        assert np.array_equal(pixels(source, workers, index), render(dataset, index).pixels)


def test_the_presentation_state_is_read_there_too(workers: Workers) -> None:
    dataset = image(RANDOM.integers(0, 4096, (20, 30)).astype("u2"))
    one = state(dataset, SoftcopyVOILUTSequence=[item(WindowCenter=2000, WindowWidth=1000)], ImageRotation=90)
    here = render(dataset, 0, Rendering(presentation_state=one)).pixels
    for transfer_syntax_uid in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        there = pixels(stored(dataset), workers, state=stored(one, transfer_syntax_uid))
        assert np.array_equal(there, here)


@pytest.mark.parametrize(("character_set", "text"), [("ISO_IR 100", "Größe"), ("ISO_IR 192", "размер")])
def test_texts_are_in_the_character_set_of_the_state(character_set: str, text: str, workers: Workers) -> None:
    dataset = image(np.full((200, 300), 100, "u1"))
    written = item(
        UnformattedTextValue=text,
        AnchorPoint=[9.0, 90.0],
        AnchorPointAnnotationUnits="PIXEL",
        AnchorPointVisibility="N",
    )
    one = state(dataset, SpecificCharacterSet=character_set)
    one.GraphicAnnotationSequence = [item(GraphicLayer="A", TextObjectSequence=[written])]
    here = render(dataset, 0, Rendering(presentation_state=one)).pixels
    for transfer_syntax_uid in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        there = pixels(stored(dataset), workers, state=stored(one, transfer_syntax_uid))
        assert np.array_equal(there, here) and (there != 100).any()


def test_the_samples_are_rendered_or_refused(workers: Workers) -> None:
    """All of them: compressed ones are decoded, and what is no image says so."""
    rendered, refused = 0, {}
    for path in paths():
        try:
            shown = pixels(of_file(path.read_bytes()), workers)
        except MedserverError as error:
            refused[path.name] = error
            continue
        rendered += 1
        assert shown.dtype == np.uint8 and shown.size
    assert rendered > 60
    expected = CannotRender | CannotTranscode | TransferSyntaxNotSupported
    assert {name: error for name, error in refused.items() if not isinstance(error, expected)} == {}
    assert {"no Pixel Data" in str(refused[name]) for name in ("rtplan.dcm", "test-SR.dcm")} == {True}


@pytest.mark.parametrize("path", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_bigendian.dcm"])
def test_it_is_the_same_as_of_the_uncompressed(path: str, workers: Workers) -> None:
    found = {one.name: one for one in paths()}
    assert np.array_equal(
        pixels(of_file(found[path].read_bytes()), workers), render(pydicom.dcmread(found["MR_small.dcm"])).pixels
    )


def test_a_jpeg_and_sixteen_bits(workers: Workers) -> None:
    ramp = np.tile(np.arange(0, 65536, 256, dtype="u2"), (64, 1))
    source = stored(image(ramp, WindowCenter=32768, WindowWidth=65536))
    lossy = pixels(source, workers, name="jpeg", quality=95)
    assert np.abs(lossy.astype(int) - pixels(source, workers)).max() <= 4
    sixteen = pixels(source, workers, options=Rendering(bits=16))
    assert sixteen.dtype == np.uint16 and np.array_equal(sixteen, ramp)
    for source_of, name in ((source, "jpeg"), (stored(image(np.zeros((4, 4, 3), "u1"), "RGB")), "png")):
        with pytest.raises(CannotRender, match="16 bits"):
            pixels(source_of, workers, options=Rendering(bits=16), name=name)


@pytest.mark.parametrize(
    "options",
    [
        Rendering(),
        Rendering(voi=Window(1.5, 2, "SIGMOID"), bits=16, size=(3, 4), texts=(Text("top left", ("a", "b")),)),
        Rendering(voi=StoredWindow(2), overlays=False, shutters=False, annotations=False, markers=True),
        Rendering(voi=StoredLut(3), is_inverted=True, interpolation="cubic", square_pixels=False),
        Rendering(voi=PixelRange()),
    ],
)
def test_options_go_there_and_back(options: Rendering) -> None:
    assert from_json(as_json(options)) == options


def test_a_huge_image_breaks_a_limit_and_nothing_else(workers: Workers) -> None:
    dataset = image(np.zeros((8, 8), "u1"))
    with pytest.raises(CannotRender, match="bytes"):
        pixels(stored(image(np.zeros((8, 8), "u1"), Rows=65535, Columns=65535)), workers)
    with pytest.raises((CannotRender, CannotTranscode), match="too many|memory"):
        pixels(stored(dataset), workers, options=Rendering(size=(23000, 23000)))
    assert pixels(stored(dataset), workers).shape == (8, 8)


def test_damaged_data_sets(workers: Workers) -> None:
    whole = stored(image(RANDOM.integers(0, 255, (16, 16)).astype("u1"), WindowCenter=1, WindowWidth=2))
    outcomes = set()
    for index in range(0, len(whole.data_set) - 256, 7):
        content = bytearray(whole.data_set)
        content[index : index + 3] = RANDOM.bytes(3)
        try:
            pixels(Stored(whole.transfer_syntax_uid, bytes(content)), workers)
            outcomes.add("rendered")
        except (CannotRender, CannotTranscode):
            outcomes.add("refused")
    assert outcomes == {"rendered", "refused"}
    for length in (0, 1, 7, 50, len(whole.data_set) - 10):
        with pytest.raises(CannotRender):
            pixels(Stored(whole.transfer_syntax_uid, whole.data_set[:length]), workers)


@pytest.mark.parametrize("transfer_syntax_uid", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_stands_behind_the_pixels_is_none_of_them(transfer_syntax_uid: str, workers: Workers) -> None:
    dataset = image(np.zeros((8, 8), "u1"), Rows=9)
    dataset.DataSetTrailingPadding = bytes(1000)
    with pytest.raises(CannotRender, match="64 bytes, and frame 1 ends at 72"):
        pixels(stored(dataset, transfer_syntax_uid), workers)
    dataset.Rows = 8
    assert pixels(stored(dataset, transfer_syntax_uid), workers).shape == (8, 8)


@pytest.mark.parametrize("answer", [None, [1, 2, 3], [1, 2, 3, "8"], [1, 2, 3, True], {"rows": 1}])
def test_a_worker_that_was_taken_over_is_not_believed(answer: object) -> None:
    with pytest.raises(CannotRender, match="no proper answer"):
        _checked(answer)


def test_without_pillow_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    dataset = image(np.zeros((4, 4), "u1"))
    assert render(dataset).pixels.shape == (4, 4)
    for options in (Rendering(size=(8, 8)), Rendering(texts=(Text("top left", ("a",)),))):
        with pytest.raises(CannotRender, match="needs the extra 'imaging'"):
            render(dataset, 0, options)


def test_no_temporary_files_are_left(workers: Workers, tmp_path: Path) -> None:
    pixels(stored(image(np.zeros((4, 4), "u1"))), workers, directory=tmp_path)
    assert os.listdir(tmp_path) == []
