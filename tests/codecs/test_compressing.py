"""Compression without loss: the pixels are those of the original, for every decoder; what cannot be is refused."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pydicom
import pytest
from pydicom.encaps import parse_basic_offsets

from medserver.codecs import Workers, compressions, targets
from medserver.codecs.data_sets.survey import Facts
from medserver.codecs.pixels import encoders
from medserver.codecs.pixels.encoding import EncodedFrames
from medserver.codecs.pixels.image import Image, image_of
from medserver.codecs.table import codec_of
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.errors import CannotTranscode, TransferSyntaxNotSupported
from tests.codecs.images import image, pixels_of, stored
from tests.codecs.stored import StoredObject, flattened, stored_file, stored_objects
from tests.failures import Failures
from tests.peers import requires
from tests.peers.process import run
from tests.samples import oddity

ENCODED = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS)
PIXEL_ELEMENTS = {0x00280004, 0x00280006, 0x7FE00010, 0x7FE00001, 0x7FE00002}
BUT = "bits, but of 3-8 of 8, 3-16 of 16, 17-22 of 32 bits, signed or not"
NO_PIXELS = "there is no Pixel Data to compress"
SLOW = {("examples_ybr_color.dcm", uid) for uid in (JPEG_2000_LOSSLESS, RLE_LOSSLESS)}
"""30 frames that take as long as all others together; two of the encoders have them."""
Outcomes = dict[tuple[StoredObject, str], StoredObject | str]


@pytest.fixture(scope="module")
def outcomes(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Give what becomes of every sample in every transfer syntax: it is compressed, or refused for a reason."""
    directory = tmp_path_factory.mktemp("compressed")

    def outcome(case: tuple[StoredObject, str]) -> StoredObject | str:
        one, uid = case
        try:
            return one.transcoded(uid, workers, directory)
        except CannotTranscode as error:
            return str(error)

    cases = [(one, uid) for one in stored_objects() for uid in ENCODED if uid != one.transfer_syntax_uid]
    cases = [(one, uid) for one, uid in cases if (one.name, uid) not in SLOW]
    with ThreadPoolExecutor(workers.count) as threads:
        return dict(zip(cases, threads.map(outcome, cases), strict=True))


def compressed_ones(outcomes: Outcomes) -> list[tuple[StoredObject, StoredObject]]:
    """Return every original and what it was compressed into."""
    return [(one, outcome) for (one, _), outcome in outcomes.items() if isinstance(outcome, StoredObject)]


def others(one: StoredObject) -> list:
    """Return every element that compression must leave alone."""
    return [each for each in flattened(one.read()) if len(each[0]) > 1 or each[0][0] not in PIXEL_ELEMENTS]


def test_everything_that_can_be_encoded_is_listed() -> None:
    assert compressions(EXPLICIT_VR_LITTLE_ENDIAN) == (*ENCODED, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    assert JPEG_2000_LOSSLESS not in compressions(JPEG_2000_LOSSLESS)
    assert compressions("1.2.3") == ()


def test_every_sample_is_compressed_or_refused_for_its_reason(outcomes: Outcomes) -> None:
    with Failures() as failures:
        for (one, uid), outcome in outcomes.items():
            with failures.of(f"{one.name} in {uid}"):
                reason = oddity(one.name).not_compressed(uid) if "PixelData" in one.read() else NO_PIXELS
                assert (outcome if isinstance(outcome, str) else "") == reason


def test_every_sample_that_was_compressed_comes_back(outcomes: Outcomes, workers: Workers, tmp_path: Path) -> None:
    """The native form of what was compressed is the native form of the original, byte for byte."""
    natives = {one: as_native(one, workers, tmp_path) for one in {one for one, _ in compressed_ones(outcomes)}}
    expected = {one: (others(native), pixels_of(native)) for one, native in natives.items()}
    with Failures() as failures, ThreadPoolExecutor(workers.count) as threads:
        cases = [
            (one, compressed, threads.submit(as_native, compressed, workers, tmp_path))
            for one, compressed in compressed_ones(outcomes)
        ]
        for one, compressed, decoded in cases:
            with failures.of(f"{one.name} in {compressed.transfer_syntax_uid}"):
                back = decoded.result()
                assert (others(back), pixels_of(back)) == expected[one]
                assert others(compressed) == others(back)


def as_native(one: StoredObject, workers: Workers, directory: Path) -> StoredObject:
    if one.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return one
    return one.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, directory)


def test_another_program_decodes_every_kind_that_was_compressed(
    outcomes: Outcomes, workers: Workers, tmp_path: Path
) -> None:
    """GDCM, byte for byte. HTJ2K, which it does not know, OpenJPEG decodes; OpenJPH has encoded it."""
    requires("gdcm")
    cases = sorted(compressed_ones(outcomes), key=lambda case: -len(case[0].data_set))
    smallest = {(kind_of(one), compressed.transfer_syntax_uid): (one, compressed) for one, compressed in cases}
    assert len(smallest) >= 73
    with Failures() as failures, ThreadPoolExecutor(2) as threads:
        decoded = [threads.submit(_decoded, compressed, tmp_path) for _, compressed in smallest.values()]
        for (one, compressed), pixels in zip(smallest.values(), decoded, strict=True):
            with failures.of(f"{one.name} in {compressed.transfer_syntax_uid}"):
                assert pixels.result() == pixels_of(as_native(one, workers, tmp_path))


def kind_of(one: StoredObject) -> tuple:
    """Return what of an image encoders and decoders look at, but for its pixels."""
    dataset = one.read()
    small, odd = min(dataset.Rows, dataset.Columns) < 32, dataset.Rows * dataset.Columns % 2
    keywords = ("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation")
    frames = int(dataset.get("NumberOfFrames", None) or 1)
    planar = dataset.get("PlanarConfiguration", 0)
    return *(dataset.get(keyword) for keyword in keywords), planar, frames > 1, small, odd


def _decoded(compressed: StoredObject, directory: Path) -> bytes:
    if compressed.transfer_syntax_uid == HTJ2K_LOSSLESS or oddity(compressed.name).gdcm:
        return pixels_of(compressed)
    path = directory / f"{uuid4()}.dcm"
    path.write_bytes(compressed.part10())
    run(["gdcmconv", "--raw", path, path.with_suffix(".raw")]).check()
    return pixels_of(stored_file(path.with_suffix(".raw")))


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_the_code_stream_says_the_bits_that_are_stored(uid: str, workers: Workers, tmp_path: Path) -> None:
    """PS3.5 8.2.4: the elements are consistent with the code stream."""
    for dtype, bits, signed in (("u2", 12, 0), ("i2", 12, 0x80), ("u2", 16, 0), ("u1", 8, 0)):
        compressed = image((1, 32, 48), dtype, bits).transcoded(uid, workers, tmp_path)
        [stream] = pydicom.encaps.generate_frames(compressed.read().PixelData, number_of_frames=1)
        assert stream[42] == signed | bits - 1


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
@pytest.mark.parametrize(
    ("interpretation", "encoded", "is_transformed"), [("RGB", "YBR_RCT", 1), ("YBR_FULL", "YBR_FULL", 0)]
)
@pytest.mark.parametrize("size", [(32, 48), (3, 3)])
def test_only_the_components_of_rgb_are_transformed(
    size: tuple[int, int], interpretation: str, encoded: str, is_transformed: int, uid: str, workers: Workers,
    tmp_path: Path,
) -> None:  # fmt: skip
    """PS3.5 8.2.4: YBR_RCT is what the code stream says, and nothing else is."""
    one = image((1, *size, 3), "u1", 8, interpretation)
    compressed = one.transcoded(uid, workers, tmp_path)
    assert compressed.read().PhotometricInterpretation == encoded
    [stream] = pydicom.encaps.generate_frames(compressed.read().PixelData, number_of_frames=1)
    assert stream[stream.index(b"\xff\x52") + 8] == is_transformed  # COD: ISO/IEC 15444-1 A.6.1
    assert compressed.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read().PixelData == one.read().PixelData
    assert pixels_of(compressed) == pixels_of(one)


@pytest.mark.parametrize("uid", [JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_the_proof_is_made_with_the_decoder_that_is_used(uid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenJPH gives 12 signed bits though the code stream says 11; the usual decoder clamps them."""
    data_set = image((1, 32, 48), "i2", 12).read()
    pixels = image_of(Facts({
        0x00280010: b"\x20\0", 0x00280011: b"\x30\0", 0x00280100: b"\x10\0", 0x00280101: b"\x0c\0",
        0x00280004: b"MONOCHROME2 ", 0x00280103: b"\1\0",
    }))  # fmt: skip
    function = codec_of(uid).encoder_for(pixels).function
    encode = getattr(encoders, function)

    def as_11_bits(frame: bytes, of: Image, encoded_as: str) -> bytes:
        stream = bytearray(encode(frame, of, encoded_as))
        stream[42] = 0x80 | 11 - 1
        return bytes(stream)

    def encoded() -> list[bytes]:
        return list(EncodedFrames(pixels, codec_of(uid), io.BytesIO(data_set.PixelData), len(data_set.PixelData)))

    assert encoded()
    monkeypatch.setattr(encoders, function, as_11_bits)
    with pytest.raises(CannotTranscode, match="would not be decoded as it was"):
        encoded()


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
    for keyword, value, reason in (
        ("Rows", 65535, "the Pixel Data has 3072 bytes instead of 6291360"),
        ("NumberOfFrames", 100_000, "the Pixel Data has 3072 bytes instead of 307200000"),
        ("BitsAllocated", 64, f"JPEG 2000 is not used for MONOCHROME2 of 12 of 64 {BUT}"),
        ("BitsStored", 40, f"JPEG 2000 is not used for MONOCHROME2 of 40 of 16 {BUT}"),
    ):
        dataset = image((1, 32, 48), "u2", 12).read()
        setattr(dataset, keyword, value)
        with pytest.raises(CannotTranscode, match=f"^{reason}$"):
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
