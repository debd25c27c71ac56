"""The indexed attributes as they are read from the bytes of a peer."""

from __future__ import annotations

import io
import json
import tracemalloc
import zlib

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from medserver.archive.header import HEADER_SIZE_BYTES, INFLATED_SIZE_MAX_BYTES, HeaderReader, check_identity
from medserver.dicom.attributes import ATTRIBUTES
from medserver.dicom.transfer_syntaxes import TRANSFER_SYNTAXES, transfer_syntax
from medserver.errors import CannotUnderstand, DataSetMismatch, RequestError

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def header_of(data_set: bytes, uid: str):
    reader = HeaderReader(transfer_syntax(uid))
    reader.feed(memoryview(data_set))
    return reader.header()


def encoded(dataset: Dataset, uid: str) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=uid == IMPLICIT, little_endian=uid != BIG_ENDIAN)
    return buffer.getvalue()


def dataset_with(**attributes) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.4", "1.2.5"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_attributes_that_lie_too_far_back_are_not_guessed():
    dataset = dataset_with(StudyID="1", KVP="120")
    dataset.private_block(0x0021, "MEDSERVER TEST", create=True).add_new(1, "OB", bytes(HEADER_SIZE_BYTES))
    dataset.RequestedProcedureDescription = "Abdomen"
    reader = HeaderReader(transfer_syntax(EXPLICIT))
    reader.feed(encoded(dataset, EXPLICIT))
    reader.header()
    asked = {keyword: frozenset({tag_for_keyword(keyword)}) for keyword in ("KVP", "RequestedProcedureDescription")}
    assert reader.attributes(asked["KVP"]).KVP == 120
    assert reader.attributes(asked["RequestedProcedureDescription"]) is None
    assert reader.attributes(frozenset()) == Dataset()


@pytest.mark.parametrize("value", [b"1" * 2000, b""])
def test_attributes_that_are_strange_are_left_to_others(value: bytes):
    """A sequence in the place of a text, or a text without end, may take long to decode."""
    tag = tag_for_keyword("KVP")
    for vr in ("SQ", "UN", "DS"):
        dataset = dataset_with()
        dataset[tag] = RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
        reader = HeaderReader(transfer_syntax(EXPLICIT))
        reader.feed(buffer.getvalue())
        reader.header()
        strange = vr == "SQ" or bool(value)
        assert (reader.attributes(frozenset({tag})) is None) == strange


@pytest.mark.parametrize("uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_numbers_and_texts_in_every_encoding(uid):
    dataset = dataset_with(
        Rows=512, Columns=65535, BitsAllocated=16, ImageType=["ORIGINAL", "PRIMARY"], PatientSize="1.80",
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        NumberOfFrames="3",
    )  # fmt: skip
    values = header_of(encoded(dataset, uid), uid).values
    assert (values["rows"], values["columns"], values["bits_allocated"]) == ("512", "65535", "16")
    assert values["image_type"] == "ORIGINAL\\PRIMARY"
    assert values["patient_name"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert (values["number_of_frames"], values["patient_size"]) == ("3", "1.80")
    assert values["study_description"] is None


@pytest.mark.parametrize("uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_request_attributes_become_json(uid, undefined_length):
    first, second = Dataset(), Dataset()
    first.ScheduledProcedureStepID, first.RequestedProcedureID = "S1", ""
    first.ScheduledProtocolCodeSequence = Sequence([Dataset()])
    second.SpecificCharacterSet, second.RequestedProcedureDescription = "ISO_IR 192", "Schädel"
    dataset = dataset_with(SpecificCharacterSet="ISO_IR 100")
    dataset.RequestAttributesSequence = Sequence([first, second])
    for item in (first, second):
        item.is_undefined_length_sequence_item = undefined_length
    dataset["RequestAttributesSequence"].is_undefined_length = undefined_length
    text = header_of(encoded(dataset, uid), uid).values["request_attributes_sequence"]
    assert json.loads(text) == [
        {"00400009": {"vr": "SH", "Value": ["S1"]}, "00401001": {"vr": "SH"}},
        {"00321060": {"vr": "LO", "Value": ["Schädel"]}},
    ]
    parsed = [Dataset.from_json(item) for item in json.loads(text)]
    assert parsed[0].ScheduledProcedureStepID == "S1"


def test_sequence_that_was_sent_as_unknown():
    item = Dataset()
    item.ScheduledProcedureStepID = "S1"
    dataset = dataset_with(RequestAttributesSequence=Sequence([item]))
    raw = encoded(dataset, IMPLICIT)
    start = raw.index(b"\x40\x00\x75\x02") + 8
    unknown = b"\x40\x00\x75\x02UN\0\0" + (len(raw) - start).to_bytes(4, "little") + raw[start:]
    data_set = encoded(dataset_with(), EXPLICIT) + unknown
    assert '"S1"' in header_of(data_set, EXPLICIT).values["request_attributes_sequence"]


def test_broken_sequence_has_no_value():
    data_set = encoded(dataset_with(), EXPLICIT) + b"\x40\x00\x75\x02SQ\0\0\x08\0\0\0" + b"garbage!"
    assert header_of(data_set, EXPLICIT).values["request_attributes_sequence"] is None


def test_null_characters_never_reach_the_database():
    data_set = encoded(dataset_with(PatientName="A^BC", PatientID="X1YZ"), EXPLICIT)
    values = header_of(data_set.replace(b"A^BC", b"A\0BC").replace(b"X1YZ", b"X\0YZ"), EXPLICIT).values
    assert not any("\0" in value for value in values.values() if value)


def test_memory_is_bounded():
    reader = HeaderReader(transfer_syntax(EXPLICIT))
    start = encoded(dataset_with(), EXPLICIT)
    reader.feed(start)
    for _ in range(1000):
        reader.feed(bytes(1000))
    assert reader.has_enough and len(reader._prefix) <= 64 * 1024
    assert reader.header().sop_instance_uid == "1.2.3"


def dataset_with_many_references(undefined_length: bool) -> Dataset:
    """Return a data set as segmentations have it: references to all their source images before the study."""
    dataset = dataset_with(PatientName="A^B", Rows=5, ScheduledProcedureStepDescription="Spine")
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2." + "3" * 40
    item.is_undefined_length_sequence_item = undefined_length
    series = Dataset()
    series.is_undefined_length_sequence_item = undefined_length
    series.ReferencedInstanceSequence = Sequence([item] * 12_000)
    dataset.ReferencedSeriesSequence = Sequence([series])
    for one, keyword in ((dataset, "ReferencedSeriesSequence"), (series, "ReferencedInstanceSequence")):
        one[keyword].is_undefined_length = undefined_length
    return dataset


@pytest.mark.parametrize("uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("undefined_length", [False, True])
def test_more_than_a_mebibyte_before_the_study(uid, undefined_length):
    data_set = encoded(dataset_with_many_references(undefined_length), uid)
    assert data_set.index(b"1.2.4") > 1024 * 1024
    if uid == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data_set = deflater.compress(data_set) + deflater.flush()
    for size in (len(data_set), 16_378, 1001):
        reader = HeaderReader(transfer_syntax(uid))
        for start in range(0, len(data_set), size):
            reader.feed(data_set[start : start + size])
        values = reader.header().values
        check_identity(reader.header(), "1.2.840.10008.5.1.4.1.1.7", "1.2.3")
        assert (values["study_instance_uid"], values["series_instance_uid"]) == ("1.2.4", "1.2.5")
        assert (values["patient_name"], values["rows"]) == ("A^B", "5")
        assert reader.attributes(frozenset({tag_for_keyword("PatientName")})) is None


def test_memory_is_bounded_where_nothing_is_found():
    for beginning in (b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\x7f", b"\x09\x00\x01\x10SQ\0\0" + b"\xff" * 4):
        reader = HeaderReader(transfer_syntax(EXPLICIT))
        tracemalloc.start()
        reader.feed(beginning)
        for _ in range(300):
            reader.feed(bytes(100_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2_000_000


def test_what_is_inflated_has_a_limit():
    """A deflated data set of 200 kB that would be 200 MB of private elements is given up."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(b"\x09\x00\x01\x10OB\0\0\xf0\xff\xff\x7f")
    bomb += b"".join(deflater.compress(bytes(1024 * 1024)) for _ in range(200)) + deflater.flush()
    reader = HeaderReader(transfer_syntax(DEFLATED))
    tracemalloc.start()
    reader.feed(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.has_enough and len(bomb) * 1000 > INFLATED_SIZE_MAX_BYTES and peak < 4 * 1024 * 1024
    with pytest.raises(CannotUnderstand):
        reader.header()


@given(st.binary(max_size=400), st.sampled_from(TRANSFER_SYNTAXES))
@settings(deadline=None)
def test_hostile_bytes_are_refused_and_nothing_else(data_set, syntax):
    with pytest.raises(RequestError):
        check_identity(header_of(data_set, syntax.uid), "1.2.840.10008.5.1.4.1.1.7", "1.2.3")


VALID = encoded(
    dataset_with(PatientName="A^B", Rows=5, RequestAttributesSequence=Sequence([Dataset()])), EXPLICIT
)


@given(st.integers(0, len(VALID) - 1), st.binary(max_size=6), st.integers(0, 6))
@settings(deadline=None, max_examples=300)
def test_changed_bytes_are_read_or_refused(place, replacement, removed):
    data_set = VALID[:place] + replacement + VALID[place + removed :]
    try:
        header = header_of(data_set, EXPLICIT)
    except (CannotUnderstand, DataSetMismatch):
        return
    assert all(value is None or isinstance(value, str) for value in header.values.values())
    assert set(header.values) == {row.column for row in ATTRIBUTES if row.column}
