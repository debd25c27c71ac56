"""Data sets that lie: each ends in CannotTranscode, soon and within the memory limit."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames

from medserver.codecs import Workers, transcode
from medserver.codecs.data_sets.survey import Survey
from medserver.dicom.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.dicom.walker import Walker
from medserver.errors import CannotTranscode, TransferSyntaxNotSupported
from tests.codecs import images
from tests.codecs.stored import JPEG, StoredObject, compressed, stored_file
from tests.failures import Failures

JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"


def explicit(group: int, element: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """Return an element in Explicit VR Little Endian, with a length that may lie."""
    length = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN"):
        return struct.pack("<HH2sHL", group, element, vr, 0, length) + value
    return struct.pack("<HH2sH", group, element, vr, length) + value


def item(value: bytes) -> bytes:
    """Return an item of defined length."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def number(element: int, value: int) -> bytes:
    """Return an element of group 0028."""
    return explicit(0x28, element, b"US", struct.pack("<H", value))


def image(frame: bytes, rows: int = 64, columns: int = 64) -> bytes:
    """Return a compressed image of one frame."""
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    fragments = item(b"") + item(frame) + end
    return b"".join((
        number(0x0002, 1), explicit(0x28, 0x0004, b"CS", b"MONOCHROME2 "), number(0x0010, rows),
        number(0x0011, columns), number(0x0100, 16), number(0x0101, 16), number(0x0102, 15), number(0x0103, 0),
        explicit(0x7FE0, 0x0010, b"OB", fragments, 0xFFFFFFFF),
    ))  # fmt: skip


def attempt(data_set: bytes, uid: str, workers: Workers, directory: Path) -> None:
    """Transcode a data set into Explicit VR Little Endian, or Implicit if it is that already."""
    to_uid = EXPLICIT_VR_LITTLE_ENDIAN if uid != EXPLICIT_VR_LITTLE_ENDIAN else IMPLICIT_VR_LITTLE_ENDIAN
    StoredObject("hostile", uid, data_set).transcoded(to_uid, workers, directory)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_deep_nesting(length: int, workers: Workers, tmp_path: Path) -> None:
    data_set = b""
    for _ in range(5000):
        nested = item(data_set)
        data_set = explicit(0x0040, 0xA730, b"SQ", nested)
    if length:  # undefined lengths all the way down, and no end
        data_set = (
            explicit(0x0040, 0xA730, b"SQ", b"", length) + struct.pack("<HHL", 0xFFFE, 0xE000, length)
        ) * 5000
    with pytest.raises(CannotTranscode, match="nested"):
        attempt(data_set, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


LYING = [
    (explicit(0x0010, 0x0010, b"PN", b"A", 0xFFFF), "a value of 65535 bytes at 8 goes beyond 9"),
    (explicit(0x0042, 0x0011, b"OB", b"A", 0xFFFFFFFE), "a value of 4294967294 bytes at 12 goes beyond 13"),
    (explicit(0x0042, 0x0011, b"OB", b"A", 0xFFFFFFFF), "(0042,0011) has VR OB and an undefined length"),
    (explicit(0x0040, 0xA730, b"SQ", item(b"")[:-1], 0xFFFFFFFF), "the data set ends within an element, at 12"),
    (explicit(0x0040, 0xA730, b"SQ", item(number(0x10, 1)), 10), "a value of 10 bytes at 20 goes beyond 22"),
    (explicit(0x0040, 0xA730, b"SQ", number(0x10, 1)), "(0028,0010) instead of an item, before 20"),
    (item(b""), "delimiter (FFFE,E000) in a data set, before 8"),
    (struct.pack("<HHL", 0xFFFE, 0xE00D, 0), "delimiter (FFFE,E00D) in a data set, before 8"),
    (number(0x10, 1)[:5], "the data set ends within an element, at 0"),
    (
        explicit(0x7FE0, 0x0010, b"OB", item(b"") + item(b"abcd"), 0xFFFFFFFF),
        "the data set ends within an element, at 32",
    ),
    (
        explicit(0x7FE0, 0x0010, b"OB", item(b"") + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF),
        "Pixel Data is encapsulated, though the transfer syntax is not",
    ),
]


def test_lying_lengths(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for data_set, reason in LYING:
            with failures.of(reason), pytest.raises(CannotTranscode, match=f"^{re.escape(reason)}$"):
                attempt(data_set, EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


@pytest.mark.parametrize("vr", [b"US", b"OW", b"FD", b"AT"])
def test_a_fraction_of_a_unit_cannot_be_swapped(vr: bytes, workers: Workers, tmp_path: Path) -> None:
    source = StoredObject("odd", EXPLICIT_VR_LITTLE_ENDIAN, explicit(0x0028, 0x9999, vr, b"abc"))
    with pytest.raises(CannotTranscode, match="3 bytes"):
        source.transcoded(EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path)


@pytest.mark.parametrize(("rows", "columns"), [(65535, 65535), (64, 65), (65, 64), (32, 128)])
def test_a_jpeg_2000_that_lies_about_its_size(rows: int, columns: int, workers: Workers, tmp_path: Path) -> None:
    """What SIZ says, as the size of the image and that of its only tile (ISO/IEC 15444-1 A.5.1)."""
    true = images.image((1, 64, 64), "u2", 16).transcoded(JPEG_2000, workers, tmp_path)
    [stream] = generate_frames(true.read().PixelData, number_of_frames=1)
    size = struct.pack(">LL", columns, rows)
    lying = stream[:8] + size + stream[16:24] + size + stream[32:]
    assert len(lying) == len(stream) > 4160
    with pytest.raises(CannotTranscode, match=f"^the code stream has {rows} rows and {columns} columns$"):
        attempt(image(lying), JPEG_2000, workers, tmp_path)


def test_more_pixels_than_a_value_holds_are_not_even_decoded(workers: Workers, tmp_path: Path) -> None:
    for uid in (JPEG_2000, RLE_LOSSLESS, *JPEG):
        with pytest.raises(CannotTranscode, match="^the decoded Pixel Data would be longer than a value can be$"):
            attempt(image(b"\xff\xd8", 65535, 65535), uid, workers, tmp_path)


NONSENSE = [
    (JPEG_2000, b"", "No matching JPEG 2000 format found"),
    (JPEG_2000, b"\0" * 64, "No matching JPEG 2000 format found"),
    (JPEG_2000, b"\xff\x4f\xff\x51" * 16, "failed to read the header"),
    (JPEG_2000, b"\xff" * 4096, "No matching JPEG 2000 format found"),
    (RLE_LOSSLESS, b"", "The RLE header can only be 64 bytes long"),
    (RLE_LOSSLESS, b"\0" * 64, "the expected amount (0 vs. 2 segments)"),
    (RLE_LOSSLESS, b"\xff\x4f\xff\x51" * 16, "The RLE header specifies an invalid number of segments (1375686655)"),
    (RLE_LOSSLESS, b"\xff" * 4096, "The RLE header specifies an invalid number of segments (4294967295)"),
]


def test_frames_of_nonsense(workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for uid, frame, reason in NONSENSE:
            with failures.of((uid, frame[:8])), pytest.raises(CannotTranscode, match=f"{re.escape(reason)}$"):
                attempt(image(frame), uid, workers, tmp_path)


def test_native_pixels_in_a_compressed_syntax(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(CannotTranscode, match="not encapsulated"):
        attempt(explicit(0x7FE0, 0x0010, b"OB", bytes(64)), JPEG_2000, workers, tmp_path)


def test_more_pixels_than_a_value_holds(workers: Workers, tmp_path: Path) -> None:
    data_set = image(bytes(64), 65535, 65535).replace(number(0x0002, 1), number(0x0002, 3))
    with pytest.raises(CannotTranscode, match="longer than a value"):
        attempt(data_set, RLE_LOSSLESS, workers, tmp_path)


def test_truncated_streams(workers: Workers, tmp_path: Path) -> None:
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"):
        whole = next(each for each in compressed() if each.name == name)
        half = len(whole.data_set) // 2
        for size_bytes, reason in (
            (1, "the data set ends within an element, at 0"),
            (9, "a value of 24 bytes at 8 goes beyond 9"),
            (700, "a value of 42 bytes at 678 goes beyond 700"),
            (half, rf"a value of \d+ bytes at 118\d goes beyond {half}"),
        ):
            with pytest.raises(CannotTranscode, match=f"^{reason}$"):
                attempt(whole.data_set[:size_bytes], whole.transfer_syntax_uid, workers, tmp_path)


def test_deflate_bomb(workers: Workers, tmp_path: Path) -> None:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    header = explicit(0x7FE0, 0x0010, b"OB", b"", 400 * 2**20)
    bomb = b"".join([deflater.compress(header), *(deflater.compress(bytes(2**20)) for _ in range(400))])
    bomb += deflater.flush()
    assert len(bomb) < 2**20
    with pytest.raises(CannotTranscode, match="inflates to more"):
        attempt(bomb, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def test_no_bomb_is_made_here(workers: Workers, tmp_path: Path) -> None:
    """What is deflated here is read here: a blank image of 78 MB is not deflated, one of 60 MiB is."""
    for size_bytes, is_deflated in ((300 * 512 * 512, False), (60 * 2**20, True)):
        data_set = explicit(0x7FE0, 0x0010, b"OB", bytes(size_bytes))
        arguments = (EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
        with nullcontext() if is_deflated else pytest.raises(CannotTranscode, match="would be taken for a bomb"):
            with transcode(io.BytesIO(data_set), len(data_set), *arguments) as transcoded, transcoded.open() as stream:
                deflated = stream.read()
            attempt(deflated, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def test_damaged_deflate(workers: Workers, tmp_path: Path) -> None:
    for data_set in (b"", b"\xff" * 100, zlib.compress(bytes(1000), wbits=-15)[:-3]):
        with pytest.raises(CannotTranscode, match="deflated"):
            attempt(data_set, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def test_output_size_limit(workers: Workers, tmp_path: Path) -> None:
    data_set = explicit(0x7FE0, 0x0010, b"OB", bytes(2**20))
    arguments = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    small = transcode(io.BytesIO(data_set), len(data_set), *arguments, size_max_bytes=2**16)
    with pytest.raises(CannotTranscode, match="too large"), small:
        pass
    with transcode(io.BytesIO(data_set), len(data_set), *arguments) as transcoded:
        assert transcoded.size_bytes == len(data_set) - 4, "the limit was that job's alone"


def test_impossible_targets(workers: Workers, tmp_path: Path) -> None:
    for uid in ("1.2.840.10008.1.2.4.102", "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN):
        with pytest.raises(TransferSyntaxNotSupported):
            StoredObject("", uid, b"").transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_bytes_are_walked_or_refused(data: st.DataObject) -> None:
    """Whatever a real data set is changed into, the walk ends, with CannotTranscode or without."""
    encoding: Encoding = data.draw(st.sampled_from([EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE]))
    start = explicit(0x0040, 0xA730, b"SQ", item(number(0x10, 1)) + item(b"")) + image(b"frame!")
    changed = bytearray(start)
    for _ in range(data.draw(st.integers(0, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    stream = io.BytesIO(changed)
    try:
        Walker(stream, len(changed), encoding, Survey(stream, True)).walk()
    except CannotTranscode as error:
        assert str(error)


@pytest.mark.parametrize(
    ("name", "frame_header"),
    [("SC_jpeg_no_color_transform.dcm", 0xC0), ("JPEG-lossy.dcm", 0xC1), ("SC_rgb_jpeg_gdcm.dcm", 0xC3)],
)
def test_a_jpeg_that_lies_about_its_size(name: str, frame_header: int, workers: Workers, tmp_path: Path) -> None:
    """What its frame header says (ISO/IEC 10918-1 B.2.2), of each process that is decoded."""
    dataset = next(each for each in compressed() if each.name == name).read()
    [stream] = generate_frames(dataset.PixelData, number_of_frames=1)
    size = stream.index(bytes([0xFF, frame_header])) + 5
    rows, columns = dataset.Rows, dataset.Columns
    for lie, reason in (
        ((65535, 65535), "the work needs more memory than is allowed"),
        ((rows + 1, columns), f"the code stream has {rows + 1} rows and {columns} columns"),
        ((rows, columns + 8), f"the code stream has {rows} rows and {columns + 8} columns"),
    ):
        dataset.PixelData = encapsulate([stream[:size] + struct.pack(">HH", *lie) + stream[size + 4 :]])
        dataset.save_as(tmp_path / "lying.dcm")
        with pytest.raises(CannotTranscode, match=f"^{reason}$"):
            stored_file(tmp_path / "lying.dcm").transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)


def test_jpegs_with_any_byte_changed_break_nothing(workers: Workers, tmp_path: Path) -> None:
    """Whatever comes of them, it is an answer, and the next one is answered as well."""
    chance = random.Random(7)
    for one in compressed():
        if one.transfer_syntax_uid not in JPEG or len(one.data_set) > 100_000:
            continue
        for _ in range(20):
            data_set = bytearray(one.data_set)
            for _ in range(chance.randrange(1, 6)):
                data_set[chance.randrange(len(data_set) // 2, len(data_set))] = chance.randrange(256)
            with suppress(CannotTranscode, TransferSyntaxNotSupported):
                attempt(bytes(data_set), one.transfer_syntax_uid, workers, tmp_path)
