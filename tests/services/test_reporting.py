"""What an association is doing, and how long that may take: a report is awaited, crossed, left unanswered."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from medserver.dicom import uids
from medserver.dicom.storage_commitment import Commitment, Reference, encode_commitment
from medserver.wire.command_set import RESPONSE, CommandField
from tests.attacks import raw
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import Object, make_object

COMMITMENT: raw.Context = (uids.STORAGE_COMMITMENT_PUSH_MODEL, (raw.EXPLICIT,))
CONTEXTS = (raw.VERIFICATION, raw.CT_STORAGE, COMMITMENT)
ECHO_ID, STORE_ID, COMMITMENT_ID = 1, 3, 5

NETWORK_TIMEOUT_S = DIMSE_TIMEOUT_S = 1


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(options={"limits.dimse_timeout_s": DIMSE_TIMEOUT_S})


@pytest.fixture(scope="module")
def idle_node(start_node: Callable[..., Node]) -> Node:
    """Give a node without workers: nothing is ever reported."""
    return start_node(options={"limits.network_timeout_s": NETWORK_TIMEOUT_S, "jobs.workers": 0})


def ask(sock: socket.socket, instance: Object) -> None:
    """Ask for the commitment of an instance."""
    asked = Commitment(uids.new_uid(), (Reference(instance.sop_class_uid, instance.sop_instance_uid),))
    command_set = {
        "RequestedSOPClassUID": uids.STORAGE_COMMITMENT_PUSH_MODEL,
        "CommandField": CommandField.N_ACTION,
        "MessageID": 2,
        "RequestedSOPInstanceUID": uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        "ActionTypeID": 1,
    }
    sock.sendall(raw.message(COMMITMENT_ID, command_set, encode_commitment(asked, raw.EXPLICIT)))
    assert raw.receive_status(sock) == 0x0000


def receive_report(sock: socket.socket) -> int:
    """Receive an N-EVENT-REPORT and return its Message ID."""
    command_set = raw.receive_command_set(sock)
    assert command_set["CommandField"] == CommandField.N_EVENT_REPORT
    return int(command_set["MessageID"])


def answer(message_id: int) -> bytes:
    """Encode the answer to an N-EVENT-REPORT."""
    return raw.message(COMMITMENT_ID, {
        "CommandField": CommandField.N_EVENT_REPORT | RESPONSE,
        "MessageIDBeingRespondedTo": message_id,
        "Status": 0x0000,
    })


def assert_silent(sock: socket.socket, duration_s: float) -> None:
    """Assert that nothing comes for some time: neither an A-ABORT nor the end of the connection."""
    sock.settimeout(duration_s)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    sock.settimeout(raw.TIMEOUT_S)


@contextmanager
def reported(node: Node) -> Iterator[tuple[socket.socket, int]]:
    """Give an association on which a report has come and is not answered, with its Message ID."""
    with raw.associate(node.address, "STORESCU", CONTEXTS) as sock:
        stored = make_object()
        sock.sendall(raw.store_request(stored.encoded, stored.sop_instance_uid, context_id=STORE_ID))
        assert raw.receive_status(sock) == 0x0000
        ask(sock, stored)
        yield sock, receive_report(sock)


def last_end(node: Node) -> str:
    """Return how the log says that the last association ended, empty if none has."""
    return next((line for line in reversed(node.output.splitlines()) if " end " in line), "")


def test_a_peer_that_waits_for_its_report_is_not_aborted(idle_node: Node) -> None:
    with raw.associate(idle_node.address, "STORESCU", CONTEXTS) as sock:
        ask(sock, make_object())
        assert_silent(sock, 2.5 * NETWORK_TIMEOUT_S)
        sock.sendall(raw.echo_request())
        assert raw.receive_status(sock) == 0x0000


def test_a_peer_that_waits_for_nothing_is_aborted(idle_node: Node) -> None:
    began_at = time.monotonic()
    with raw.associate(idle_node.address, "STORESCU", CONTEXTS) as sock:
        assert raw.receive_pdu(sock)[0] == raw.ABORT
    assert time.monotonic() - began_at < 2.5 * NETWORK_TIMEOUT_S


def test_a_report_that_is_not_answered_ends_the_association(node: Node) -> None:
    with reported(node) as (sock, _):
        assert raw.receive_pdu(sock)[0] == raw.ABORT


def test_a_request_that_crosses_a_report_has_all_its_time(node: Node) -> None:
    """It takes longer than the answer to the report may take, and that is expected only after it."""
    crossing = make_object()
    request = raw.store_request(crossing.encoded, crossing.sop_instance_uid, context_id=STORE_ID)
    with reported(node) as (sock, message_id):
        quarter = len(request) // 4
        for start in (0, quarter, 2 * quarter):
            sock.sendall(request[start : start + quarter])
            assert_silent(sock, 0.5 * DIMSE_TIMEOUT_S)
        sock.sendall(request[3 * quarter :])
        assert raw.receive_status(sock) == 0x0000
        assert_silent(sock, 0.5 * DIMSE_TIMEOUT_S)
        sock.sendall(answer(message_id))
        raw.release(sock)
    wait_until(lambda: "released=True" in last_end(node), what="the end of the association")


def test_a_release_while_a_report_is_unanswered_is_a_release(node: Node, start_receiver: ReceiverFactory) -> None:
    """And the study that was sent is complete, for a rule that goes by the end of the association."""
    receiver = start_receiver("ARCHIVE", {raw.CT_IMAGE_STORAGE: [raw.EXPLICIT]})
    node.set_section(
        "route archive", {"to": "ARCHIVE", "when": "study", "quiet": "1 h", "complete_by": "association"}
    )
    with reported(node) as (sock, _):
        raw.release(sock)
    wait_until(lambda: "released=True" in last_end(node), what="the end of the association")
    wait_until(lambda: receiver.received, what="the study at its destination")
