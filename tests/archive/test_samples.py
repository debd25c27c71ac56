"""pydicom's files on their way in and out: headers are as pydicom reads them, and every byte is as it was sent."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword

from medserver import archive
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.dicom.attributes import ATTRIBUTES
from medserver.dicom.conditions import SingleValue
from medserver.dicom.dataset_values import value_of
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.node import Node
from tests.archive.conftest import receive
from tests.failures import Failures
from tests.peers.files import Sample, distinct, samples

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its files

ASKED_FOR = ("KVP", "BodyPartExamined", "ContrastBolusAgent", "RequestedProcedureDescription", "PatientName", "Rows")


def read(sample: Sample, fragment_size: int) -> HeaderReader:
    """Give a data set to a reader, in fragments."""
    reader, data_set = HeaderReader(transfer_syntax(sample.transfer_syntax_uid)), memoryview(sample.data_set())
    for start in range(0, len(data_set), fragment_size):
        reader.feed(data_set[start : start + fragment_size])
    return reader


def test_values_are_those_that_pydicom_reads():
    with Failures() as failures:
        for sample in samples():
            with failures.of(sample.path.name):
                header = read(sample, 7).header()
                assert header == read(sample, 10**9).header()
                check_identity(header, sample.sop_class_uid, sample.sop_instance_uid)
                assert_values(header, pydicom.dcmread(sample.path, stop_before_pixels=True))


def assert_values(header: Header, expected: pydicom.Dataset) -> None:
    for row in ATTRIBUTES:
        if row.computed or row.vr == "SQ":
            continue
        if row.keyword not in expected:
            assert header.values[row.column] is None, row.keyword
        else:
            values = header.values[row.column].rstrip("=").split("\\")
            wanted = text_of(expected[row.keyword]).split("\\")
            assert [value.strip() for value in values] == [value.strip() for value in wanted], row.keyword


def text_of(element: pydicom.DataElement) -> str:
    values = element.value if element.VM > 1 else [element.value]
    return "\\".join("" if value is None else str(value) for value in values)


def test_attributes_are_those_that_pydicom_reads():
    """Any attributes, not only those of the index. No file has them behind what is kept of a data set."""
    with Failures() as failures:
        for sample in samples():
            with failures.of(sample.path.name):
                reader = read(sample, 10**9)
                reader.header()
                attributes = reader.attributes(frozenset(map(tag_for_keyword, ASKED_FOR)))
                expected = pydicom.dcmread(sample.path)
                for keyword in ASKED_FOR:
                    assert value_of(attributes, keyword) == value_of(expected, keyword)


def test_every_valid_file_is_stored_byte_for_byte_and_its_header_is_what_pydicom_reads(node):
    with Failures() as failures:
        for number, sample in enumerate(distinct(samples())):
            with failures.of(sample.path.name):
                assert receive(node, sample, fragment_size=10**9 if number % 2 else 1021) == "stored"
                assert_stored(node, sample)
    assert list(archive.check(node, digests=True)) == []


def assert_stored(node: Node, sample: Sample) -> None:
    [instance] = node.index.select([SingleValue("SOPInstanceUID", sample.sop_instance_uid)])
    with archive.open_data_set(node, instance) as file:
        assert file.read() == sample.data_set()
    assert instance.transfer_syntax_uid == sample.transfer_syntax_uid
    assert instance.sop_class_uid == sample.sop_class_uid
    header = archive.read_header(node, instance)
    expected = pydicom.dcmread(sample.path, stop_before_pixels=True)
    expected_tags = [tag for tag in expected.keys() if tag < 0x7FE00000]
    assert list(header.keys()) == expected_tags
    for tag in expected_tags:
        assert header[tag] == expected[tag], tag
