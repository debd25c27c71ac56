"""What is decoded though it is not encoded here: samples of one bit, and JPEG XL."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from openjpeg.utils import encode_array
from pydicom.encaps import encapsulate

from medserver.codecs import Workers
from medserver.dicom.transfer_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_XL_JPEG_RECOMPRESSION,
    RLE_LOSSLESS,
)
from medserver.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotTranscode
from tests.codecs.images import KINDS, image, stored
from tests.codecs.stored import StoredObject

ENCAPSULATED_UNCOMPRESSED, DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"
JPEG_XL_LOSSLESS, JPEG_XL = "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112"

Encode = Callable[[np.ndarray], bytes]


def packed(samples: np.ndarray) -> bytes:
    return np.packbits(samples, bitorder="little").tobytes()


def deflated(samples: np.ndarray) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(packed(samples)) + compressor.flush()


def rle(raw: bytes) -> bytes:
    """Return a frame of one segment (PS3.5 G)."""
    segment = imagecodecs.packbits_encode(raw)
    return np.array([1, 64, *[0] * 14], "<u4").tobytes() + segment + bytes(len(segment) % 2)


ONE_BIT: dict[str, tuple[str, Encode]] = {
    "JPEG 2000": (JPEG_2000_LOSSLESS, lambda samples: encode_array(samples.astype(bool))),
    "JPEG 2000, in bytes": (JPEG_2000_LOSSLESS, lambda samples: encode_array(samples, bits_stored=8)),
    "HTJ2K": (HTJ2K_LOSSLESS, lambda samples: imagecodecs.htj2k_encode(samples, reversible=True)),
    "RLE": (RLE_LOSSLESS, lambda samples: rle(samples.tobytes())),
    "RLE, packed": (RLE_LOSSLESS, lambda samples: rle(packed(samples))),
    "deflated frames": (DEFLATED_IMAGE_FRAME, deflated),
    "uncompressed": (ENCAPSULATED_UNCOMPRESSED, packed),
}


def encoded(one: StoredObject, uid: str, frames: list[bytes], **elements: object) -> StoredObject:
    """Return an image with other, encapsulated Pixel Data."""
    dataset = one.read()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return StoredObject("made", uid, stored(dataset).data_set)


def segmentation(samples: np.ndarray, uid: str, encode: Encode) -> StoredObject:
    return encoded(
        image(samples.shape, "u1", 1), uid, [bytes(encode(frame)) for frame in samples],
        BitsAllocated=1, BitsStored=1, HighBit=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", ONE_BIT)
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 33, 47), (4, 35, 41)])
def test_samples_of_one_bit(name: str, shape: tuple[int, ...], workers: Workers, tmp_path: Path) -> None:
    """Each frame begins with a byte; of native ones each begins behind the last bit of another (PS3.5 8.1.1)."""
    samples = np.random.default_rng(3).integers(0, 2, shape).astype("u1")
    one = segmentation(samples, *ONE_BIT[name])
    expected = packed(samples)
    for uid in (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN):
        native = one.transcoded(uid, workers, tmp_path).read()
        assert native.PixelData == expected + bytes(len(expected) % 2)
        assert native["PixelData"].VR == "OB"
        np.testing.assert_array_equal(native.pixel_array.reshape(shape), samples)


@pytest.mark.parametrize("name", ["JPEG 2000, in bytes", "RLE"])
def test_samples_of_more_than_one_bit_are_none_of_one(name: str, workers: Workers, tmp_path: Path) -> None:
    samples = np.full((1, 33, 47), 2, "u1")
    with pytest.raises(CannotTranscode, match="more than one bit for each sample"):
        segmentation(samples, *ONE_BIT[name]).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def test_samples_of_twelve_bits_are_not_decoded(workers: Workers, tmp_path: Path) -> None:
    """Native ones are kept, and sent, as they are."""
    one = image((1, 32, 32), "u2", 12)
    packed_in_twelve = encoded(one, ENCAPSULATED_UNCOMPRESSED, [bytes(32 * 32 * 12 // 8)], BitsAllocated=12)
    with pytest.raises(CannotTranscode, match="^samples of 12 bits are not decoded$"):
        packed_in_twelve.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    dataset = one.read()
    dataset.BitsAllocated, dataset.PixelData = 12, bytes(32 * 32 * 12 // 8)
    with pytest.raises(CannotTranscode, match="^RLE is not used for MONOCHROME2 of 12 of 12 bits, but of "):
        stored(dataset).transcoded(RLE_LOSSLESS, workers, tmp_path)


def values(one: StoredObject) -> np.ndarray:
    """Return the frames of an image, shape (frames, rows, columns[, samples])."""
    dataset = one.read()
    kind = f"<{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}"
    colours = [3] if dataset.SamplesPerPixel > 1 else []
    count = int(dataset.get("NumberOfFrames", 1))
    shape = (count, dataset.Rows, dataset.Columns, *colours)
    return np.frombuffer(dataset.PixelData, kind, count=int(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("uid", [JPEG_XL_LOSSLESS, JPEG_XL])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind[3] != "YBR_FULL"], ids=str)
def test_jpeg_xl(kind: tuple, uid: str, workers: Workers, tmp_path: Path) -> None:
    one = image(*kind)
    mask = (1 << kind[2]) - 1  # JPEG XL has no sign
    frames = [
        imagecodecs.jpegxl_encode(frame.view(f"<u{frame.itemsize}") & mask, lossless=True, bitspersample=kind[2])
        for frame in values(one)
    ]
    native = encoded(one, uid, frames).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert native.PixelData == one.read().PixelData
    assert native.PhotometricInterpretation == kind[3]


@pytest.mark.parametrize("interpretation", ["YBR_FULL_422", "MONOCHROME2"])
def test_jpeg_in_jpeg_xl(interpretation: str, workers: Workers, tmp_path: Path) -> None:
    """What was a JPEG is the same image, in RGB."""
    colours = interpretation != "MONOCHROME2"
    one = image((1, 33, 47, 3), "u1", 8, "RGB") if colours else image((1, 33, 47), "u1", 8)
    [frame] = values(one) // 4 + 100
    jpeg = imagecodecs.jpeg8_encode(frame, level=95)
    frames = [imagecodecs.jpegxl_encode_jpeg(jpeg)]
    recompressed = encoded(one, JPEG_XL_JPEG_RECOMPRESSION, frames, PhotometricInterpretation=interpretation)
    native = recompressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert native.read().PhotometricInterpretation == ("RGB" if colours else "MONOCHROME2")
    difference = np.abs(values(native)[0].astype(int) - imagecodecs.jpeg8_decode(jpeg))
    assert difference.mean() < 1


def test_a_jpeg_xl_that_is_cut_off_is_refused(workers: Workers, tmp_path: Path) -> None:
    one = image(*KINDS[0])
    [frame] = [imagecodecs.jpegxl_encode(frame, lossless=True) for frame in values(one)]
    for size_bytes in (2, len(frame) // 2, len(frame) - 8):
        with pytest.raises(CannotTranscode):
            encoded(one, JPEG_XL_LOSSLESS, [frame[:size_bytes]]).transcoded(
                EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path
            )
