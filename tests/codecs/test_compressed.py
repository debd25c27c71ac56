"""Compressed objects, whose pixels must be those that pydicom decodes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import JPEG2000Lossless, RLELossless

from medserver.codecs import Workers
from medserver.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from medserver.errors import CannotTranscode
from tests.codecs.stored import JPEG, TEST_FILES, StoredObject, compressed, data_set_offset, flattened
from tests.failures import Failures
from tests.peers import requires
from tests.peers.process import run

ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"

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
    with pytest.raises(CannotTranscode, match="Number of Frames is 4, but 3"):
        stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


CONTRADICTIONS = {
    "fewer by the offset table": (2, True, 1, "2, but 3 by the Basic Offset Table"),
    "one by the offset table": (None, True, 1, "1, but 3 by the Basic Offset Table"),
    "more than the offset table": (4, True, 1, "4, but 3 by the Basic Offset Table"),
    "fewer by the fragments": (2, False, 1, "2, but 3 by the fragments"),
    "one by the fragments": (None, False, 1, "1, but 3 by the fragments"),
    "of several fragments": (2, False, 2, "2, but 3 by the fragments"),
    "fewer by the extended offset table": (2, None, 1, "2, but 3 by the Extended Offset Table"),
}
"""Number of Frames, whether there is a Basic Offset Table (None for an extended one), fragments of a frame, reason."""


@pytest.mark.parametrize("uid", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_number_of_frames_that_is_contradicted_drops_none(
    name: str, uid: str, workers: Workers, tmp_path: Path
) -> None:
    """DCMTK decodes as many frames as Number of Frames says, GDCM refuses; here none is lost in silence."""
    number_of_frames, table, fragments_per_frame, reason = CONTRADICTIONS[name]
    if uid == RLELossless and fragments_per_frame > 1:
        pytest.skip("PS3.5 A.4.2: each frame in one fragment")
    encoded = three_frames()
    encoded.compress(uid, generate_instance_uid=False)
    frames = list(generate_frames(encoded.PixelData, number_of_frames=3))
    if table is None:
        encoded.PixelData, offsets, lengths = encapsulate_extended(frames)
        encoded.ExtendedOffsetTable, encoded.ExtendedOffsetTableLengths = offsets, lengths
        if uid == RLELossless:
            reason = reason.replace("Extended Offset Table", "(Extended Offset Table|fragments)")
    else:
        encoded.PixelData = encapsulate(frames, fragments_per_frame=fragments_per_frame, has_bot=table)
    assert stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    if number_of_frames is None:
        del encoded.NumberOfFrames
    else:
        encoded.NumberOfFrames = number_of_frames
    for to_uid in (EXPLICIT_VR_LITTLE_ENDIAN, JPEG2000Lossless if uid == RLELossless else RLELossless):
        with pytest.raises(CannotTranscode, match=f"^Number of Frames is {reason}$"):
            stored(encoded).transcoded(to_uid, workers, tmp_path)


def test_gdcm_refuses_them_as_well(tmp_path: Path) -> None:
    requires("gdcm")
    encoded = three_frames()
    encoded.compress(RLELossless, generate_instance_uid=False)
    path = tmp_path / "frames.dcm"
    for number_of_frames, is_refused in ((3, False), (2, True)):
        encoded.NumberOfFrames = number_of_frames
        encoded.save_as(path)
        assert bool(run(["gdcmconv", "--raw", path, path.with_suffix(".raw")]).exit_code) == is_refused


def test_one_frame_of_many_fragments_is_one(workers: Workers, tmp_path: Path) -> None:
    """PS3.5 A.4: a frame may lie in several fragments."""
    original = read("MR_small.dcm")
    encoded = read("MR_small.dcm")
    encoded.compress(JPEG2000Lossless, generate_instance_uid=False)
    for has_table in (True, False):
        [frame] = generate_frames(encoded.PixelData, number_of_frames=1)
        encoded.PixelData = encapsulate([frame], fragments_per_frame=5, has_bot=has_table)
        found = stored(encoded).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
        assert found.PixelData == original.PixelData


def _deflated(frame: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflater.compress(frame) + deflater.flush()
    return data + bytes(len(data) % 2)
