from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from medserver.dicom import uids
from medserver.dicom.part10 import HEAD_BYTES, META_SIZE_MAX_BYTES, FileMeta, read_file_meta
from medserver.errors import NotPart10
from tests.failures import Failures
from tests.samples import name_of, paths

RECEIVED_AT = datetime(2026, 1, 31, 12, 30, 15, 250000, tzinfo=UTC)
META = FileMeta(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.3.4.5",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    source_ae_title="CT1",
    received_at=RECEIVED_AT,
    duplicates="keep",
)
DATA_SET = bytes.fromhex("08000500 43530a00") + b"ISO_IR 100"
CT_SMALL = Path(get_testdata_file("CT_small.dcm")).read_bytes()


uid_texts = st.lists(st.integers(0, 99999).map(str), min_size=2, max_size=9).map(".".join)
ae_titles = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=16)


def read(content: bytes) -> FileMeta:
    return read_file_meta(io.BytesIO(content))


@given(uid_texts, uid_texts, uid_texts, ae_titles, st.datetimes(timezones=st.just(UTC)), st.sampled_from(
    ["keep", "replace", "reject"]
))
def test_what_is_written_is_read(sop_class, sop_instance, transfer_syntax, ae_title, received_at, duplicates):
    meta = FileMeta(sop_class, sop_instance, transfer_syntax, ae_title, received_at, duplicates)
    encoded = meta.encode()
    assert read(encoded + DATA_SET) == replace(meta, data_set_offset=len(encoded))


def test_pydicom_reads_what_is_written():
    dataset = pydicom.dcmread(io.BytesIO(META.encode() + DATA_SET))
    meta = dataset.file_meta
    assert dataset.SpecificCharacterSet == "ISO_IR 100"
    assert meta.FileMetaInformationGroupLength == len(META.encode()) - 128 - 4 - 12
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert meta.MediaStorageSOPClassUID == META.sop_class_uid
    assert meta.MediaStorageSOPInstanceUID == META.sop_instance_uid
    assert meta.TransferSyntaxUID == META.transfer_syntax_uid
    assert meta.ImplementationClassUID == uids.IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == uids.IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "CT1"
    assert meta.PrivateInformationCreatorUID == uids.PRIVATE_INFORMATION_CREATOR_UID
    assert json.loads(meta.PrivateInformation.rstrip(b"\x00")) == {
        "received": "2026-01-31T12:30:15.250000+00:00", "duplicates": "keep",
    }
    assert [element.tag for element in meta] == sorted(element.tag for element in meta)


def test_every_value_has_even_length():
    for length in range(1, 17):
        encoded = FileMeta("1." + "2" * length, "1.2", "1.2", "A" * length, RECEIVED_AT, "keep").encode()
        assert len(encoded) % 2 == 0
        assert read(encoded).source_ae_title == "A" * length


def test_moment_of_receipt_is_kept_in_utc():
    in_tokyo = RECEIVED_AT.astimezone(timezone(timedelta(hours=9)))
    found = read(FileMeta("1.2", "1.2", "1.2", received_at=in_tokyo, duplicates="keep").encode())
    assert found.received_at == RECEIVED_AT
    assert found.received_at.tzinfo is UTC
    with pytest.raises(ValueError, match="time zone"):
        FileMeta("1.2", "1.2", "1.2", received_at=datetime(2026, 1, 31)).encode()


def test_uid_that_is_not_ascii_is_not_written():
    with pytest.raises(ValueError, match="ascii"):
        FileMeta("1.2", "1.２", "1.2").encode()


@pytest.mark.filterwarnings("ignore")
def test_foreign_files_are_read_as_pydicom_reads_them():
    with Failures() as failures:
        for path in paths():
            with failures.of(name_of(path)), path.open("rb") as stream:
                found = read_file_meta(stream)
                expected = pydicom.filereader.read_file_meta_info(path)
                assert found.transfer_syntax_uid == expected.get("TransferSyntaxUID", "")
                assert found.sop_class_uid == expected.get("MediaStorageSOPClassUID", "")
                assert found.sop_instance_uid == expected.get("MediaStorageSOPInstanceUID", "")
                assert found.source_ae_title == expected.get("SourceApplicationEntityTitle", "")
                assert found.received_at is None
                assert found.duplicates is None


def test_data_set_offset_of_a_foreign_file():
    offset = read(CT_SMALL).data_set_offset
    dataset = pydicom.dcmread(io.BytesIO(CT_SMALL))
    assert CT_SMALL[offset : offset + 4] == b"\x08\x00\x05\x00"
    assert offset == 128 + 4 + 12 + dataset.file_meta.FileMetaInformationGroupLength


def test_reading_begins_where_the_stream_is():
    stream = io.BytesIO(b"something before" + META.encode() + DATA_SET)
    stream.seek(16)
    assert read_file_meta(stream).data_set_offset == len(META.encode())


def test_wrong_group_length_is_tolerated():
    encoded = bytearray(META.encode() + DATA_SET)
    encoded[140:144] = b"\xff\xff\xff\x7f"
    assert read(bytes(encoded)) == read(META.encode() + DATA_SET)


def test_meta_information_in_implicit_vr_is_tolerated():
    def element(number: int, value: bytes) -> bytes:
        return b"\x02\x00" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value

    content = bytes(128) + b"DICM" + element(0x02, b"1.2.3\x00") + element(0x10, b"1.2.840.10008.1.2\x00")
    found = read(content + DATA_SET)
    assert (found.sop_class_uid, found.transfer_syntax_uid) == ("1.2.3", "1.2.840.10008.1.2")
    assert found.data_set_offset == len(content)


@pytest.mark.parametrize("information", [
    b"{}", b"[]", b"not JSON", b'{"received":7}', b'{"received":"yesterday"}', b"[" * 5000, b"\xff\xfe",
])
def test_broken_private_information_counts_as_none(information):
    complete = META.encode()
    start = complete.index(b'{"received"') - 12
    element = complete[start : start + 8] + len(information).to_bytes(4, "little") + information
    found = read(complete[:start] + element)
    assert found.received_at is None
    assert found.sop_instance_uid == META.sop_instance_uid


def test_private_information_of_another_program_is_not_ours():
    ours = uids.PRIVATE_INFORMATION_CREATOR_UID.encode()
    found = read(META.encode().replace(ours, b"9" * len(ours)))
    assert (found.received_at, found.duplicates) == (None, None)


@pytest.mark.parametrize("content, reason", [
    (b"", "no DICM prefix"),
    (b"DICM", "no DICM prefix"),
    (CT_SMALL[132:], "no DICM prefix"),
    (bytes(128) + b"DICM", "no file meta information"),
    (bytes(128) + b"DICM" + DATA_SET, "no file meta information"),
    (META.encode()[:150], "ends within"),
    (META.encode()[:-1], "does not end within"),
    (bytes(128) + b"DICM" + b"\x02\x00\x02\x01OB\x00\x00\xff\xff\xff\xff", "does not end within"),
    (bytes(128) + b"DICM" + b"\x02\x00\x02\x01OB\x00\x00", "ends within"),
])
def test_not_part_10(content, reason):
    with pytest.raises(NotPart10, match=reason):
        read(content)


def test_reading_is_bounded():
    class Counting(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            assert 0 <= size <= META_SIZE_MAX_BYTES
            return super().read(size)

    endless = bytes(128) + b"DICM" + b"\x02\x00\x02\x01UI\x00\x00" * 100_000
    with pytest.raises(NotPart10):
        read_file_meta(Counting(endless))
    assert read_file_meta(Counting(CT_SMALL)).sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"


@given(st.data())
def test_mutated_files_raise_nothing_else(data):
    content = bytearray(META.encode() + DATA_SET)
    edits = st.tuples(st.integers(128, len(content) - 1), st.integers(0, 255))
    for position, value in data.draw(st.lists(edits, max_size=12)):
        content[position] = value
    try:
        found = read(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except NotPart10:
        return
    assert 132 < found.data_set_offset <= len(content)


@pytest.mark.parametrize("more", [0, 2, 4, 250])
def test_a_length_that_is_asked_for_is_that_of_the_file_meta_information(more):
    for duplicates in ("keep", "replace"):  # one of an even and one of an odd length
        meta = FileMeta("1.2", "1.2.3", "1.2", "A", RECEIVED_AT, duplicates)
        encoded = meta.encode(len(meta.encode()) + more)
        assert len(encoded) == len(meta.encode()) + more
        assert read(encoded + DATA_SET) == replace(meta, data_set_offset=len(encoded))
        dataset = pydicom.dcmread(io.BytesIO(encoded + DATA_SET))
        assert dataset.file_meta.FileMetaInformationGroupLength == len(encoded) - 128 - 4 - 12


def test_what_the_store_writes_fits_into_the_head_of_a_file_that_is_made_for_it():
    uid = "1." + "2" * 62
    meta = FileMeta(uid, uid, uid, "A" * 16, RECEIVED_AT.replace(microsecond=1), "replace")
    assert len(meta.encode(HEAD_BYTES)) == HEAD_BYTES


@pytest.mark.parametrize("change", [{"received_at": None}, {}])
@pytest.mark.parametrize("more", [-2, 1])
def test_a_length_that_it_cannot_have_is_an_error(change, more):
    meta = replace(FileMeta("1.2", "1.2.3", "1.2", "A", RECEIVED_AT, "keep"), **change)
    with pytest.raises(ValueError, match="cannot have"):
        meta.encode(len(meta.encode()) + more)
