"""Data sets of odd length, as some devices make them: kept as received, and sent with a byte more (PS3.8 E.1)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from medserver.memory_file import MemoryFile
from medserver.scu.padding import PaddedFile
from pydicom.uid import CTImageStorage

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.services import corpus
from tests.services.client import Client
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import EXPLICIT, IMPLICIT, kinds_of
from tests.services.retrieval import keys_of

LAST = {EXPLICIT: b"\x40\x00\x00\x14LT\x03\0abc", IMPLICIT: b"\x40\x00\x00\x14\x03\0\0\0abc"}
"""Requested Procedure Comments of three bytes."""


def odd_objects() -> list[corpus.Object]:
    """Return data sets of odd length: small, in implicit VR, and so large that they are read as they are sent."""
    large = corpus.make_object(PatientComments="x" * 5000)
    private = b"\x21\x00\x10\x00LO\x04\0ACME" + b"\x21\x00\x01\x10OB\0\0\0\0\x20\0" + bytes(0x200000)
    several = [corpus.make_object(), corpus.make_object(IMPLICIT), replace(large, encoded=large.encoded + private)]
    return [replace(one, encoded=one.encoded + LAST[one.transfer_syntax_uid]) for one in several]


@pytest.fixture(scope="module")
def odd(client: Client) -> list[corpus.Object]:
    """Store them, as they are."""
    several = odd_objects()
    for one in several:
        assert len(one.encoded) % 2 == 1
        sent = client.store_raw(
            one.encoded,
            abstract_syntax=one.sop_class_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            AffectedSOPInstanceUID=one.sop_instance_uid,
        )
        assert sent == (0, "")
    return several


def check(received: Iterable[Path], odd: list[corpus.Object]) -> None:
    """Check that a program which reads what it gets has all of it."""
    datasets = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, received)}
    assert datasets.keys() == {one.sop_instance_uid for one in odd}
    for one in odd:
        assert datasets[one.sop_instance_uid].RequestedProcedureComments.rstrip("\0 ") == "abc"
        assert datasets[one.sop_instance_uid].get("PatientComments") == one.dataset.get("PatientComments")


def test_they_come_back_with_a_byte_more(client: Client, odd: list[corpus.Object]) -> None:
    for one in odd:
        answers = client.get("STUDY", keys_of(one, "StudyInstanceUID"), kinds_of([one]))
        assert answers.status == 0
        assert answers.received == {one.sop_instance_uid: (one.transfer_syntax_uid, one.encoded + b"\0")}


def test_dcmtk_takes_them(node: Node, client: Client, dcmtk: Dcmtk, odd: list[corpus.Object], tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ODD", options=["+xa"])
    node.add_remote(storescp.address, allow=())
    for one in odd:
        moved = client.move("ODD", "STUDY", keys_of(one, "StudyInstanceUID"))
        assert (moved.status, moved.counters["completed"]) == (0, 1)
        dcmtk.get(node.address, tmp_path / "got", "STUDY", keys_of(one, "StudyInstanceUID")).check()
    check(storescp.files(), odd)
    assert len(list((tmp_path / "got").iterdir())) == len(odd)


def test_orthanc_takes_them(node: Node, client: Client, orthanc: Orthanc, odd: list[corpus.Object]) -> None:
    node.add_remote(orthanc.address)
    for one in odd:
        moved = client.move(orthanc.address.ae_title, "STUDY", keys_of(one, "StudyInstanceUID"))
        assert (moved.status, moved.counters["completed"]) == (0, 1)
    orthanc.wait_for_instances(one.sop_instance_uid for one in odd)


def test_pynetdicom_takes_them_transcoded(
    client: Client, start_receiver: ReceiverFactory, odd: list[corpus.Object]
) -> None:
    receiver = start_receiver("IMPLICIT", {CTImageStorage: [IMPLICIT]})
    for one in odd:
        assert client.move("IMPLICIT", "STUDY", keys_of(one, "StudyInstanceUID")).status == 0
    assert [len(receiver.received[one.sop_instance_uid][1]) % 2 for one in odd] == [0, 0, 0]


def test_header_without_bulk_data(client: Client, odd: list[corpus.Object]) -> None:
    answers = client.get("IMAGE", keys_of(odd[0], "SOPInstanceUID"), kinds_of(odd[:1]), model="WITHOUT_BULK_DATA")
    assert [len(data_set) % 2 for _, data_set in answers.received.values()] == [0]


@pytest.mark.parametrize("size_bytes", [0, 1, 7, 8])
def test_padded_file(size_bytes: int) -> None:
    content = bytes(range(1, size_bytes + 1))
    for count in (1, 2, 3, 100):
        for file in (io.BytesIO(content), MemoryFile(memoryview(content))):
            padded, parts = PaddedFile(file, size_bytes), []
            while part := padded.read(count):
                parts.append(part)
            assert b"".join(parts) == content + b"\0"


def test_padded_file_that_ends_early() -> None:
    assert PaddedFile(io.BytesIO(b"abc"), 5).read(6) == b"abc"
