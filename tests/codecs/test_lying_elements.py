"""Image Pixel elements that contradict the code stream, or that no image has: refused with what it is."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.encaps import generate_frames
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from medserver.codecs import Workers
from medserver.codecs.pixels.fragments import item
from medserver.dicom.transfer_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotTranscode
from tests.codecs import images
from tests.codecs.stored import StoredObject, compressed
from tests.failures import Failures

WITH_SIZE = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS)
"""Those whose code stream says how many rows, columns and components it has."""

ALL = (*WITH_SIZE, RLE_LOSSLESS)
GREY, SIGNED, COLOURS = (
    images.image((1, 32, 48), "u2", 16),
    images.image((1, 32, 48), "i2", 16),
    images.image((1, 32, 48, 3), "u1", 8, "RGB"),
)


def lying(one: StoredObject, **elements: object) -> StoredObject:
    """Return an object with other elements; Number of Frames is given as it is encoded."""
    dataset = one.read()
    for keyword, value in elements.items():
        if keyword == "NumberOfFrames":
            tag = Tag("NumberOfFrames")
            dataset._dict[tag] = RawDataElement(tag, "IS", len(value), value, 0, False, True)
        else:
            setattr(dataset, keyword, value)
    file = io.BytesIO()
    write_dataset(images._writer(file), dataset)
    return StoredObject("lying", one.transfer_syntax_uid, file.getvalue())


def reason(one: StoredObject, to_uid: str, workers: Workers, directory: Path) -> str:
    """Return why an object is not brought into a transfer syntax."""
    with pytest.raises(CannotTranscode) as raised:
        one.transcoded(to_uid, workers, directory)
    return str(raised.value)


def test_other_rows_and_columns_of_as_many_pixels(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for one in (GREY, COLOURS):
            for uid in WITH_SIZE:
                stored = one.transcoded(uid, workers, tmp_path)
                for rows, columns in ((48, 32), (16, 96)):
                    with failures.of((uid, rows)):
                        lie = lying(stored, Rows=rows, Columns=columns)
                        said = reason(lie, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                        assert said == "the code stream has 32 rows and 48 columns"


def test_another_size(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid in WITH_SIZE:
            stored = GREY.transcoded(uid, workers, tmp_path)
            for elements in ({"Rows": 65535}, {"Rows": 1}, {"Columns": 1}):
                with failures.of((uid, elements)):
                    said = reason(lying(stored, **elements), EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                    assert said == "the code stream has 32 rows and 48 columns"


def test_other_samples_per_pixel(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid in WITH_SIZE:
            for one, true in ((GREY, 1), (COLOURS, 3)):
                stored = one.transcoded(uid, workers, tmp_path)
                for stated in {1, 2, 3, 4} - {true}:
                    with failures.of((uid, stated)):
                        lie = lying(stored, SamplesPerPixel=stated)
                        said = reason(lie, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                        assert said == f"the code stream has {true} and not {stated} Samples per Pixel"


def test_other_samples_per_pixel_of_a_jpeg(workers: Workers, tmp_path: Path) -> None:
    for name, true in (("JPEG-lossy.dcm", 1), ("SC_rgb_jpeg_gdcm.dcm", 3)):
        stored = next(each for each in compressed() if each.name == name)
        for stated in {1, 3, 4} - {true}:
            said = reason(lying(stored, SamplesPerPixel=stated), EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
            assert said == f"the code stream has {true} and not {stated} Samples per Pixel"


def test_grey_that_is_called_a_colour(workers: Workers, tmp_path: Path) -> None:
    stored = next(each for each in compressed() if each.name == "JPEG-lossy.dcm")
    said = reason(lying(stored, PhotometricInterpretation="YBR_FULL"), EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert said == "YBR_FULL has 3 Samples per Pixel of 8 bits, not 1 Samples per Pixel of 16 bits"


def test_samples_of_strange_sizes(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid in ALL:
            for one in (GREY, SIGNED):
                stored = one.transcoded(uid, workers, tmp_path)
                for bits in (24, 40, 65528):
                    with failures.of((uid, bits)):
                        said = reason(lying(stored, BitsAllocated=bits), EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                        assert said == f"samples of {bits} bits are not decoded"


def test_pixel_representations_that_there_are_not(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid in ALL:
            for stated in (2, 3, 65535):
                stored = lying(GREY.transcoded(uid, workers, tmp_path), PixelRepresentation=stated)
                native = lying(GREY, PixelRepresentation=stated)
                for one, to_uid in ((stored, EXPLICIT_VR_LITTLE_ENDIAN), (native, uid)):
                    with failures.of((one.transfer_syntax_uid, to_uid, stated)):
                        said = reason(one, to_uid, workers, tmp_path)
                        assert said == f"Pixel Representation is {stated}, and not 0 or 1"


def test_a_planar_configuration_that_there_is_not(workers: Workers, tmp_path: Path) -> None:
    for uid in ALL:
        said = reason(lying(COLOURS, PlanarConfiguration=2), uid, workers, tmp_path)
        assert said == "Planar Configuration is 2, and not 0 or 1"
        lying(GREY, PlanarConfiguration=2).transcoded(uid, workers, tmp_path)


def test_what_is_missing_is_named(workers: Workers, tmp_path: Path) -> None:
    said = reason(lying(GREY, Rows=0, BitsStored=0), RLE_LOSSLESS, workers, tmp_path)
    assert said == "the Pixel Data cannot be read without Rows, Bits Stored"


@pytest.mark.parametrize("stated", [b"-1", b"1.0 ", b"1\\2 ", b"++1 ", b"one ", b"\xb2 "])
def test_what_is_no_number_of_frames(stated: bytes, workers: Workers, tmp_path: Path) -> None:
    for one, to_uid in (
        (GREY, RLE_LOSSLESS),
        (GREY.transcoded(RLE_LOSSLESS, workers, tmp_path), EXPLICIT_VR_LITTLE_ENDIAN),
    ):
        text = stated.strip().decode("ascii", "replace")
        said = reason(lying(one, NumberOfFrames=stated), to_uid, workers, tmp_path)
        assert said == f"Number of Frames is {text!r}, and no number of frames"


def test_a_number_of_frames_with_a_sign(workers: Workers, tmp_path: Path) -> None:
    """PS3.5 6.2: an IS may begin with a plus."""
    for uid in ALL:
        stored = lying(GREY, NumberOfFrames=b"+1").transcoded(uid, workers, tmp_path)
        back = stored.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
        assert back.read().PixelData == GREY.read().PixelData


def test_what_a_codec_says_is_said_of_its_frame(workers: Workers, tmp_path: Path) -> None:
    stored = lying(GREY.transcoded(RLE_LOSSLESS, workers, tmp_path), BitsAllocated=32)
    said = reason(stored, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert said == (
        "frame 1 cannot be decoded: The number of RLE segments in the pixel data doesn't match the expected amount "
        "(2 vs. 4 segments)"
    )


@pytest.mark.parametrize("interleaving", ["none", "sample", "line"])
def test_colours_of_jpeg_ls_in_every_order(interleaving: str, workers: Workers, tmp_path: Path) -> None:
    """ISO/IEC 14495-1 C.2.3, ILV: they are given by pixel, however the code stream has them."""
    import jpeg_ls

    pixels = np.frombuffer(COLOURS.read().PixelData, "u1").reshape(32, 48, 3)
    mode = ("none", "line", "sample").index(interleaving)
    source = pixels.transpose(2, 0, 1) if mode == 0 else pixels
    stream = bytes(jpeg_ls.encode_array(np.ascontiguousarray(source), interleave_mode=mode))
    dataset = COLOURS.transcoded(JPEG_LS_LOSSLESS, workers, tmp_path).read()
    dataset.PixelData = pydicom.encaps.encapsulate([stream])
    file = io.BytesIO()
    write_dataset(images._writer(file), dataset)
    native = StoredObject("colours", JPEG_LS_LOSSLESS, file.getvalue()).transcoded(
        EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path
    )
    assert native.read().PixelData == pixels.tobytes()


def with_fragments(one: StoredObject, basic_offsets: list[int], fragments: list[bytes]) -> StoredObject:
    """Return an object with these fragments, behind a Basic Offset Table."""
    dataset = one.read()
    table = struct.pack(f"<{len(basic_offsets)}L", *basic_offsets)
    dataset.PixelData = item(table) + b"".join(map(item, fragments))
    file = io.BytesIO()
    write_dataset(images._writer(file), dataset)
    return StoredObject("fragments", one.transfer_syntax_uid, file.getvalue())


FRAMES = images.image((3, 32, 48), "u1", 8)


def test_a_table_that_is_not_needed_may_be_wrong(workers: Workers, tmp_path: Path) -> None:
    """Where each fragment is a frame, or all of them are, others do not look at the offsets either."""
    with Failures() as failures:
        for uid in ALL:
            stored = FRAMES.transcoded(uid, workers, tmp_path)
            frames = list(generate_frames(stored.read().PixelData, number_of_frames=3))
            first, second = (8 + len(frame) for frame in frames[:2])
            true = [0, first, first + second]
            for offsets in ([], true, [0, true[2], true[1]], [0, 0, first], [0, first + 4, 10**6], [8, 9, 10]):
                with failures.of((uid, offsets)):
                    with_table = with_fragments(stored, offsets, frames)
                    native = with_table.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                    assert native.read().PixelData == FRAMES.read().PixelData
    stored = GREY.transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    [frame] = generate_frames(stored.read().PixelData, number_of_frames=1)
    for offset in (0, 4, 10**6):
        in_two = with_fragments(stored, [offset], [frame[:100], frame[100:]])
        native = in_two.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
        assert native.read().PixelData == GREY.read().PixelData


def test_a_table_that_is_needed_and_wrong(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid in WITH_SIZE:
            stored = FRAMES.transcoded(uid, workers, tmp_path)
            first, *others = generate_frames(stored.read().PixelData, number_of_frames=3)
            fragments = [first[:100], first[100:], *others]
            true = [0, 8 + 8 + len(first), 8 + 8 + len(first) + 8 + len(others[0])]
            for offsets, number, said in (
                ([0, true[2], true[1]], 3, true[1]),
                ([0, true[1] + 4, true[2]], 2, true[1] + 4),
                ([8, *true[1:]], 1, 8),
                ([0, 0, true[2]], 2, 0),
                ([*true[:2], 10**6], 3, 10**6),
            ):
                with failures.of((uid, offsets)):
                    lie = with_fragments(stored, offsets, fragments)
                    assert reason(lie, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path) == (
                        f"frame {number} begins at {said} by the Basic Offset Table, where no frame begins"
                    )
            native = with_fragments(stored, true, fragments).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
            assert native.read().PixelData == FRAMES.read().PixelData
            with failures.of((uid, "two fragments")):
                lie = with_fragments(stored, [], [first + others[0], others[1]])
                said = reason(lie, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                assert said == "Number of Frames is 3, but 2 by the fragments"
