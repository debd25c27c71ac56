"""Associations between our acceptor and our requestor, and with peers that do not behave.

What other implementations make of it is tested in tests/services.
"""

from __future__ import annotations

import io
import select
import socket
import struct
import threading
import time
from dataclasses import replace

import pytest

from medserver.dicom import uids
from medserver.errors import AssociationAborted, AssociationRejected, ConnectionFailed
from medserver.scu import verification
from medserver.wire.admission import AdmissionLimits
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import Support, negotiate
from medserver.wire.pdata import pdata_pieces
from medserver.wire.requestor import Address, Proposal, associate
from tests.wire.serving import PRINCIPAL, running, success

LIMITS = WireLimits(acse_timeout_s=1.0, network_timeout_s=1.0, dimse_timeout_s=5.0, drain_max_bytes=1_000_000)
SYNTAXES = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SUPPORT = Support(dict.fromkeys(SYNTAXES, 0))

ABORT = b"\x07\0\0\0\0\x04\0\0"
ABORTED_BY_USER, ABORTED_BY_PROVIDER, INVALID_PDU_PARAMETER_VALUE = (0, 0), (2, 0), (2, 6)
"""The A-ABORT PDU before its source and reason, and these (PS3.8 9.3.8)."""


class CountingPolicy:
    """Accepts Verification and CT Image Storage from anybody but NOBODY and counts what comes."""

    def __init__(self):
        self.received: list[tuple[int, int]] = []
        self.fragments: list[int] = []
        self.failures: list[str] = []
        self.ended = threading.Semaphore(0)

    def negotiate(self, request, address, presented):
        served = {uids.VERIFICATION: SUPPORT, CT_IMAGE_STORAGE: SUPPORT}
        principal = None if request.calling_ae_title == "NOBODY" else PRINCIPAL
        return negotiate(request, "ACCEPTOR", principal, lambda principal, uid: served.get(uid))

    def serve(self, association):
        try:
            while (message := association.next_message()) is not None:
                self.fragments = [len(fragment) for fragment in message.fragments()]
                self.received.append((message.command_field, sum(self.fragments)))
                association.send_message(message.context_id, success(message))
        except AssociationAborted as error:
            self.failures.append(str(error))
            raise
        finally:
            self.ended.release()


@pytest.fixture
def policy():
    return CountingPolicy()


@pytest.fixture
def address(policy):
    with running(policy, LIMITS) as address:
        yield address


def _associate(address, *proposals, calling="REQUESTOR"):
    return associate(address, proposals or [verification.PROPOSAL], calling, LIMITS)


def _raw_association(address) -> socket.socket:
    """Open an association with C-STORE and hand its socket over, for bytes that no library would send."""
    association = _associate(address, Proposal(CT_IMAGE_STORAGE, SYNTAXES))
    sock = association.connection.socket
    sock.setblocking(True)
    sock.settimeout(5.0)
    return sock


def _ends(sock: socket.socket) -> bytes:
    """Return what the peer sends until it closes."""
    received = b""
    try:
        while data := sock.recv(4096):
            received += data
    except ConnectionResetError:
        pass
    sock.close()
    return received


def _abort(sock: socket.socket) -> tuple[int, int]:
    """Return source and reason of the A-ABORT that the peer sends, and do not wait for it to close."""
    with sock:
        received = b""
        while data := sock.recv(10 - len(received)):
            received += data
    assert received[:8] == ABORT
    return received[8], received[9]


def test_echo_and_release(address, policy):
    association = _associate(address)
    assert verification.echo(association).code == 0
    assert verification.echo(association).code == 0
    association.release()
    assert association.is_released
    assert policy.received == [(CommandField.C_ECHO, 0)] * 2
    assert policy.ended.acquire(timeout=5)


def test_a_data_set_of_many_fragments_arrives_whole(address, policy):
    association = _associate(address, Proposal(CT_IMAGE_STORAGE, SYNTAXES))
    command_set = encode_command_set({
        "AffectedSOPClassUID": CT_IMAGE_STORAGE,
        "CommandField": CommandField.C_STORE,
        "MessageID": 7,
        "CommandDataSetType": 1,
    })
    association.send_message(1, command_set, bytes(1_000_000))
    response = association.wait_response(CommandField.C_STORE, 7, 5.0)
    assert response.command_set["Status"] == 0
    assert policy.received == [(CommandField.C_STORE, 1_000_000)]
    association.release()


def test_a_refused_caller_learns_the_reason(address):
    with pytest.raises(AssociationRejected) as refusal:
        _associate(address, calling="NOBODY")
    assert (refusal.value.result, refusal.value.source, refusal.value.reason) == (1, 1, 3)


def test_no_accepted_context_is_told(address):
    with pytest.raises(AssociationAborted, match="none of the proposed"):
        _associate(address, Proposal("1.2.3.4", SYNTAXES))


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailed):
            _associate(Address("ACCEPTOR", "127.0.0.1", unused.getsockname()[1]))


def test_the_order_of_the_proposal_decides_on_the_transfer_syntax(address):
    association = _associate(
        address, Proposal(CT_IMAGE_STORAGE, SYNTAXES), Proposal(CT_IMAGE_STORAGE, SYNTAXES[::-1])
    )
    assert [context.transfer_syntax_uid for context in association.contexts.values()] == list(SYNTAXES)
    association.release()


@pytest.mark.parametrize("length", [512, 513, 1023, 4097, 16_383, 65_535, 131_071, 131_073])
@pytest.mark.parametrize("in_memory", [True, False])
def test_fragments_are_even_whatever_length_the_peer_announces(policy, tmp_path, length, in_memory):
    """PS3.8 E.1: DCMTK ends the association at an odd one; what comes is whole and no longer than announced."""
    data_set = bytes(range(256)) * 1500
    with running(policy, replace(LIMITS, pdu_length_max=length)) as address:
        association = _associate(address, Proposal(CT_IMAGE_STORAGE, SYNTAXES))
        command_set = encode_command_set({
            "AffectedSOPClassUID": CT_IMAGE_STORAGE,
            "CommandField": CommandField.C_STORE,
            "MessageID": 7,
            "CommandDataSetType": 1,
        })
        if in_memory:
            association.send_message(1, command_set, data_set)
        else:
            association.send_file(1, command_set, io.BytesIO(data_set), len(data_set))
        association.wait_response(CommandField.C_STORE, 7, 5.0)
        association.release()
    assert policy.received == [(CommandField.C_STORE, len(data_set))]
    assert all(size % 2 == 0 for size in policy.fragments)


@pytest.mark.parametrize("received", [b"", b"\x01", b"\x01\x00\x00\x00"], ids=["nothing", "a byte", "half a header"])
def test_a_silent_connection_is_closed_after_the_acse_timeout(address, received):
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(received)
        sock.settimeout(5.0)
        assert _ends(sock) == b""


def test_a_slow_request_misses_its_deadline(address):
    with socket.create_connection((address.host, address.port)) as sock:
        sock.settimeout(0.2)
        with pytest.raises(ConnectionError):
            sock.sendall(b"\x01\x00\x00\x00\x01\x00")
            for _ in range(100):
                sock.sendall(b"\0")
                try:
                    if sock.recv(1) == b"":
                        raise ConnectionError("closed, as it must be")
                except TimeoutError:
                    continue


@pytest.mark.parametrize("length", [300_000, 2**31, 2**32 - 1])
def test_a_pdu_that_is_too_long_is_refused_at_its_header(address, length):
    with socket.create_connection((address.host, address.port)) as sock:
        sock.settimeout(5.0)
        sock.sendall(struct.pack(">BBI", 1, 0, length))
        assert _abort(sock) == ABORTED_BY_USER


def test_a_p_data_longer_than_agreed_aborts(address, policy):
    sock = _raw_association(address)
    sock.sendall(struct.pack(">BBI", 4, 0, LIMITS.pdu_length_max + 1))
    assert _ends(sock) == ABORT + bytes(ABORTED_BY_PROVIDER)  # and it closes the connection
    assert policy.ended.acquire(timeout=5)
    assert policy.failures == ["a PDU of 131073 bytes was announced, 131072 are permitted"]  # and not waited for


@pytest.mark.parametrize(
    "pdvs",
    [
        b"",
        b"\0\0\0\x01\x01",
        struct.pack(">IBB", 0xFFFFFFFF, 1, 3),
        struct.pack(">IBB", 2, 99, 3),
        struct.pack(">IBB", 2, 1, 0),
        struct.pack(">IBB", 2 + 5, 1, 3) + b"\x01\x02\x03\x04\x05",
    ],
    ids=["empty", "too short", "lying length", "no such context", "data before a command", "not a command set"],
)
def test_presentation_data_values_that_lie_abort(address, pdvs):
    sock = _raw_association(address)
    sock.sendall(struct.pack(">BBI", 4, 0, len(pdvs)) + pdvs)
    assert _abort(sock) == INVALID_PDU_PARAMETER_VALUE


def test_an_endless_command_set_aborts(address):
    sock = _raw_association(address)
    fragment = struct.pack(">BBIIBB", 4, 0, 1006, 1002, 1, 1) + bytes(1000)
    for _ in range(100):
        sock.sendall(fragment)
    assert _abort(sock) == INVALID_PDU_PARAMETER_VALUE


def _goes_on(sock: socket.socket, pdu: bytes) -> bytes:
    """Send a PDU now and then until there is an answer; return that."""
    with sock:
        deadline = time.monotonic() + 8.0
        while not select.select([sock], [], [], 0.1)[0]:
            assert time.monotonic() < deadline, "still waited for"
            sock.sendall(pdu)
        return sock.recv(10)


def test_a_command_set_of_empty_fragments_misses_its_deadline(address):
    """Each is something from the peer, and none brings it nearer to the end."""
    empty = struct.pack(">BBIIBB", 4, 0, 6, 2, 1, 1)
    assert _goes_on(_raw_association(address), empty) == ABORT + bytes(ABORTED_BY_PROVIDER)


@pytest.mark.parametrize("with_cancels", [True, False])
def test_a_response_has_one_deadline(with_cancels):
    """A peer that sends a C-CANCEL now and then, or a response a byte at a time, does not answer any later."""
    limits = replace(LIMITS, dimse_timeout_s=1.0)
    responses: list[str] = []

    class Asking(CountingPolicy):
        def serve(self, association):
            try:
                association.wait_response(CommandField.C_STORE, 1, limits.dimse_timeout_s)
            except AssociationAborted as error:
                responses.append(str(error))
                raise

    command_set = encode_command_set({"CommandField": CommandField.C_CANCEL, "MessageIDBeingRespondedTo": 9})
    cancel = b"".join(pdata_pieces(1, command_set, True, 16384))
    with running(Asking(), limits) as address:
        empty = struct.pack(">BBIIBB", 4, 0, 6, 2, 1, 1)
        answer = _goes_on(_raw_association(address), cancel if with_cancels else empty)
    assert answer == ABORT + bytes(ABORTED_BY_PROVIDER)
    assert responses in (["the peer is too slow"], ["the peer is silent"])


def test_a_peer_that_stops_within_a_data_set_is_aborted(address, policy):
    sock = _raw_association(address)
    command_set = encode_command_set({
        "AffectedSOPClassUID": CT_IMAGE_STORAGE,
        "CommandField": CommandField.C_STORE,
        "MessageID": 7,
        "CommandDataSetType": 1,
    })
    sock.sendall(b"".join(pdata_pieces(1, command_set, True, 16384)))
    sock.sendall(struct.pack(">BBIIBB", 4, 0, 1006, 1002, 1, 0) + bytes(500))
    assert _abort(sock) == ABORTED_BY_PROVIDER
    assert policy.ended.acquire(timeout=5)


def test_silent_connections_do_not_keep_others_out(policy):
    with running(policy, LIMITS, AdmissionLimits(waiting_max=8)) as address:
        silent = [socket.create_connection((address.host, address.port)) for _ in range(50)]
        association = _associate(address)
        assert verification.echo(association).code == 0
        association.release()
        for sock in silent:
            sock.close()


def test_stopping_ends_open_associations_quickly(policy):
    with running(policy, LIMITS) as address:
        associations = [_associate(address) for _ in range(20)]
    for association in associations:
        with pytest.raises(AssociationAborted):
            verification.echo(association)
        association.close()
