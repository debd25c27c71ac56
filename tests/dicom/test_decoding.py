"""Whole data sets of peers: what pydicom reads, with the texts of our own decoder, and no codec of a peer's choice."""

from __future__ import annotations

import struct
import time

import pytest
from medserver.dicom.decoding import DEPTH_MAX, decode_data_set, decode_element, undecoded_data_set
from medserver.dicom.elements import EVERY_TAG, scan_elements
from medserver.dicom.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from medserver.errors import CannotUnderstand
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

SYNTAXES = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]
EXPLICIT = transfer_syntax(EXPLICIT_VR_LITTLE_ENDIAN)


def data_set(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset, uid: str) -> bytes:
    syntax = transfer_syntax(uid)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, dataset)
    return stream.getvalue()


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if vr in ("SQ", "UT", "UN") else struct.pack("<H", len(value))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + value


def item(*elements: bytes) -> bytes:
    value = b"".join(elements)
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value


@pytest.mark.parametrize("undefined_length", [True, False])
@pytest.mark.parametrize("uid", SYNTAXES)
def test_a_data_set_is_what_pydicom_wrote(uid: str, undefined_length: bool) -> None:
    inner = data_set(CodeValue="T-1", CodeMeaning="頭部", Rows=7)
    nested = data_set(RequestedProcedureDescription="検査", RequestedProcedureCodeSequence=[inner])
    dataset = data_set(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        OtherPatientIDs=["A", "B"],
        ImageComments="a\\b",
        StudyDate="20260101",
        Rows=512,
        PixelSpacing=[0.5, 0.25],
        PatientWeight=None,
        FrameIncrementPointer=[0x00181063, 0x00181065],
        RequestAttributesSequence=[nested, data_set(AccessionNumber="1")],
        ReferencedImageSequence=[],
    )
    dataset.private_block(0x0099, "TESTS", create=True).add_new(1, "LO", "private")
    dataset["RequestAttributesSequence"].is_undefined_length = undefined_length
    for one in dataset.RequestAttributesSequence:
        one.is_undefined_length_sequence_item = undefined_length
    decoded = decode_data_set(encoded(dataset, uid), transfer_syntax(uid))
    if uid == IMPLICIT_VR_LITTLE_ENDIAN:
        assert decoded[0x00991001].value == b"private ", "nobody can know"
        del decoded[0x00991001], dataset[0x00991001]
    assert decoded == dataset
    if not undefined_length:
        assert encoded(decoded, uid) == encoded(dataset, uid)


def test_katakana_stays_what_it_is() -> None:
    raw = element(0x00080005, "CS", b"ISO_IR 13") + element(0x00100010, "PN", b"\xd4\xcf\xc0\xdeABC")
    assert str(decode_data_set(raw, EXPLICIT).PatientName) == "ﾔﾏﾀﾞABC"


@pytest.mark.parametrize("codec", ["punycode", "unicode_escape", "hex", "zip", "rot13"])
def test_no_codec_is_taken_from_a_peer(codec: str) -> None:
    """Neither for the data set nor for an item, neither in reading nor when it is written again."""
    character_set = element(0x00080005, "CS", codec.encode())
    text = b"a\xff\\u0041-" * 30_000
    inner = item(character_set, element(0x00081030, "UT", text))
    raw = character_set + element(0x00081110, "SQ", inner) + element(0x00204000, "UT", text)
    started = time.monotonic()
    decoded = decode_data_set(raw, EXPLICIT)
    assert decoded.SpecificCharacterSet in (None, "")
    assert "SpecificCharacterSet" not in decoded.ReferencedStudySequence[0]
    assert decoded.ImageComments == decoded.ReferencedStudySequence[0].StudyDescription == text.decode("latin-1")
    encoded(decoded, EXPLICIT_VR_LITTLE_ENDIAN)
    header = undecoded_data_set(scan_elements(raw, EXPLICIT, EVERY_TAG).values, EXPLICIT)
    assert header.ImageComments == text.decode("latin-1")
    assert decode_element(header, 0x00081110) == decoded["ReferencedStudySequence"]
    assert time.monotonic() - started < 3


def test_an_item_has_its_own_character_set() -> None:
    name = element(0x00081030, "LO", "Größe".encode("latin-1"))
    items = item(name) + item(element(0x00080005, "CS", b"ISO_IR 192"), element(0x00081030, "LO", "頭".encode()))
    raw = element(0x00080005, "CS", b"ISO_IR 100") + element(0x00081110, "SQ", items)
    first, second = decode_data_set(raw, EXPLICIT).ReferencedStudySequence
    assert (first.StudyDescription, second.StudyDescription) == ("Größe", "頭")


@pytest.mark.parametrize(
    "raw",
    [
        element(0x00100010, "PN", b"Doe")[:-1],
        element(0x00280010, "US", b"abcd")[:-2] + b"x",
        element(0x00081110, "SQ", item(element(0x00100010, "PN", b"Doe"))[:-2]),
        element(0x00081110, "SQ", item(element(0x00100010, "PN", b"Doe")[:-2])),
        element(0x00081110, "SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff"),
        element(0x00100010, "ZZ", b"abcd"),
        b"\xfe\xff\x0d\xe0\0\0\0\0",
    ],
)
def test_damage_is_not_passed_over(raw: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        decode_data_set(element(0x00080000, "UL", b"\0\0\0\0") + raw, EXPLICIT)


def test_depth_is_limited() -> None:
    raw = b""
    for _ in range(DEPTH_MAX):
        raw = element(0x00081110, "SQ", item(raw))
    decode_data_set(raw, EXPLICIT)
    with pytest.raises(CannotUnderstand, match="deep"):
        decode_data_set(element(0x00081110, "SQ", item(raw)), EXPLICIT)
