"""Compression without loss: the pixels are those of the original, for every decoder; what cannot be is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import parse_basic_offsets

from medserver.codecs import Workers, compressions, targets
from medserver.codecs.encoders import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.errors import CannotTranscode, TransferSyntaxNotSupported
from tests.codecs.images import KINDS, image, pixels_of, stored
from tests.codecs.stored import StoredObject, flattened, stored_objects

ENCODED = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)
SIZE_MAX_BYTES = 4_000_000  # so that the run is short; larger files have nothing that smaller ones have not
PIXEL_ELEMENTS = {0x00280004, 0x00280006, 0x7FE00010, 0x7FE00001, 0x7FE00002}
REFUSALS = (
    "no Pixel Data", "Bits Allocated", "fewer samples", "cannot be encoded", "bits above Bits Stored",
    "cannot be decoded", "the Pixel Data", "colours with fewer", "would not be decoded", "has another colour space",
    "there is no frame", "cannot be put together", "could not be decoded again", "is not a number",
)  # fmt: skip


def others(one: StoredObject) -> list:
    """Return every element that compression must leave alone."""
    return [each for each in flattened(one.read()) if len(each[0]) > 1 or each[0][0] not in PIXEL_ELEMENTS]


def test_everything_that_can_be_encoded_is_listed() -> None:
    assert compressions(EXPLICIT_VR_LITTLE_ENDIAN) == (*ENCODED, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert JPEG_2000_LOSSLESS not in compressions(JPEG_2000_LOSSLESS)
    assert compressions("1.2.3") == ()


@pytest.mark.parametrize("uid", ENCODED)
@pytest.mark.parametrize("one", stored_objects(), ids=lambda one: one.name)
def test_every_sample_is_compressed_and_comes_back(
    one: StoredObject, uid: str, workers: Workers, tmp_path: Path
) -> None:
    """The native form of what was compressed is the native form of the original, byte for byte."""
    if uid == one.transfer_syntax_uid or len(one.data_set) > SIZE_MAX_BYTES:
        return
    try:
        compressed = one.transcoded(uid, workers, tmp_path)
    except CannotTranscode as error:
        assert any(reason in str(error) for reason in REFUSALS), error
        return
    back = compressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert others(back) == others(compressed)
    native = one
    if one.transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        native = one.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert others(back) == others(native)
    assert pixels_of(back) == pixels_of(native)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[3]}-{kind[1]}-{kind[2]}-{len(kind[0])}{kind[0][0]}")
@pytest.mark.parametrize("uid", ENCODED)
def test_every_kind_of_pixels_comes_back(kind: tuple, uid: str, workers: Workers, tmp_path: Path) -> None:
    one = image(*kind)
    try:
        compressed = one.transcoded(uid, workers, tmp_path)
    except CannotTranscode as error:
        # pydicom writes no signed samples into JPEG-LS, and no code stream has other than whole bytes into RLE
        assert uid in (JPEG_LS_LOSSLESS, RLE_LOSSLESS) and "cannot" in str(error) + "decoded", error
        assert kind[1].startswith("i") or kind[2] not in (8, 16) or kind[3] == "YBR_FULL", error
        return
    back = compressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert back.read().PixelData == one.read().PixelData
    assert back.read().PhotometricInterpretation == kind[3]
    assert pixels_of(replace(compressed, name="by pydicom alone")) == pixels_of(one)


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_the_code_stream_says_the_bits_that_are_stored(uid: str, workers: Workers, tmp_path: Path) -> None:
    """PS3.5 8.2.4: the elements are consistent with the code stream."""
    for dtype, bits, signed in (("u2", 12, 0), ("i2", 12, 0x80), ("u2", 16, 0), ("u1", 8, 0)):
        compressed = image((1, 32, 48), dtype, bits).transcoded(uid, workers, tmp_path)
        [stream] = pydicom.encaps.generate_frames(compressed.read().PixelData, number_of_frames=1)
        assert stream[42] == signed | bits - 1


def test_colours_by_plane_become_colours_by_pixel(workers: Workers, tmp_path: Path) -> None:
    one = image((2, 3, 33, 47), "u1", 8, "RGB", PlanarConfiguration=1)
    for uid in (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, RLE_LOSSLESS):
        back = one.transcoded(uid, workers, tmp_path).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
        assert back.read().PlanarConfiguration == 0
        assert pixels_of(back) == pixels_of(one)


def test_every_frame_is_found_by_its_offset(workers: Workers, tmp_path: Path) -> None:
    """PS3.5 A.4: the Basic Offset Table."""
    compressed = image((5, 33, 47), "u2", 12).transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    pixel_data = compressed.read().PixelData
    offsets = parse_basic_offsets(pixel_data)
    assert len(offsets) == 5
    first = 8 + 4 * 5
    for offset in offsets:
        assert pixel_data[first + offset : first + offset + 4] == b"\xfe\xff\x00\xe0"
        assert pixel_data[first + offset + 8 : first + offset + 12] == b"\xff\x4f\xff\x51"


def test_what_has_no_pixels_is_not_compressed(workers: Workers, tmp_path: Path) -> None:
    dataset = image((1, 8, 8), "u1", 8).read()
    del dataset.PixelData
    with pytest.raises(CannotTranscode, match="no Pixel Data"):
        stored(dataset).transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    deflated = stored(dataset).transcoded(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert flattened(deflated.read()) == flattened(stored(dataset).read())


def test_lengths_that_lie_are_refused(workers: Workers, tmp_path: Path) -> None:
    for keyword, value in (("Rows", 65535), ("NumberOfFrames", 100_000), ("BitsAllocated", 64), ("BitsStored", 40)):
        dataset = image((1, 32, 48), "u2", 12).read()
        setattr(dataset, keyword, value)
        with pytest.raises(CannotTranscode):
            stored(dataset).transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    assert image((1, 32, 32), "u1", 8).transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)


def test_a_syntax_that_is_not_written_is_refused(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(TransferSyntaxNotSupported):
        image((1, 8, 8), "u1", 8).transcoded("1.2.840.10008.1.2.4.50", workers, tmp_path)


@pytest.mark.parametrize("uid", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN])
def test_from_every_native_syntax(uid: str, workers: Workers, tmp_path: Path) -> None:
    one = image((2, 32, 48), "i2", 12)
    other = one.transcoded(uid, workers, tmp_path)
    compressed = other.transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    assert pixels_of(compressed) == pixels_of(one)
    assert set(targets(JPEG_2000_LOSSLESS)) > {EXPLICIT_VR_LITTLE_ENDIAN}


def test_eight_threads_compress_at_once(workers: Workers, tmp_path: Path) -> None:
    one = image((1, 256, 256), "u2", 12)
    with ThreadPoolExecutor(8) as threads:
        results = list(
            threads.map(lambda uid: one.transcoded(uid, workers, tmp_path), [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS] * 8)
        )
    assert all(pixels_of(result) == pixels_of(one) for result in results)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 16, 16), (2, 31, 200), (1, 200, 5), (1, 7, 9, 3)])
def test_small_images_are_compressed_as_well(shape: tuple, workers: Workers, tmp_path: Path) -> None:
    """pydicom's plug-in encodes no image of less than 32 pixels in a dimension into JPEG 2000."""
    kind = ("u1", 8, "RGB") if len(shape) > 3 else ("i2", 12, "MONOCHROME2")
    one = image(shape, *kind)
    compressed = one.transcoded(JPEG_2000_LOSSLESS, workers, tmp_path)
    assert pixels_of(compressed) == pixels_of(one)
    assert compressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read().PixelData == one.read().PixelData
