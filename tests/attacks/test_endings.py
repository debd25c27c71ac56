"""Peers that end an association at every fiftieth byte of what they would have sent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from medserver.dicom import uids
from medserver.wire.command_set import CommandField
from tests.attacks import hostile, raw
from tests.attacks.siege import Siege
from tests.services import corpus
from tests.services.client import Client

STEP_BYTES = 50

ABORT = raw.pdu(raw.ABORT, b"\0\0\0\0")

SMALL_BYTES, LARGE_BYTES = 600, 1_300_000
"""One data set that goes into the journal, and one that gets a file of its own as it comes."""

CONTEXTS = [raw.CT_STORAGE, raw.STUDY_ROOT_FIND]

End = Callable[[socket.socket], object]


def _abort(sock: socket.socket) -> None:
    with sock, suppress(ConnectionError):
        sock.sendall(ABORT)


def _shut_down(sock: socket.socket) -> None:
    with sock, suppress(ConnectionError):
        sock.shutdown(socket.SHUT_WR)
        raw.receive_until_closed(sock)


ENDS: dict[str, End] = {
    "abort": _abort,
    "reset": raw.reset,
    "close": socket.socket.close,
    "half-close": _shut_down,
}


def recording(siege: Siege, objects: list[corpus.Object]) -> bytes:
    """Return what a peer sends in an association: request, two C-STOREs, a C-FIND, release."""
    query = hostile.query("STUDY", hostile.element(0x00100020, "LO", b"ENDING"))
    find = {
        "AffectedSOPClassUID": uids.STUDY_ROOT_FIND,
        "CommandField": CommandField.C_FIND,
        "MessageID": 3,
        "Priority": 0,
    }
    stores = [
        raw.store_request(one.encoded, one.sop_instance_uid, message_id=number)
        for number, one in enumerate(objects, start=1)
    ]
    request = raw.associate_request(siege.node.address, "STORESCU", CONTEXTS)
    return request + b"".join(stores) + raw.message(3, find, query) + raw.RELEASE_REQUEST


def make_objects(study: str, size_bytes: int) -> list[corpus.Object]:
    """Return two new instances of a study."""
    return corpus.make_study(2, StudyInstanceUID=study, PatientID="ENDING", PixelData=bytes(size_bytes))


def store_ends(siege: Siege, objects: list[corpus.Object]) -> list[int]:
    """Return where in the recording the last byte of each C-STORE request is."""
    ends, position = [], len(raw.associate_request(siege.node.address, "STORESCU", CONTEXTS))
    for number, one in enumerate(objects, start=1):
        position += len(raw.store_request(one.encoded, one.sop_instance_uid, message_id=number))
        ends.append(position)
    return ends


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_end_at_every_fiftieth_byte(siege: Siege, end: End) -> None:
    """What has not come whole is not stored; what has come whole is there, or it is not, but never in part."""
    client = Client(siege.node.address)

    def attack() -> None:
        study = uids.new_uid()
        complete: list[corpus.Object] = []
        length = 0
        while length < len(whole := recording(siege, fresh := make_objects(study, SMALL_BYTES))):
            ends = store_ends(siege, fresh)
            # An A-ABORT that follows would be the last bytes of the data set.
            length = next((position for position in ends if 0 < position - length <= len(ABORT)), length)
            sock = raw.connect(siege.node.address)
            with suppress(ConnectionError):
                sock.sendall(whole[:length])
            end(sock)
            complete += fresh[: sum(length >= position for position in ends)]
            length += STEP_BYTES
        check_stored(client, study, complete)

    siege.withstands(attack)


def test_end_within_a_large_data_set(siege: Siege) -> None:
    """Its file is gone with the association."""
    client = Client(siege.node.address)

    def send_part(end: End) -> None:
        study = uids.new_uid()
        fresh = make_objects(study, LARGE_BYTES)
        whole = recording(siege, fresh)
        for length in range(store_ends(siege, fresh)[0] - len(ABORT) - 1, 0, -LARGE_BYTES // 6):
            sock = raw.connect(siege.node.address)
            with suppress(ConnectionError):
                sock.sendall(whole[:length])
            end(sock)
        check_stored(client, study, [])

    siege.withstands(lambda: [send_part(end) for end in ENDS.values()])


def check_stored(client: Client, study: str, complete: list[corpus.Object]) -> None:
    """Assert that nothing of a study is stored but of what came whole, and that this comes back as it was sent."""
    sent = {one.sop_instance_uid: one.encoded for one in complete}
    got = client.get("STUDY", {"StudyInstanceUID": study}, [(raw.CT_IMAGE_STORAGE, raw.EXPLICIT)])
    assert got.status == 0
    assert {uid: sent.get(uid) for uid in got.received} == {uid: data for uid, (_, data) in got.received.items()}


def test_end_while_the_node_answers(siege: Siege) -> None:
    """The peer has asked for everything, and is gone when the answers come."""
    stored = corpus.make_study(3, PatientID="ENDING", PixelData=bytes(300_000))
    assert Client(siege.node.address).store(*stored) == [0, 0, 0]
    identifier = hostile.query("STUDY", hostile.element(0x00100020, "LO", b"ENDING"))
    study = stored[0].dataset.StudyInstanceUID.encode()
    named = hostile.query("STUDY", hostile.element(hostile.STUDY_INSTANCE_UID, "UI", study))
    requests = [
        (uids.STUDY_ROOT_FIND, CommandField.C_FIND, {}, identifier),
        (uids.STUDY_ROOT_MOVE, CommandField.C_MOVE, {"MoveDestination": "NOBODY"}, named),
        (uids.STUDY_ROOT_GET, CommandField.C_GET, {}, named),
    ]

    def attack() -> None:
        for sop_class, operation, more, data_set in requests:
            command_set = {"AffectedSOPClassUID": sop_class, "CommandField": operation, "MessageID": 1, "Priority": 0}
            for end in ENDS.values():
                for _ in range(5):
                    sock = raw.associate(
                        siege.node.address, "GETSCU", [(sop_class, (raw.EXPLICIT,)), raw.CT_STORAGE]
                    )
                    sock.sendall(raw.message(1, command_set | more, data_set))
                    end(sock)

    siege.withstands(attack)


def test_everything_is_adopted_by_the_next_start(siege: Siege) -> None:
    """Stopped and started, the node has nothing to mend: index and store agree."""
    node = siege.node
    assert node.stop() == 0
    assert node.cli("index", "check").check().output
    node.start()
    assert "reconciliation:" not in node.output
