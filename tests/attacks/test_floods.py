"""Peers that send faster than they read, or more than makes sense."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from medserver.dicom import uids
from medserver.wire.command_set import CommandField
from tests.attacks import raw
from tests.attacks.siege import Siege
from tests.peers import Address
from tests.services.client import Client
from tests.services.corpus import make_object

STORES = 1000
REQUESTS = 10_000
ASSOCIATIONS_PER_AE = 90
"""Nearly as many as the node allows by default from one address."""

UNRECOGNISED_OPERATION = 0x0211

TIMEOUT_S = 30.0
"""So long may 1,000 stores take on a slow disk."""


def store_requests(study_instance_uid: str) -> list[bytes]:
    """Encode C-STORE requests of small instances of one study: one is made, and gets a thousand UIDs."""
    sop_instance_uid = f"{uids.new_uid()[:50]}.1000"
    instance = make_object(SOPInstanceUID=sop_instance_uid, StudyInstanceUID=study_instance_uid)
    request = raw.store_request(instance.data_set(), sop_instance_uid)
    own = sop_instance_uid.encode()
    return [request.replace(own, own[:-4] + str(1000 + number).encode()) for number in range(STORES)]


def test_1000_pipelined_stores(siege: Siege) -> None:
    """Nobody reads an answer before all requests are out; every one is answered, and was stored before it was."""

    def attack() -> None:
        study = uids.new_uid()
        with raw.associate(siege.node.address, "STORESCU", (raw.CT_STORAGE,), timeout_s=TIMEOUT_S) as sock:
            for request in store_requests(study):
                sock.sendall(request)
            assert [raw.receive_status(sock) for _ in range(STORES)] == [0] * STORES
        keys = {"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": ""}
        found = Client(siege.node.address).find("STUDY", keys)
        assert found.values("NumberOfStudyRelatedInstances") == [str(STORES)]

    siege.withstands(attack)


def test_1000_pipelined_stores_whose_answers_are_never_read(siege: Siege) -> None:
    """The peer leaves with a reset while the node is still at work."""

    def attack() -> None:
        sock = associate_without_reading(siege.node.address, "STORESCU", raw.CT_STORAGE)
        raw.send_while_open(sock, store_requests(uids.new_uid()))
        raw.reset(sock)

    siege.withstands(attack)


def associate_without_reading(address: Address, calling_ae_title: str, context: raw.Context) -> socket.socket:
    """Open an association through the smallest receive buffer that there is: it is soon full."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.settimeout(TIMEOUT_S)
    sock.connect((address.host, address.port))
    sock.sendall(raw.associate_request(address, calling_ae_title, (context,)))
    assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
    return sock


def _event_report(message_id: int) -> bytes:
    """Encode an N-EVENT-REPORT of the Storage Commitment Push Model."""
    command_set = {
        "AffectedSOPClassUID": "1.2.840.10008.1.20.1",
        "CommandField": CommandField.N_EVENT_REPORT,
        "MessageID": message_id,
        "AffectedSOPInstanceUID": "1.2.840.10008.1.20.1.1",
        "EventTypeID": 1,
    }
    return raw.message(1, command_set)


def _cancel(message_id: int) -> bytes:
    """Encode a C-CANCEL."""
    return raw.message(
        1, {"CommandField": CommandField.C_CANCEL, "MessageIDBeingRespondedTo": message_id}
    )


def _stray_response(message_id: int) -> bytes:
    """Encode an answer to a request that nobody made."""
    command_set = {
        "AffectedSOPClassUID": uids.VERIFICATION,
        "CommandField": CommandField.C_ECHO | 0x8000,
        "MessageIDBeingRespondedTo": message_id,
        "Status": 0,
    }
    return raw.message(1, command_set)


@pytest.mark.parametrize(("make", "answered"), [(_event_report, True), (_cancel, False), (_stray_response, False)])
def test_10000_messages_that_nobody_waits_for(siege: Siege, make, answered: bool) -> None:
    """They are answered or passed over one by one, in the thread of the association, and leave no log lines."""
    lines_before = siege.node.output.count("\n")

    def attack() -> None:
        with raw.associate(siege.node.address, "STORESCU", (raw.VERIFICATION,), timeout_s=TIMEOUT_S) as sock:
            for start in range(0, REQUESTS, 100):
                sock.sendall(b"".join(make(number) for number in range(start, start + 100)))
                if answered:
                    statuses = {raw.receive_status(sock) for _ in range(100)}
                    assert statuses == {UNRECOGNISED_OPERATION}
            sock.sendall(raw.echo_request())
            assert raw.receive_status(sock) == 0
            raw.release(sock)

    siege.withstands(attack)
    assert len(association_lines(siege, lines_before)) < 30


def test_10000_event_reports_whose_answers_are_never_read(siege: Siege) -> None:
    def attack() -> None:
        with associate_without_reading(siege.node.address, "STORESCU", raw.VERIFICATION) as sock:
            for start in range(0, REQUESTS, 100):
                sock.sendall(b"".join(map(_event_report, range(start, start + 100))))

    siege.withstands(attack)


@pytest.mark.parametrize("end", [socket.socket.close, raw.reset])
def test_all_associations_of_an_ae_end_at_once(siege: Siege, end: Callable[[socket.socket], None]) -> None:
    def attack() -> None:
        for _ in range(2):
            sockets = [raw.associate(siege.node.address, "STORESCU") for _ in range(ASSOCIATIONS_PER_AE)]
            for sock in sockets:
                end(sock)
            siege.wait_until_gone()

    siege.withstands(attack)


def association_lines(siege: Siege, lines_before: int) -> list[str]:
    """Return the log lines since then that are not about the legitimate peer."""
    lines = siege.node.output.splitlines()[lines_before:]
    harmless = {line.split()[2] for line in lines if "calling=LEGITIMATE" in line}
    return [line for line in lines if line.split()[2] not in harmless]
