"""The data sets of storage commitment, against pydicom."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from medserver.dicom import uids
from medserver.dicom.storage_commitment import Commitment, Reference, decode_commitment, encode_commitment
from medserver.errors import InvalidArgument

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
SAFE, FAILED = (Reference(CT, "1.2.3"), Reference(MR, "1.2.34")), (Reference(CT, "1.2.5", 0x0112),)
MIXED = Commitment("2.25.1", SAFE + FAILED)


def read(raw: bytes, transfer_syntax_uid: str) -> Dataset:
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    return read_dataset(BytesIO(raw), syntax.implicit_vr, syntax.little_endian)


def write(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax.implicit_vr, syntax.little_endian
    write_dataset(stream, dataset)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_what_is_written(syntax):
    dataset = read(encode_commitment(MIXED, syntax, "ARCHIVE"), syntax)
    assert [element.keyword for element in dataset] == [
        "RetrieveAETitle", "TransactionUID", "FailedSOPSequence", "ReferencedSOPSequence"
    ]  # fmt: skip
    assert (dataset.RetrieveAETitle, dataset.TransactionUID) == ("ARCHIVE", "2.25.1")
    shown = [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in dataset.ReferencedSOPSequence]
    assert shown == [one[:2] for one in SAFE]
    [failed] = dataset.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.5", 0x0112)
    assert write(dataset, syntax) == encode_commitment(MIXED, syntax, "ARCHIVE")


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_pydicom_writes_is_read(syntax, undefined):
    dataset = read(encode_commitment(MIXED, syntax), syntax)
    dataset.StorageMediaFileSetID = "TAPE"
    for sequence in (dataset["ReferencedSOPSequence"], dataset["FailedSOPSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
            item.StorageMediaFileSetUID = "1.2"
    assert decode_commitment(write(dataset, syntax), syntax, 10) == MIXED


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_failed_is_not_safe_whatever_the_reason(syntax):
    dataset = read(encode_commitment(MIXED, syntax), syntax)
    dataset.FailedSOPSequence[0].FailureReason = 0
    read_again = decode_commitment(write(dataset, syntax), syntax, 10)
    assert read_again.references == (*SAFE, Reference(CT, "1.2.5", 0x0110))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_one_more_than_permitted_is_read(syntax):
    many = Commitment("1.2", tuple(Reference(CT, f"1.2.{number}") for number in range(20)))
    assert decode_commitment(encode_commitment(many, syntax), syntax, 20) == many
    assert len(decode_commitment(encode_commitment(many, syntax), syntax, 19).references) == 20
    assert len(decode_commitment(encode_commitment(many, syntax), syntax, 5).references) == 6


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_cut_is_taken_for_the_whole(syntax):
    """Whatever is left of a data set that was cut off: it is refused, never read as a shorter list."""
    raw = encode_commitment(MIXED, syntax)
    whole = decode_commitment(raw, syntax, 10)
    for end in range(len(raw)):
        try:
            cut = decode_commitment(raw[:end], syntax, 10)
        except InvalidArgument:
            continue
        # Between two elements nothing shows that one is missing.
        assert cut.references == whole.references[2:]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_damage_raises_nothing_else(syntax):
    raw = encode_commitment(MIXED, syntax)
    for position in range(len(raw)):
        for value in (0x00, 0x7F, 0xFF):
            damaged = raw[:position] + bytes([value]) + raw[position + 1 :]
            try:
                decode_commitment(damaged, syntax, 10)
            except InvalidArgument:
                pass
