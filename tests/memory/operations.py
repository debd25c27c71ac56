"""The operations that are large, of any size, and the memory that the node has for them."""

from __future__ import annotations

import io
import struct
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from pydicom.dataset import Dataset

from medserver.codecs import Workers, transcode
from medserver.dicom import uids
from medserver.scu import query, retrieve
from medserver.dicom.data_sets import write_data_set
from medserver.scu.exchange import next_message_id
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, associate
from tests.crash.campaign import process_ids
from tests.peers.node import REPOSITORY, Node

RESIDENT_MAX_BYTES = 200 * 10**6
"""What a process of the node may have whatever is asked of it."""

CONVERT_MAX_BYTES = 64 * 2**20
"""What a worker that swaps bytes may have more than an idle one."""

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = (uids.EXPLICIT_VR_LITTLE_ENDIAN,)


def peak_resident_bytes(node: Node) -> int:
    """Return the most memory that any process of the node ever had."""
    return max(map(_peak_resident_bytes, process_ids(node)))


def _peak_resident_bytes(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def open_association(node: Node, *proposals: Proposal, calling: str) -> Association:
    """Open an association with a node."""
    address = Address(node.address.ae_title, node.address.host, node.address.port)
    return associate(address, proposals, calling, WireLimits(dimse_timeout_s=120.0))


def image(sop_class_uid: str, number: int = 1, **shared: str) -> Dataset:
    """Make a small instance without pixels."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = uids.new_uid()
    dataset.StudyInstanceUID = shared.get("study") or uids.new_uid()
    dataset.SeriesInstanceUID = shared.get("series") or uids.new_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "LARGE", "Large^Object", "OT"
    dataset.InstanceNumber = number
    return dataset


def store_command(dataset: Dataset, message_id: int) -> bytes:
    """Return the command set of a C-STORE request."""
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


def store_and_get(node: Node, size_bytes: int) -> None:
    """Store an object with so many bytes of pixels, and get it again."""
    dataset = image(MULTI_FRAME)
    head = write_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    head += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size_bytes)
    sender = open_association(node, Proposal(MULTI_FRAME, EXPLICIT), calling="STORESCU")
    message_id, total = next_message_id(), len(head) + size_bytes
    sender.send_file(1, store_command(dataset, message_id), EndlessZeros(head, size_bytes), total)
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
    assert (last.code, received) == (0, [total])


def store_study(node: Node, count: int) -> str:
    """Store a study of so many small instances, and return its Study Instance UID."""
    study, series = uids.new_uid(), uids.new_uid()
    sender = open_association(node, Proposal(SECONDARY_CAPTURE, EXPLICIT), calling="STORESCU")
    for number in range(1, count + 1):
        dataset = image(SECONDARY_CAPTURE, number, study=study, series=series)
        message_id = next_message_id()
        data_set = write_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        sender.send_message(1, store_command(dataset, message_id), data_set)
        assert sender.wait_response(CommandField.C_STORE, message_id, 60.0).command_set["Status"] == 0
    sender.release()
    return study


def move_study(node: Node, study: str, destination: str) -> int:
    """Have a study moved, and return how many instances were."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
    mover = open_association(node, query.proposal(uids.STUDY_ROOT_MOVE), calling="MOVESCU")
    *_, last = retrieve.move(mover, uids.STUDY_ROOT_MOVE, identifier, destination)
    mover.release()
    assert last.code == 0
    return last.command_set["NumberOfCompletedSuboperations"]


def fill_index(node: Node, studies: int, instances: int = 1) -> None:
    """Put made-up studies of one series each into the index of a node that never ran; they are in no file."""
    node.cli("index", "counts")  # the archive is new, and its volume gets its marker
    generator = script("bench_index")
    generator.SERIES_PER_STUDY, generator.INSTANCES_PER_SERIES = 1, instances
    generator.fill("sqlite:///index.db", node.data, studies)


def find_studies(node: Node, patient_name: str = "") -> int:
    """Query for studies, and return how many match."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for keyword in ("StudyDate", "StudyInstanceUID", "ModalitiesInStudy"):
        setattr(identifier, keyword, "")
    identifier.PatientName = patient_name
    finder = open_association(node, query.proposal(uids.STUDY_ROOT_FIND), calling="FINDSCU")
    answers, last = 0, None
    for last in query.find(finder, uids.STUDY_ROOT_FIND, identifier):
        answers += last.identifier is not None
    finder.release()
    assert last.code == 0
    return answers


def convert(folder: Path, size_bytes: int) -> None:
    """Have so many bytes of pixels converted by a worker that may have `CONVERT_MAX_BYTES` more."""
    header = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size_bytes)
    path = folder / "large"
    with path.open("wb") as file:  # it has holes, and needs no room
        file.write(header)
        file.truncate(len(header) + size_bytes)
    total = path.stat().st_size
    with Workers(1, memory_max_bytes=CONVERT_MAX_BYTES) as workers, path.open("rb") as file:
        way = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
        with transcode(file, total, *way, workers, folder) as transcoded, transcoded.open() as stream:
            assert transcoded.size_bytes == total
            assert stream.read(12) == struct.pack(">HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size_bytes)


def script(name: str):
    """Import a program of scripts/, which has no suffix."""
    loader = SourceFileLoader(name, str(REPOSITORY / "scripts" / name))
    module = module_from_spec(spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
