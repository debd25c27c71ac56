"""Mixed load on a node, and the proof that what it acknowledged is still there."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.errors import MedserverError
from medserver.scu import query, retrieve
from medserver.dicom.data_sets import write_data_set
from medserver.scu.exchange import next_message_id
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, associate
from tests.peers.node import Node

SENDERS = 4
SMALL_BYTES = 6_000
LARGE_BYTES = 1_300_000
LARGE_EVERY = 40
AGAIN_EVERY = 15
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
EXPLICIT = (uids.EXPLICIT_VR_LITTLE_ENDIAN,)
LIMITS = WireLimits(connection_timeout_s=5.0, acse_timeout_s=10.0, dimse_timeout_s=10.0, network_timeout_s=10.0)


class Load:
    """Senders, a finder and a mover; remembers what was acknowledged.

    Parameters
    ----------
    node : Node
        Who is loaded.
    seed : int
        Decides on the bytes.
    """

    def __init__(self, node: Node, seed: int) -> None:
        self._node = node
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.acknowledged: dict[str, dict[str, str]] = {}  # study -> instance -> SHA-256 of the data set
        self.count = 0

    @contextmanager
    def running(self) -> Iterator[threading.Event]:
        """Load the node while the block runs, or until what it gets is set; the connections may break at any time."""
        stop = threading.Event()
        works = self.works()
        seeds = [self._random.random() for _ in works]
        threads = [
            threading.Thread(target=self._until_broken, args=(work, stop, seed))
            for work, seed in zip(works, seeds)
        ]
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()

    def works(self) -> list[Callable[[threading.Event, random.Random], None]]:
        """Return what is done at the same time, each until it is told to stop."""
        return [self._send] * SENDERS + [self._find, self._get]

    def acknowledge(self, study: str, sop_instance_uid: str, digest: str) -> None:
        """Remember that an instance was acknowledged."""
        with self._lock:
            self.count += 1
            self.acknowledged.setdefault(study, {})[sop_instance_uid] = digest

    def _until_broken(self, work, stop: threading.Event, seed: float) -> None:
        try:
            work(stop, random.Random(seed))
        except MedserverError:
            return  # the node was killed: that is what this is for

    def associate(self, calling: str, *proposals: Proposal) -> Association:
        address = self._node.address
        return associate(Address(address.ae_title, address.host, address.port), proposals, calling, LIMITS)

    def _send(self, stop: threading.Event, chance: random.Random) -> None:
        study, series = uids.new_uid(), uids.new_uid()
        association = self.associate("STORESCU", Proposal(SECONDARY_CAPTURE, EXPLICIT))
        previous: tuple[Dataset, bytes] | None = None
        number = 0
        while not stop.is_set():
            number += 1
            if previous is not None and number % AGAIN_EVERY == 0:
                dataset, data_set = previous  # the same bytes once more
            else:
                dataset, data_set = _image(study, series, number, chance)
            previous = dataset, data_set
            if store(association, dataset, data_set) == 0:
                self.acknowledge(study, dataset.SOPInstanceUID, digest_of(data_set))
        association.release()

    def _find(self, stop: threading.Event, chance: random.Random) -> None:
        association = self.associate("FINDSCU", query.proposal(uids.STUDY_ROOT_FIND))
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", ""
        while not stop.is_set():
            for _ in query.find(association, uids.STUDY_ROOT_FIND, identifier):
                pass
            stop.wait(0.05)
        association.release()

    def _get(self, stop: threading.Event, chance: random.Random) -> None:
        while not stop.wait(0.1):
            with self._lock:
                studies = list(self.acknowledged)
            if studies:
                self.fetch(chance.choice(studies))

    def fetch(self, study: str) -> dict[str, str]:
        """Fetch a study; return SHA-256 by SOP Instance UID."""
        association = self.associate(
            "GETSCU",
            query.proposal(uids.STUDY_ROOT_GET),
            Proposal(SECONDARY_CAPTURE, EXPLICIT, as_scp=True),
        )
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
        fetched: dict[str, str] = {}

        def receive(context, message) -> int:
            digest = hashlib.sha256()
            for fragment in message.fragments():
                digest.update(fragment)
            fetched[message.command_set["AffectedSOPInstanceUID"]] = digest.hexdigest()
            return 0

        for last in retrieve.get(association, uids.STUDY_ROOT_GET, identifier, receive):
            assert last.code in (0x0000, 0xFF00), f"C-GET {last.code:04X}"
        association.release()
        return fetched

    def check(self) -> None:
        """Check that everything that was ever acknowledged is found and comes back bit by bit."""
        for study, instances in self.acknowledged.items():
            fetched = self.fetch(study)
            wrong = {uid for uid, digest in instances.items() if fetched.get(uid) != digest}
            assert not wrong, f"{len(wrong)} of {len(instances)} acknowledged instances are lost or changed"


def _image(study: str, series: str, number: int, chance: random.Random) -> tuple[Dataset, bytes]:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SECONDARY_CAPTURE, uids.new_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientID, dataset.PatientName, dataset.Modality = "CRASH", "Crash^Test", "OT"
    dataset.InstanceNumber = number
    size = LARGE_BYTES if number % LARGE_EVERY == 7 else SMALL_BYTES
    dataset.add_new(0x7FE00010, "OB", chance.randbytes(size))
    return dataset, write_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)


def store(association: Association, dataset: Dataset, data_set: bytes) -> int:
    """Store a data set and return the status."""
    message_id = next_message_id()
    command_set = encode_command_set({
        "AffectedSOPClassUID": dataset.SOPClassUID,
        "CommandField": CommandField.C_STORE,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": dataset.SOPInstanceUID,
    })
    association.send_message(1, command_set, data_set)
    response = association.wait_response(CommandField.C_STORE, message_id, LIMITS.dimse_timeout_s)
    return response.command_set["Status"]


def digest_of(data_set: bytes) -> str:
    """Return the SHA-256 of a data set."""
    return hashlib.sha256(data_set).hexdigest()
