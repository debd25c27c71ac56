"""The codec of command sets against pydicom's reader and writer, and against hostile bytes."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from medserver.errors import CannotUnderstand
from medserver.wire.command_set import NO_DATA_SET, CommandField, decode_command_set, encode_command_set

_numbers = st.integers(0, 0xFFFF)
_uids = st.from_regex(r"1(\.[1-9][0-9]{0,4}){1,8}", fullmatch=True)
_titles = st.from_regex(r"[A-Z0-9_]{1,16}", fullmatch=True)

_command_sets = st.fixed_dictionaries(
    {"CommandField": _numbers, "CommandDataSetType": _numbers},
    optional={
        "AffectedSOPClassUID": _uids,
        "AffectedSOPInstanceUID": _uids,
        "MessageID": _numbers,
        "MessageIDBeingRespondedTo": _numbers,
        "MoveDestination": _titles,
        "Priority": _numbers,
        "Status": _numbers,
        "ErrorComment": _titles,
        "NumberOfRemainingSuboperations": _numbers,
        "MoveOriginatorApplicationEntityTitle": _titles,
        "MoveOriginatorMessageID": _numbers,
    },
)


@given(_command_sets)
def test_what_is_encoded_is_decoded(command_set):
    assert decode_command_set(encode_command_set(command_set)) == command_set


@given(_command_sets)
def test_pydicom_reads_what_is_encoded(command_set):
    encoded = encode_command_set(command_set)
    dataset = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert dataset.CommandGroupLength == len(encoded) - 12
    assert {element.keyword: element.value for element in dataset[1:]} == command_set
    assert list(dataset.keys()) == sorted(dataset.keys())


@given(_command_sets)
def test_what_pydicom_writes_is_decoded(command_set):
    dataset = Dataset()
    for keyword, value in command_set.items():
        setattr(dataset, keyword, value)
    stream = DicomBytesIO()
    stream.is_implicit_VR = stream.is_little_endian = True
    write_dataset(stream, dataset)
    assert decode_command_set(stream.getvalue()) == command_set


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_command_set_or_cannot_be_understood(raw):
    try:
        command_set = decode_command_set(raw)
    except CannotUnderstand:
        return
    assert all(isinstance(keyword, str) for keyword in command_set)


def test_an_unknown_keyword_is_a_mistake():
    with pytest.raises(KeyError, match="PatientName"):
        encode_command_set({"CommandField": CommandField.C_ECHO, "PatientName": "X"})


def test_an_element_beyond_the_end_cannot_be_understood():
    encoded = encode_command_set({"CommandField": 1, "CommandDataSetType": NO_DATA_SET})
    for end in range(1, len(encoded)):
        if end not in (12, 22):  # between two elements
            with pytest.raises(CannotUnderstand):
                decode_command_set(encoded[:end])


def test_an_element_of_another_group_cannot_be_understood():
    with pytest.raises(CannotUnderstand):
        decode_command_set(b"\x08\x00\x18\x00\x02\x00\x00\x001\0")
