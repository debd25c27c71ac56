"""The memory that one large object needs on its way in and out."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.scu import query, retrieve
from medserver.dicom.data_sets import write_data_set
from medserver.scu.exchange import next_message_id
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.requestor import Proposal
from scripts.benchmarks.candidates import Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from scripts.benchmarks.verifying import open_association
from tests.peers import PeerFailed

MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.2"
EXPLICIT = (uids.EXPLICIT_VR_LITTLE_ENDIAN,)
ANSWER_TIMEOUT_S = 600.0
RESET_PEAK = "5"
"""What makes the kernel forget the peak in /proc/PID/clear_refs, see proc(5)."""


class Zeros(io.RawIOBase):
    """A data set of a head and zeros, which needs no memory of its own."""

    def __init__(self, head: bytes, zeros: int) -> None:
        self._head = head
        self._zeros = zeros

    def readinto(self, room: memoryview) -> int:
        """Fill the room, as far as there is something left."""
        head, self._head = self._head[: len(room)], self._head[len(room) :]
        room[: len(head)] = head
        count = min(len(room) - len(head), self._zeros)
        room[len(head) : len(head) + count] = bytes(count)
        self._zeros -= count
        return len(head) + count


class LargeObject(Stage):
    """A server that has done nothing before."""

    def prepare(self, cells: list[Cell]) -> None:
        """Start the server, and see what it needs at rest."""
        names = dict.fromkeys(name for cell in cells for name in cell.candidates)
        self._running = {name: self.start(name, self.stack) for name in names}
        self._at_rest = {name: _memory_mb(running, "VmRSS") for name, running in self._running.items()}
        self._stored: dict[str, tuple[str, int]] = {}

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the MB that are resident at the peak more than at rest, in all processes together."""
        running = self._running[candidate]
        size = self.material.sizes.object_bytes
        if cell.operation == "C-GET" and candidate not in self._stored:
            self._stored[candidate] = store(running, size)
        for process_id in running.process_ids():
            Path(f"/proc/{process_id}/clear_refs").write_text(RESET_PEAK)
        if cell.operation == "C-GET":
            get(running, *self._stored[candidate])
        else:
            self._stored[candidate] = store(running, size)
        return _memory_mb(running, "VmHWM") - self._at_rest[candidate]


def store(candidate: Candidate, size_bytes: int) -> tuple[str, int]:
    """Send an object; return its Study Instance UID and the length of its data set."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MULTI_FRAME, uids.new_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uids.new_uid(), uids.new_uid()
    dataset.PatientID, dataset.PatientName, dataset.Modality = "LARGE", "Large^Object", "OT"
    head = write_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    head += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size_bytes)
    message_id = next_message_id()
    command = {
        "AffectedSOPClassUID": MULTI_FRAME,
        "CommandField": CommandField.C_STORE,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": dataset.SOPInstanceUID,
    }
    association = open_association(candidate, Proposal(MULTI_FRAME, EXPLICIT), calling="STORESCU")
    length = len(head) + size_bytes
    association.send_file(1, encode_command_set(command), Zeros(head, size_bytes), length)
    answer = association.wait_response(CommandField.C_STORE, message_id, ANSWER_TIMEOUT_S)
    association.release()
    if answer.command_set["Status"] != 0:
        raise PeerFailed(f"{candidate.name} answered status {answer.command_set['Status']:04X}")
    return dataset.StudyInstanceUID, length


def get(candidate: Candidate, study_instance_uid: str, length: int) -> None:
    """Retrieve the object with C-GET, and see that all of it comes."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study_instance_uid
    received: list[int] = []

    def receive(context: object, message: object) -> int:
        received.append(sum(len(fragment) for fragment in message.fragments()))
        return 0

    association = open_association(
        candidate,
        query.proposal(uids.STUDY_ROOT_GET),
        Proposal(MULTI_FRAME, EXPLICIT, as_scp=True),
        calling="GETSCU",
    )
    *_, last = retrieve.get(association, uids.STUDY_ROOT_GET, identifier, receive)
    association.release()
    if (last.code, received) != (0, [length]):
        raise PeerFailed(f"{candidate.name} sent {received} bytes of {length}, status {last.code:04X}")


def _memory_mb(candidate: Candidate, name: str) -> float:
    """Return the sum over the processes of VmRSS (resident) or VmHWM (its peak) in /proc/PID/status."""
    kilobytes = 0
    for process_id in candidate.process_ids():
        status = Path(f"/proc/{process_id}/status").read_text().splitlines()
        (line,) = [line for line in status if line.startswith(f"{name}:")]
        kilobytes += int(line.split()[1])
    return kilobytes * 1024 / 1e6
