"""The way an object takes: sources, temporary files, memory, threads, and every VR."""

from __future__ import annotations

import io
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest

from medserver.codecs import Workers, targets, transcode
from medserver.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.errors import CannotTranscode
from tests.codecs.stored import StoredObject, all_objects, compressed, uncompressed
from tests.failures import Failures
from tests.samples import oddity

LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UN", "UR", "UT", "UV")
UNITS = {
    "US": "H", "SS": "h", "AT": "H", "OW": "H", "UL": "L", "SL": "l", "FL": "f", "OF": "f", "OL": "L",
    "FD": "d", "OD": "d", "OV": "Q", "SV": "q", "UV": "Q",
}  # fmt: skip


def element(order: str, tag: tuple[int, int], vr: str, value: bytes) -> bytes:
    """Return an element in explicit VR."""
    if vr in LONG:
        return struct.pack(order + "HH2sHL", *tag, vr.encode(), 0, len(value)) + value
    return struct.pack(order + "HH2sH", *tag, vr.encode(), len(value)) + value


@pytest.mark.parametrize("way", [("<", EXPLICIT_VR_BIG_ENDIAN, ">"), (">", EXPLICIT_VR_LITTLE_ENDIAN, "<")])
def test_every_vr_is_swapped_by_its_unit(way: tuple[str, str, str], workers: Workers, tmp_path: Path) -> None:
    with Failures() as failures:
        for vr in (*UNITS, "OB", "UN", "LO", "PN", "UT", "UI", "DS"):
            with failures.of(vr):
                vr_is_swapped_by_its_unit(vr, *way, workers, tmp_path)


def vr_is_swapped_by_its_unit(
    vr: str, before: str, to_uid: str, after: str, workers: Workers, directory: Path
) -> None:
    unit = UNITS.get(vr)
    numbers = [1, 2, 77, 90]
    values = {order: struct.pack(f"{order}4{unit}", *numbers) if unit else b"1234abcd" for order in "<>"}
    from_uid = EXPLICIT_VR_LITTLE_ENDIAN if before == "<" else EXPLICIT_VR_BIG_ENDIAN
    source = StoredObject(vr, from_uid, element(before, (0x0009, 0x1001), vr, values[before]))
    found = source.transcoded(to_uid, workers, directory)
    assert found.data_set == element(after, (0x0009, 0x1001), vr, values[after])


def test_a_value_larger_than_a_chunk_is_swapped(workers: Workers, tmp_path: Path) -> None:
    count = 300_001
    value = struct.pack(f"<{count}d", *range(count))
    source = StoredObject("", EXPLICIT_VR_LITTLE_ENDIAN, element("<", (0x7FE0, 0x0009), "OD", value))
    found = source.transcoded(EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path)
    assert found.data_set[12:] == struct.pack(f">{count}d", *range(count))


def test_what_explicit_vr_cannot_say_is_un(workers: Workers, tmp_path: Path) -> None:
    """Private elements, unknown ones, and short VRs with long values, in the byte order they had."""
    elements = [(0x0009, 0x0010, b"CREATOR "), (0x0009, 0x1001, b"\1\2\3\4"), (0x0008, 0x7777, b"\1\2")]
    elements.append((0x0028, 0x3002, b"\1\0" * 40000))
    data_set = b"".join(struct.pack("<HHL", *each[:2], len(each[2])) + each[2] for each in elements)
    source = StoredObject("", IMPLICIT_VR_LITTLE_ENDIAN, data_set)
    found = source.transcoded(EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path)
    vrs = ("LO", "UN", "UN", "UN")
    expected = (element(">", each[:2], vr, each[2]) for each, vr in zip(elements, vrs, strict=True))
    assert found.data_set == b"".join(expected)
    assert found.transcoded(IMPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).data_set == data_set


def test_un_of_undefined_length_is_a_sequence(workers: Workers, tmp_path: Path) -> None:
    """PS3.5 6.2.2: its items are Implicit VR Little Endian."""
    inner = struct.pack("<HHL", 0x0008, 0x0060, 2) + b"CT"
    items = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    data_set = struct.pack("<HH2sHL", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF) + items
    source = StoredObject("", EXPLICIT_VR_LITTLE_ENDIAN, data_set)
    for uid in (EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN):
        found = source.transcoded(uid, workers, tmp_path).read()
        assert found[0x0009, 0x1001].value[0].Modality == "CT"


@pytest.mark.parametrize(("pixel_representation", "vr"), [(0, "US"), (1, "SS")])
def test_pixel_representation_decides_in_earlier_elements_and_items(
    pixel_representation: int, vr: str, workers: Workers, tmp_path: Path
) -> None:
    dataset, item = pydicom.Dataset(), pydicom.Dataset()
    item.add_new(0x00221452, vr, 7)  # Mapped Pixel Value
    dataset.AcquisitionContextSequence = [item]
    dataset.add_new(0x00189810, vr, 3)  # Zero Velocity Pixel Value comes before Pixel Representation
    dataset.PixelRepresentation = pixel_representation
    encoded = io.BytesIO()
    dataset.save_as(encoded, implicit_vr=True, little_endian=True, enforce_file_format=False)
    source = StoredObject("", IMPLICIT_VR_LITTLE_ENDIAN, encoded.getvalue())
    found = source.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read()
    assert found[0x00189810].VR == vr
    assert found.AcquisitionContextSequence[0][0x00221452].VR == vr


def test_a_file_is_read_where_it_lies(workers: Workers, tmp_path: Path) -> None:
    stored = uncompressed()[0]
    path = tmp_path / "stored"
    path.write_bytes(b"before" + stored.data_set + b"after")
    expected = stored.transcoded(EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path).data_set
    with path.open("rb") as file:
        file.seek(6)
        size_bytes, uid = len(stored.data_set), stored.transfer_syntax_uid
        with transcode(file, size_bytes, uid, EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path) as transcoded:
            first, second = transcoded.open(), transcoded.open()
            assert first.read(100) == expected[:100]
            assert second.read() == expected, "each stream has its own position"
            assert os.listdir(tmp_path) == ["stored"], "temporary files have no name"
        assert first.read() == expected[100:], "an open stream outlives the context"
        first.close()
        second.close()


def test_an_object_shorter_than_it_should_be(workers: Workers, tmp_path: Path) -> None:
    stored = uncompressed()[0]
    path = tmp_path / "stored"
    path.write_bytes(stored.data_set)
    with path.open("rb") as file:
        for source, reason in (
            (file, f"the data set ends within an element, at {len(stored.data_set)}"),
            (io.BytesIO(stored.data_set), "the stored object is shorter than its data set should be"),
        ):
            with pytest.raises(CannotTranscode, match=f"^{reason}$"):
                arguments = (stored.transfer_syntax_uid, EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path)
                with transcode(source, len(stored.data_set) + 1, *arguments):
                    pass


def test_damaged_files_are_refused_for_their_reason(workers: Workers, tmp_path: Path) -> None:
    damaged = [each for each in all_objects() if oddity(each.name).transcoding]
    assert len(damaged) == 4
    for each in damaged:
        for uid in targets(each.transfer_syntax_uid):
            with pytest.raises(CannotTranscode, match=f"^{re.escape(oddity(each.name).transcoding)}$"):
                each.transcoded(uid, workers, tmp_path)


def test_eight_threads_at_once(workers: Workers, tmp_path: Path) -> None:
    objects = [*compressed(), *uncompressed()[:16]] * 2
    expected = [each.transcoded(_other(each), workers, tmp_path).data_set for each in objects]
    with ThreadPoolExecutor(8) as threads:
        work = threads.map(lambda each: each.transcoded(_other(each), workers, tmp_path).data_set, objects)
        assert list(work) == expected
    assert os.listdir(tmp_path) == []


def _other(stored: StoredObject) -> str:
    if stored.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
        return EXPLICIT_VR_LITTLE_ENDIAN
    return EXPLICIT_VR_BIG_ENDIAN
