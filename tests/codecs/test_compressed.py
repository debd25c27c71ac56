"""Compressed objects, whose pixels must be those that pydicom decodes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, RLELossless

from medserver.codecs import Workers
from medserver.codecs.syntaxes import JPEG
from medserver.codecs.syntaxes import DEFLATED_IMAGE_FRAME, ENCAPSULATED_UNCOMPRESSED
from medserver.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from medserver.errors import CannotTranscode
from tests.codecs.stored import TEST_FILES, StoredObject, compressed, data_set_offset, flattened
from tests.failures import Failures
from tests.peers import requires
from tests.peers.process import run

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files

ALL = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
CHANGED_BY_DECODING = {0x00280004, 0x00280006, 0x7FE00001, 0x7FE00002, 0x7FE00010}


def stored(dataset: pydicom.Dataset, transfer_syntax_uid: str = "") -> StoredObject:
    """Return a data set as an object, in the transfer syntax that its file says if no other is given."""
    file = io.BytesIO()
    dataset.save_as(file)
    uid = transfer_syntax_uid or str(dataset.file_meta.TransferSyntaxUID)
    return StoredObject("made", uid, file.getvalue()[data_set_offset(file) :])


def read(name: str) -> pydicom.Dataset:
    """Return a test file as pydicom reads it."""
    return pydicom.dcmread(TEST_FILES / name)


def three_frames() -> pydicom.Dataset:
    """Return an image of three different frames."""
    dataset = read("MR_small.dcm")
    pixels = dataset.pixel_array
    dataset.PixelData = b"".join(np.roll(pixels, 7 * index).tobytes() for index in range(3))
    dataset.NumberOfFrames = 3
    return dataset


def colours() -> pydicom.Dataset:
    """Return a colour image with an odd number of bytes, large enough for JPEG 2000."""
    dataset = read("SC_rgb_small_odd.dcm")
    pixels = np.tile(dataset.pixel_array, (33, 33, 1))
    dataset.Rows, dataset.Columns, _ = pixels.shape
    dataset.PixelData = pixels.tobytes() + b"\0"
    return dataset


Decoded = dict[StoredObject, dict[str, StoredObject]]


@pytest.fixture(scope="module")
def decoded(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Decoded:
    """Give every compressed image in every uncompressed transfer syntax."""
    directory = tmp_path_factory.mktemp("decoded")
    images = [one for one in compressed() if "PixelData" in one.read()]
    assert len(images) > 35
    return {one: {uid: one.transcoded(uid, workers, directory) for uid in ALL} for one in images}


def test_pixels_are_those_that_pydicom_decodes(decoded: Decoded) -> None:
    """But for JPEG: `test_other_programs` compares that with what DCMTK decodes."""
    with Failures() as failures:
        for one, native in decoded.items():
            if one.transfer_syntax_uid in JPEG:
                continue
            expected = pixel_array(one.read(), raw=transfer_syntax(one.transfer_syntax_uid).lossless)
            for uid in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN):
                with failures.of(f"{one.name} in {uid}"):
                    found = pixel_array(native[uid].read(), raw=True)
                    np.testing.assert_array_equal(found, expected)
                    assert found.dtype == expected.dtype


def test_big_endian_is_the_same_image(decoded: Decoded, workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for one, native in decoded.items():
            with failures.of(one.name):
                again = native[EXPLICIT_VR_BIG_ENDIAN].transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
                assert again.data_set == native[EXPLICIT_VR_LITTLE_ENDIAN].data_set


def test_only_the_pixels_change(decoded: Decoded) -> None:
    with Failures() as failures:
        for one, native in decoded.items():
            with failures.of(one.name):
                found = native[EXPLICIT_VR_LITTLE_ENDIAN].read()
                before = [each for each in flattened(one.read()) if each[0][-1] not in CHANGED_BY_DECODING]
                assert [each for each in flattened(found) if each[0][-1] not in CHANGED_BY_DECODING] == before
                assert found.SOPInstanceUID == one.read().SOPInstanceUID
                assert found["PixelData"].VR == ("OB" if found.BitsAllocated <= 8 else "OW")
                assert found.get("PlanarConfiguration", 0) == 0


def test_dcmtk_reads_the_decoded_objects(decoded: Decoded, tmp_path: Path) -> None:
    requires("dcmtk")
    objects = [one for native in decoded.values() for one in native.values()]
    paths = [tmp_path / f"{number}.dcm" for number in range(len(objects))]
    for path, one in zip(paths, objects, strict=True):
        path.write_bytes(one.part10())
    output = run(["dcmdump", "+E", "+F", "+P", "PixelData", "+p", *paths]).check().output
    shown = [line.partition(": ")[2] for line in output.splitlines() if line.startswith("# dcmdump")]
    assert shown == [str(path) for path in paths]
    assert sum(line.startswith("(7fe0,0010)") for line in output.splitlines()) == len(paths)


def test_reversible_colour_becomes_rgb(workers: Workers, tmp_path: Path) -> None:
    object_ = next(each for each in compressed() if each.name == "GDCMJ2K_TextGBR.dcm")
    assert object_.read().PhotometricInterpretation == "YBR_RCT"
    found = object_.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found.PhotometricInterpretation == "RGB"


@pytest.mark.parametrize("uid", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("make", [three_frames, colours])
def test_lossless_round_trip(
    uid: str, make: Callable[[], pydicom.Dataset], workers: Workers, tmp_path: Path
) -> None:
    """From native through a codec and back every pixel is the same."""
    original, encoded = make(), make()
    encoded.compress(uid, generate_instance_uid=False)
    found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    np.testing.assert_array_equal(found.pixel_array, original.pixel_array)
    assert found.SOPInstanceUID == original.SOPInstanceUID
    assert len(found.PixelData) % 2 == 0


def test_lossless_colours_are_not_recalculated(workers: Workers, tmp_path: Path) -> None:
    encoded = read("SC_rgb_small_odd.dcm")
    encoded.PhotometricInterpretation = "YBR_FULL"
    expected = encoded.PixelData
    encoded.compress(RLELossless, generate_instance_uid=False)
    found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found.PhotometricInterpretation == "YBR_FULL"
    assert found.PixelData == expected


def test_bits_that_are_not_stored_are_kept(workers: Workers, tmp_path: Path) -> None:
    """Old objects have overlays in the high bits (PS3.5 8.1.2)."""
    encoded = read("CT_small.dcm")
    encoded.BitsStored, encoded.HighBit = 12, 11
    expected = encoded.PixelData
    encoded.compress(RLELossless, generate_instance_uid=False)
    found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found.PixelData == expected


def test_small_precision_keeps_bits_allocated(workers: Workers, tmp_path: Path) -> None:
    """openjpeg returns bytes for a precision of 8; Bits Allocated still says 16."""
    encoded = read("MR_small.dcm")
    pixels = (encoded.pixel_array % 256).astype("<u2")
    encoded.BitsStored, encoded.HighBit, encoded.PixelRepresentation = 8, 7, 0
    encoded.compress(JPEG2000Lossless, pixels, generate_instance_uid=False)
    found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found.BitsAllocated == 16
    np.testing.assert_array_equal(found.pixel_array, pixels)


def test_an_encapsulated_icon_is_decoded_too(workers: Workers, tmp_path: Path) -> None:
    encoded = read("SC_rgb_small_odd.dcm")
    icon = read("MR_small.dcm")
    expected = icon.pixel_array
    icon.compress(RLELossless)
    item = pydicom.Dataset()
    item.update({each.tag: each for each in icon.group_dataset(0x0028)})
    item["PixelData"] = icon["PixelData"]
    encoded.compress(RLELossless, generate_instance_uid=False)
    encoded.IconImageSequence = [item]
    found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    small = found.IconImageSequence[0]
    np.testing.assert_array_equal(np.frombuffer(small.PixelData, "<i2").reshape(expected.shape), expected)
    np.testing.assert_array_equal(found.pixel_array, read("SC_rgb_small_odd.dcm").pixel_array)


@pytest.mark.parametrize("uid", [ENCAPSULATED_UNCOMPRESSED, DEFLATED_IMAGE_FRAME])
def test_frames_without_an_image_codec(uid: str, workers: Workers, tmp_path: Path) -> None:
    original = three_frames()
    size_bytes = len(original.PixelData) // original.NumberOfFrames
    frames = [
        original.PixelData[start:][:size_bytes] for start in range(0, len(original.PixelData), size_bytes)
    ]
    if uid == DEFLATED_IMAGE_FRAME:
        frames = [_deflated(each) for each in frames]
    encoded = three_frames()
    encoded.PixelData = encapsulate(frames)
    encoded["PixelData"].VR = "OB"
    encoded["PixelData"].is_undefined_length = True
    encoded.file_meta.TransferSyntaxUID = RLELossless  # pydicom knows no syntax as new as the real one
    found = stored(encoded, uid).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found.PixelData == original.PixelData


def test_too_few_frames(workers: Workers, tmp_path: Path) -> None:
    encoded = three_frames()
    encoded.compress(RLELossless, generate_instance_uid=False)
    encoded.NumberOfFrames = 4
    with pytest.raises(CannotTranscode, match="frame"):
        stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def _deflated(frame: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(frame) + deflater.flush()
    return data + bytes(len(data) % 2)
