from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medserver.dicom.character_sets import decode_text
from medserver.dicom.elements import SplitItems, inflate_prefix, scan_elements, split_items
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax, transfer_syntax
from tests.failures import Failures
from tests.samples import name_of, oddity, paths

IMPLICIT = transfer_syntax(ImplicitVRLittleEndian)
EXPLICIT = transfer_syntax(ExplicitVRLittleEndian)
BIG_ENDIAN = transfer_syntax(ExplicitVRBigEndian)
DEFLATED = transfer_syntax("1.2.840.10008.1.2.1.99")
NATIVE = [IMPLICIT, EXPLICIT, BIG_ENDIAN]

PATIENT_NAME, PATIENT_ID, STUDY_UID = 0x00100010, 0x00100020, 0x0020000D
CHARACTER_SET, REQUEST_ATTRIBUTES = 0x00080005, 0x00400275
BEYOND_ALL = 0xFFFCFFFF
STRING_VRS = set("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())


def read_file(path: Path) -> tuple[bytes, TransferSyntax]:
    content = path.read_bytes()
    meta = read_file_meta(io.BytesIO(content))
    syntax = transfer_syntax(meta.transfer_syntax_uid)
    raw = content[meta.data_set_offset :]
    return (inflate_prefix(raw, 100_000_000) if syntax.deflated else raw), syntax


REAL_FILES = [path for path in paths() if path.name != "meta_missing_tsyntax.dcm"]  # it does not say how to read it
SMALL_FILES = [read_file(path) for path in REAL_FILES if path.stat().st_size < 20_000]


def encode(dataset: Dataset, syntax: TransferSyntax) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, implicit_vr=syntax.implicit_vr, little_endian=syntax.little_endian)
    return stream.getvalue()


def patient(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID = "Doe^Jane", "P1", "1.2.3"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    if vr in (b"OB", b"SQ", b"UN", b"UT"):
        return struct.pack("<HH2sHL", group, number, vr, 0, length) + value
    return struct.pack("<HH2sH", group, number, vr, length) + value


def implicit_element(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", group, number, len(value) if length is None else length) + value


UNDEFINED = 0xFFFFFFFF
ITEM_END = implicit_element(0xFFFE, 0xE00D, b"")
SEQUENCE_END = implicit_element(0xFFFE, 0xE0DD, b"")
OPEN_ITEM = implicit_element(0xFFFE, 0xE000, b"", UNDEFINED)
NAME = element(0x0010, 0x0010, b"PN", b"Doe^Jane")
FOUND_NAME = {PATIENT_NAME: ("PN", b"Doe^Jane")}


def test_there_are_real_files():
    assert len(REAL_FILES) > 170
    assert len(SMALL_FILES) > 50


@pytest.mark.filterwarnings("ignore")
def test_values_and_texts_are_those_of_pydicom():
    with Failures() as failures:
        for path in REAL_FILES:
            with failures.of(name_of(path)):
                values_are_those_of_pydicom(path)
                texts_are_those_of_pydicom(path)


def values_are_those_of_pydicom(path: Path) -> None:
    raw, syntax = read_file(path)
    dataset = pydicom.dcmread(path)
    found = scan_elements(raw, syntax, frozenset(dataset.keys()) | {BEYOND_ALL})
    expected = {tag: dataset.get_item(tag) for tag in dataset.keys()}
    if oddity(path.name).cut_off:
        assert found.problem and found.end > len(raw)
        del expected[max(expected)]
    else:
        assert found.problem is None and found.end == len(raw)
    assert found.values.keys() == expected.keys()
    for tag, item in expected.items():
        vr, value = found.values[tag]
        if isinstance(item, RawDataElement):
            assert vr in ("", item.VR)
            assert value == (item.value or b"")


def texts_are_those_of_pydicom(path: Path) -> None:
    raw, syntax = read_file(path)
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    tags = [item.tag for item in dataset if item.VR in STRING_VRS]
    found = scan_elements(raw, syntax, frozenset(tags) | {CHARACTER_SET}).values
    character_set = decode_text(found.get(CHARACTER_SET, ("", b""))[1], "CS", ()).split("\\")
    for tag in tags:
        item = dataset[tag]
        values = item.value if item.VM > 1 else [item.value]
        expected = ["" if value is None else str(value).strip() for value in values]
        text = decode_text(found[tag][1], item.VR, character_set)
        undivided = item.VR in ("LT", "ST", "UT", "UR")
        got = [value.strip() for value in ([text] if undivided else text.split("\\"))]
        if item.VR == "PN":
            got, expected = [value.rstrip("=") for value in got], [value.rstrip("=") for value in expected]
        assert got == expected


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_wanted_elements_of_each_encoding(syntax):
    raw = encode(patient(OtherPatientNames=["A^B", "C^D"], Rows=512), syntax)
    found = scan_elements(raw, syntax, frozenset({PATIENT_NAME, STUDY_UID, 0x00081030}))
    vr = {True: "", False: "PN"}[syntax.implicit_vr]
    assert found.values[PATIENT_NAME] == (vr, b"Doe^Jane")
    assert found.values.keys() == {PATIENT_NAME, STUDY_UID}
    assert found.complete and found.problem is None
    assert found.end == len(raw) - 10


def test_memory_view_gives_bytes():
    raw = encode(patient(), EXPLICIT)
    found = scan_elements(memoryview(bytearray(raw)), EXPLICIT, frozenset({PATIENT_NAME}))
    assert found == scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME}))
    assert type(found.values[PATIENT_NAME][1]) is bytes


def test_nothing_wanted_and_nothing_there():
    assert scan_elements(NAME, EXPLICIT, frozenset()).complete
    found = scan_elements(b"", EXPLICIT, frozenset({PATIENT_NAME}))
    assert (found.values, found.complete, found.problem) == ({}, False, None)


def test_end_between_elements_is_incomplete_but_no_problem():
    found = scan_elements(NAME, EXPLICIT, frozenset({PATIENT_NAME, STUDY_UID}))
    assert found.values == FOUND_NAME
    assert (found.complete, found.end, found.problem) == (False, len(NAME), None)


def test_end_within_an_element():
    for kept in range(1, len(NAME)):
        found = scan_elements(NAME[:kept], EXPLICIT, frozenset({PATIENT_NAME}))
        assert found.values == {}
        assert not found.complete and "within an element" in found.problem
        assert found.end == (len(NAME) if kept >= 8 else 0)


def test_claimed_length_beyond_the_bytes():
    raw = element(0x0009, 0x1001, b"OB", b"xx", 0x7FFFFFFE) + NAME
    found = scan_elements(raw, EXPLICIT, frozenset({0x00091001, PATIENT_NAME}))
    assert found.values == {} and found.end == 12 + 0x7FFFFFFE
    assert found.problem


def test_last_of_repeated_elements():
    raw = element(0x0010, 0x0010, b"PN", b"Roe^John") + NAME
    assert scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME})).values == FOUND_NAME


def test_unknown_vr_has_the_short_form():
    raw = element(0x0008, 0x0001, b"ZZ", b"abcd") + NAME
    assert scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME})).values == FOUND_NAME


def test_value_of_unknown_vr_un():
    raw = element(0x0010, 0x0010, b"UN", b"Doe^Jane")
    found = scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME}))
    assert found.values == {PATIENT_NAME: ("UN", b"Doe^Jane")}


def test_implicit_element_in_an_explicit_data_set():
    raw = implicit_element(0x0008, 0x1030, b"HEAD") + NAME
    found = scan_elements(raw, EXPLICIT, frozenset({0x00081030, PATIENT_NAME}))
    assert found.values == {0x00081030: ("", b"HEAD")} | FOUND_NAME


def test_data_set_in_the_other_vr_encoding():
    dataset = patient()
    wanted = frozenset({PATIENT_NAME})
    assert scan_elements(encode(dataset, EXPLICIT), IMPLICIT, wanted).values == FOUND_NAME
    found = scan_elements(encode(dataset, IMPLICIT), EXPLICIT, wanted)
    assert found.values == {PATIENT_NAME: ("", b"Doe^Jane")}


def test_delimiter_outside_of_a_sequence():
    found = scan_elements(SEQUENCE_END + NAME, EXPLICIT, frozenset({PATIENT_NAME}))
    assert not found.complete and "delimiter outside" in found.problem


def nested(levels: int, undefined: bool) -> Dataset:
    dataset = Dataset()
    dataset.CodeMeaning = "innermost"
    for _ in range(levels):
        outer = Dataset()
        outer.ContentSequence = Sequence([dataset, Dataset(), dataset])
        outer["ContentSequence"].is_undefined_length = undefined
        for item in outer.ContentSequence:
            item.is_undefined_length_sequence_item = undefined
        dataset = outer
    return dataset


@pytest.mark.parametrize("undefined", [True, False], ids=["undefined length", "defined length"])
@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_nested_sequences_are_passed(syntax, undefined):
    dataset = nested(3, undefined)
    dataset.ReferencedImageSequence = dataset.pop("ContentSequence").value
    dataset["ReferencedImageSequence"].is_undefined_length = undefined
    raw = encode(dataset, syntax) + encode(patient(), syntax)
    found = scan_elements(raw, syntax, frozenset({0x00081140, PATIENT_NAME}))
    assert found.complete and found.values.keys() == {0x00081140, PATIENT_NAME}
    vr, value = found.values[0x00081140]
    assert vr == ("" if syntax.implicit_vr else "SQ")
    items = split_items(value, syntax).items
    assert len(items) == 3 and items[1] == b"" and items[0] == items[2]
    inner = scan_elements(items[0], syntax, frozenset({0x0040A730})).values[0x0040A730][1]
    second = split_items(inner, syntax).items[0]
    innermost = scan_elements(second, syntax, frozenset({0x0040A730})).values[0x0040A730][1]
    meaning = scan_elements(split_items(innermost, syntax).items[2], syntax, frozenset({0x00080104}))
    assert meaning.values[0x00080104][1] == b"innermost "


def test_private_un_sequence_of_undefined_length_holds_implicit_items():
    item = OPEN_ITEM + implicit_element(0x0009, 0x1002, b"abcd") + ITEM_END
    raw = element(0x0009, 0x1001, b"UN", item * 2 + SEQUENCE_END, UNDEFINED) + NAME
    found = scan_elements(raw, EXPLICIT, frozenset({0x00091001, PATIENT_NAME}))
    assert found.values == {0x00091001: ("UN", item * 2)} | FOUND_NAME
    assert split_items(item * 2, EXPLICIT) == SplitItems([implicit_element(0x0009, 0x1002, b"abcd")] * 2)


def test_encapsulated_pixels_are_passed():
    fragment = implicit_element(0xFFFE, 0xE000, b"\xff\xd8" * 50)
    icon = OPEN_ITEM + element(0x7FE0, 0x0010, b"OB", fragment * 3 + SEQUENCE_END, UNDEFINED) + ITEM_END
    raw = element(0x0009, 0x1001, b"SQ", icon + SEQUENCE_END, UNDEFINED) + NAME
    assert scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME})).values == FOUND_NAME


@pytest.mark.parametrize("value, problem", [
    (OPEN_ITEM, "end within a sequence"),
    (OPEN_ITEM + ITEM_END, "end within a sequence"),
    (NAME, "no item at byte 12"),
    (ITEM_END, "no item at byte 12"),
    (implicit_element(0xFFFE, 0xE000, b"", 0x7FFFFFFE), "end within a sequence"),
    (OPEN_ITEM + b"\x08\x00\x05\x00SQ\x00\x00", "end within a sequence"),
])
def test_damaged_sequence(value, problem):
    raw = element(0x0009, 0x1001, b"SQ", value, UNDEFINED)
    found = scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME}))
    assert not found.complete and problem in found.problem


def test_nesting_has_a_limit():
    level = element(0x0009, 0x1001, b"SQ", b"", UNDEFINED) + OPEN_ITEM
    closing = ITEM_END + SEQUENCE_END
    wanted = frozenset({PATIENT_NAME})
    assert scan_elements(level * 16 + closing * 16 + NAME, EXPLICIT, wanted).values == FOUND_NAME
    too_deep = level * 17 + closing * 17 + NAME
    assert "nested more than 16 deep" in scan_elements(too_deep, EXPLICIT, wanted).problem
    assert scan_elements(too_deep, EXPLICIT, wanted, depth_max=17).values == FOUND_NAME
    assert "nested" in scan_elements(level * 100_000, EXPLICIT, wanted).problem


def test_items_in_the_other_vr_encoding():
    inner = element(0x0008, 0x1140, b"SQ", OPEN_ITEM + NAME + ITEM_END + SEQUENCE_END, UNDEFINED)
    assert split_items(OPEN_ITEM + inner + ITEM_END, IMPLICIT) == SplitItems([inner])


def test_items_up_to_the_damage():
    whole = implicit_element(0xFFFE, 0xE000, NAME)
    size = len(whole)
    for value, items, problem in (
        (whole * 2 + whole[:-1], [NAME, NAME], f"an item of {len(NAME)} bytes at byte {2 * size + 8}"),
        (whole + whole[:7], [NAME], f"byte {size} of a sequence is within an item"),
        (whole + OPEN_ITEM + NAME, [NAME], "the bytes end within a sequence"),
        (whole + NAME, [NAME], f"no item at byte {size} of a sequence"),
    ):
        split = split_items(value, EXPLICIT)
        assert split.items == items and split.problem.startswith(problem)
    assert split_items(b"", EXPLICIT) == SplitItems([])


def test_inflated_prefix_is_bounded():
    raw = encode(patient(), EXPLICIT) + bytes(50_000_000)
    deflater = zlib.compressobj(wbits=-15)
    deflated = deflater.compress(raw) + deflater.flush()
    assert inflate_prefix(deflated, 1000) == raw[:1000]
    assert inflate_prefix(deflated, 0) == b""
    assert inflate_prefix(deflated[:600], 100) == raw[:100]
    assert inflate_prefix(b"\xff" * 100, 1000) == b""
    prefix = inflate_prefix(deflated, 1000)
    assert scan_elements(prefix, DEFLATED, frozenset({PATIENT_NAME})).values == FOUND_NAME


@settings(deadline=500)
@given(st.binary(max_size=300), st.sampled_from(TRANSFER_SYNTAXES), st.integers(0, 2000))
def test_any_bytes_can_be_inflated_and_scanned(raw, syntax, limit):
    assert len(inflate_prefix(raw, limit)) <= limit
    found = scan_elements(raw, syntax, frozenset({PATIENT_NAME, BEYOND_ALL}))
    assert all(value in raw for _, value in found.values.values())
    assert all(item in raw for item in split_items(raw, syntax).items)


@settings(deadline=500, max_examples=500)
@given(st.data(), st.sampled_from(SMALL_FILES))
def test_mutated_files_are_survived(data, file):
    raw, syntax = file
    mutated = bytearray(raw)
    edits = st.tuples(st.integers(0, len(raw) - 1), st.sampled_from([0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF]))
    for position, value in data.draw(st.lists(edits, max_size=10)):
        mutated[position] = value
    del mutated[data.draw(st.integers(0, len(raw))) :]
    wanted = frozenset({CHARACTER_SET, PATIENT_NAME, REQUEST_ATTRIBUTES})
    found = scan_elements(bytes(mutated), syntax, wanted)
    assert all(len(value) <= len(mutated) for _, value in found.values.values())
    assert not (found.complete and found.problem)


@settings(deadline=500)
@given(st.data(), st.sampled_from(SMALL_FILES))
def test_truncated_files_give_the_values_that_are_there(data, file):
    raw, syntax = file
    wanted = frozenset({0x00080018, PATIENT_NAME, PATIENT_ID, STUDY_UID, REQUEST_ATTRIBUTES, BEYOND_ALL})
    whole = scan_elements(raw, syntax, wanted).values
    part = scan_elements(raw[: data.draw(st.integers(0, len(raw)))], syntax, wanted)
    assert part.values.items() <= whole.items()
    assert not part.complete


def test_deep_and_long_hostile_input_takes_no_long_time():
    began = time.perf_counter()
    opening = (element(0x0009, 0x1001, b"SQ", b"", UNDEFINED) + OPEN_ITEM) * 20_000
    assert scan_elements(opening, EXPLICIT, frozenset({PATIENT_NAME}), depth_max=10**6).problem
    empty = implicit_element(0x0009, 0x1001, b"") * 100_000
    assert scan_elements(empty, IMPLICIT, frozenset({PATIENT_NAME})).end == len(empty)
    assert time.perf_counter() - began < 5


def test_ct_header_of_512_by_512():
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.Rows = dataset.Columns = 512
    dataset.PixelData = bytes(2 * 512 * 512)
    raw = encode(Dataset(dataset), EXPLICIT)
    found = scan_elements(raw, EXPLICIT, frozenset({PATIENT_NAME, 0x00280010, 0x00280011}))
    assert found.complete and found.end < 10_000
    assert found.values[0x00280010] == ("US", b"\x00\x02")


def test_elements_have_a_limit():
    many = b"".join(element(0x0011, number, b"LO", b"") for number in range(0x1010, 0x1020))
    wanted = frozenset(range(0x00111010, 0x00111020))
    scanned = scan_elements(many, EXPLICIT, wanted, elements_max=10)
    assert (len(scanned.values), scanned.complete, scanned.end) == (10, False, 80)
    assert "too many" in scanned.problem
    assert len(scan_elements(many, EXPLICIT, wanted, elements_max=16).values) == 16
