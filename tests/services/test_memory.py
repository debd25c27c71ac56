"""What the largest operations cost in memory: the node stays below 200 MB whatever is asked of it."""

from __future__ import annotations

import io
import struct
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.scu import query, retrieve
from medserver.scu.exchange import encode_data_set, next_message_id
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, associate
from tests.peers.node import REPOSITORY, Node

RESIDENT_MAX_BYTES = 200 * 10**6
MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = (uids.EXPLICIT_VR_LITTLE_ENDIAN,)


def peak_resident_bytes(node: Node) -> int:
    """Return the most memory that any process of the node ever had."""
    supervisor = node.server.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return max(map(_peak_resident_bytes, [str(supervisor), *children]))


def _peak_resident_bytes(process_id: str) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def open_association(node: Node, *proposals: Proposal, calling: str) -> Association:
    address = Address(node.address.ae_title, node.address.host, node.address.port)
    return associate(address, proposals, calling, WireLimits(dimse_timeout_s=120.0))


def image(sop_class_uid: str, number: int = 1, **shared: str) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = uids.new_uid()
    dataset.StudyInstanceUID = shared.get("study") or uids.new_uid()
    dataset.SeriesInstanceUID = shared.get("series") or uids.new_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "LARGE", "Large^Object", "OT"
    dataset.InstanceNumber = number
    return dataset


def store_command(dataset: Dataset, message_id: int) -> bytes:
    return encode_command_set({
        "AffectedSOPClassUID": dataset.SOPClassUID,
        "CommandField": CommandField.C_STORE,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": dataset.SOPInstanceUID,
    })


class EndlessZeros(io.RawIOBase):
    """A data set of a head and zeros that is in no memory and on no disk."""

    def __init__(self, head: bytes, zeros: int) -> None:
        self._head = head
        self._zeros = zeros

    def readinto(self, room) -> int:
        if self._head:
            count = min(len(room), len(self._head))
            room[:count], self._head = self._head[:count], self._head[count:]
            return count + (self.readinto(room[count:]) if count < len(room) else 0)
        count = min(len(room), self._zeros)
        room[:count] = bytes(count)
        self._zeros -= count
        return count


def test_an_object_of_two_gigabytes_goes_in_and_out(node: Node) -> None:
    size = 2 * 2**30
    dataset = image(MULTI_FRAME)
    head = encode_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    head += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size)
    sender = open_association(node, Proposal(MULTI_FRAME, EXPLICIT), calling="STORESCU")
    message_id = next_message_id()
    sender.send_file(1, store_command(dataset, message_id), EndlessZeros(head, size), len(head) + size)
    assert sender.wait_response(CommandField.C_STORE, message_id, 300.0).command_set["Status"] == 0
    sender.release()

    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", dataset.StudyInstanceUID
    receiver = open_association(
        node,
        query.proposal(uids.STUDY_ROOT_GET),
        Proposal(MULTI_FRAME, EXPLICIT, as_scp=True),
        calling="GETSCU",
    )
    received: list[int] = []

    def receive(context, message) -> int:
        received.append(sum(len(fragment) for fragment in message.fragments()))
        return 0

    *_, last = retrieve.get(receiver, uids.STUDY_ROOT_GET, identifier, receive)
    receiver.release()
    assert (last.code, received) == (0, [len(head) + size])
    assert peak_resident_bytes(node) < RESIDENT_MAX_BYTES


@pytest.fixture
def large_study(node: Node) -> Iterator[tuple[str, int]]:
    """Give the Study Instance UID of 20,000 stored instances, and how many they are."""
    count = 20_000
    study, series = uids.new_uid(), uids.new_uid()
    sender = open_association(node, Proposal(SECONDARY_CAPTURE, EXPLICIT), calling="STORESCU")
    for number in range(1, count + 1):
        dataset = image(SECONDARY_CAPTURE, number, study=study, series=series)
        message_id = next_message_id()
        data_set = encode_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        sender.send_message(1, store_command(dataset, message_id), data_set)
        assert sender.wait_response(CommandField.C_STORE, message_id, 60.0).command_set["Status"] == 0
    sender.release()
    yield study, count


def test_a_move_of_twenty_thousand_instances(node: Node, large_study: tuple[str, int], dcmtk) -> None:
    study, count = large_study
    destination = dcmtk.start_storescp("STORESCP", options=["--ignore"])
    node.add_remote(destination.address)
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
    mover = open_association(node, query.proposal(uids.STUDY_ROOT_MOVE), calling="MOVESCU")
    *_, last = retrieve.move(mover, uids.STUDY_ROOT_MOVE, identifier, "STORESCP")
    mover.release()
    assert last.code == 0
    assert last.command_set["NumberOfCompletedSuboperations"] == count
    assert peak_resident_bytes(node) < RESIDENT_MAX_BYTES


def test_a_query_with_a_hundred_thousand_matches(make_node) -> None:
    count = 100_000
    node = make_node()
    node.data.mkdir()
    generator = script("bench_index")
    generator.SERIES_PER_STUDY = generator.INSTANCES_PER_SERIES = 1
    generator.fill("sqlite:///index.db", node.data, count)
    node.start()
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for keyword in ("PatientName", "StudyDate", "StudyInstanceUID", "ModalitiesInStudy"):
        setattr(identifier, keyword, "")
    finder = open_association(node, query.proposal(uids.STUDY_ROOT_FIND), calling="FINDSCU")
    answers, last = 0, None
    for last in query.find(finder, uids.STUDY_ROOT_FIND, identifier):
        answers += last.identifier is not None
    finder.release()
    assert (answers, last.code) == (count, 0)
    assert peak_resident_bytes(node) < RESIDENT_MAX_BYTES


def script(name: str):
    """Import a program of scripts/, which has no suffix."""
    loader = SourceFileLoader(name, str(REPOSITORY / "scripts" / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
