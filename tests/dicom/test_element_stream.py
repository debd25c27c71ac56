"""What is found in a data set that arrives in pieces is what is found in it as a whole."""

from __future__ import annotations

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from medserver.dicom.element_stream import ElementStream
from medserver.dicom.elements import ScannedElements, scan_elements
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from tests.dicom.test_elements import (
    BEYOND_ALL,
    CHARACTER_SET,
    EXPLICIT,
    FOUND_NAME,
    ITEM_END,
    NAME,
    OPEN_ITEM,
    PATIENT_NAME,
    REQUEST_ATTRIBUTES,
    SEQUENCE_END,
    SMALL_FILES,
    STUDY_UID,
    UNDEFINED,
    element,
    implicit_element,
)

VALUES_MAX_BYTES = 64 * 1024
WANTED = frozenset({CHARACTER_SET, PATIENT_NAME, STUDY_UID, REQUEST_ATTRIBUTES, 0x0040A730})
OPEN_SEQUENCE = element(0x0009, 0x1001, b"SQ", b"", UNDEFINED)


def stream(raw: bytes, syntax: TransferSyntax, wanted: frozenset[int], cuts, **options: int) -> ScannedElements:
    """Return what is found in bytes that arrive in pieces, cut at these places."""
    reader = ElementStream(syntax, wanted, values_size_max_bytes=VALUES_MAX_BYTES, **options)
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    for start, stop in zip(places, places[1:]):
        reader.feed(memoryview(raw)[start:stop])
    return reader.scanned()


def same(one: ScannedElements, other: ScannedElements) -> bool:
    """Tell whether two readers have found the same; where exactly a length does not fit is not compared."""
    return (one.values, one.complete, one.problem is None) == (other.values, other.complete, other.problem is None)


@settings(deadline=2000)
@given(st.sampled_from(SMALL_FILES), st.lists(st.integers(0), max_size=20), st.booleans())
def test_files(file, cuts, all_of_it):
    raw, syntax = file
    wanted = WANTED | {BEYOND_ALL} if all_of_it else WANTED
    assert same(stream(raw, syntax, wanted, cuts), scan_elements(raw, syntax, wanted))


@settings(deadline=2000, max_examples=500)
@given(st.data(), st.sampled_from(SMALL_FILES))
def test_damaged_files(data, file):
    raw, syntax = file
    mutated = bytearray(raw)
    edits = st.tuples(st.integers(0, len(raw) - 1), st.sampled_from([0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF]))
    for position, value in data.draw(st.lists(edits, max_size=10)):
        mutated[position] = value
    del mutated[data.draw(st.integers(0, len(raw))) :]
    cuts = data.draw(st.lists(st.integers(0), max_size=20))
    assert same(stream(bytes(mutated), syntax, WANTED, cuts), scan_elements(bytes(mutated), syntax, WANTED))


@settings(deadline=2000)
@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=20), st.sampled_from([0x09, 0x10, 0x40]))
def test_any_bytes_within_a_sequence(inner, cuts, group):
    for item in (OPEN_ITEM + inner + ITEM_END + SEQUENCE_END, inner):
        raw = element(group, 0x0275, b"SQ", item, UNDEFINED) + NAME
        assert same(stream(raw, EXPLICIT, WANTED, cuts), scan_elements(raw, EXPLICIT, WANTED))


def test_the_bytes_end_within_the_header_of_an_element_behind_all_that_is_wanted():
    beyond = element(0x7FE0, 0x0010, b"OW", b"")
    for count in range(8, len(beyond) + 1):
        raw = NAME + beyond[:count]
        assert stream(raw, EXPLICIT, WANTED, [len(NAME) + 3]).complete
        assert scan_elements(raw, EXPLICIT, WANTED).complete


def test_byte_by_byte():
    reference = element(0x0008, 0x1155, b"UI", b"1.2.34") + OPEN_SEQUENCE + SEQUENCE_END
    references = (OPEN_ITEM + reference + ITEM_END) * 9
    raw = OPEN_SEQUENCE + references + SEQUENCE_END + NAME
    raw += element(0x0040, 0x0275, b"SQ", references + SEQUENCE_END, UNDEFINED)
    found = stream(raw, EXPLICIT, WANTED, range(len(raw)))
    assert found.values == FOUND_NAME | {REQUEST_ATTRIBUTES: ("SQ", references)}
    assert same(found, scan_elements(raw, EXPLICIT, WANTED))


def test_memory_is_bounded():
    """Whatever is sent: long values that are not wanted or wanted, sequences without end, and items in items."""
    long = 50 * 1024 * 1024
    beginnings = {
        "unwanted": element(0x0009, 0x1001, b"OB", b"", long),
        "wanted": implicit_element(0x0010, 0x0010, b"", long),
        "item": OPEN_SEQUENCE + implicit_element(0xFFFE, 0xE000, b"", long),
        "wanted sequence": element(0x0040, 0x0275, b"SQ", b"", UNDEFINED) + implicit_element(0xFFFE, 0xE000, b"", long),
    }
    for name, beginning in beginnings.items():
        reader = ElementStream(EXPLICIT, WANTED, values_size_max_bytes=VALUES_MAX_BYTES)
        tracemalloc.start()
        reader.feed(beginning)
        for _ in range(200):
            reader.feed(bytes(100_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000, name
        assert not reader.is_done and reader.scanned().problem, name


def test_long_values_are_passed_over():
    implicit = transfer_syntax("1.2.840.10008.1.2")
    for size, kept in ((VALUES_MAX_BYTES - 6, True), (VALUES_MAX_BYTES + 2, False)):
        raw = implicit_element(0x0010, 0x0010, bytes(size)) + implicit_element(0x0020, 0x000D, b"1.2.34")
        raw += implicit_element(0x0040, 0xA730, b"no room" if kept else b"")
        found = stream(raw, implicit, WANTED, [1000, 70_000])
        assert found.values.keys() == {STUDY_UID, PATIENT_NAME if kept else 0x0040A730}
        assert found.values[STUDY_UID] == ("", b"1.2.34")


def test_nesting_has_a_limit():
    level = OPEN_SEQUENCE + OPEN_ITEM
    assert stream(level * 16, EXPLICIT, WANTED, [50]).problem == "the bytes end within a sequence"
    assert "nested more than 16 deep" in stream(level * 17 + NAME, EXPLICIT, WANTED, [50]).problem
