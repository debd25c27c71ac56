"""What stands between: balancers that say who calls, and stunnel for programs that know no TLS."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks import raw
from tests.certificates import TestCA
from tests.conftest import MakeDirectory
from tests.peers import Address, requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.ports import free_port
from tests.peers.process import Server, wait_until
from tests.tls.secure import SecureNode
from tests.tls.test_refusals import answer, connect

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SOURCE = "10.1.2.3"


@pytest.fixture(scope="module")
def behind(make_directory: MakeDirectory) -> Iterator[SecureNode]:
    """Give a node behind a balancer on this machine; CT1 calls from `SOURCE`, with the certificate of the clients."""
    limits = {"limits.associations_per_address_max": 7}
    running = SecureNode(make_directory("behind"), **{"node.proxies": "127.0.0.1", **limits})
    running.allow("CT1", running.client, address=SOURCE)
    running.node.add_remote("CLEAR1", options={"address": SOURCE})
    running.node.add_remote("CLEAR2")
    try:
        running.node.start()
        yield running
    finally:
        print(running.node.output[-4000:])
        running.node.kill()


def header(source: str = SOURCE, command: int = 0x21) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4000, 104)
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(addresses)) + addresses


def with_header(address: Address, sent: bytes) -> socket.socket:
    sock = raw.connect(address)
    sock.sendall(sent)
    return sock


def test_who_calls_is_what_the_header_says(behind: SecureNode) -> None:
    clear = behind.node.address
    with with_header(clear, header()) as sock:
        sock.sendall(raw.associate_request(clear, "CLEAR1"))
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
    assert answer(with_header(clear, header("10.9.9.9")), clear, "CLEAR1")[0] == raw.ASSOCIATE_RJ
    assert "address=10.9.9.9" in behind.node.output


@pytest.mark.parametrize(
    "sent",
    [
        b"PROXY TCP4 10.1.2.3 10.0.0.1 4000 104\r\n",
        SIGNATURE + bytes([0x21, 0x11, 0xFF, 0xFF]),
        SIGNATURE + bytes([0x21, 0x11, 0, 4]) + bytes(4),
        SIGNATURE + bytes([0x21, 0x12, 0, 12]) + bytes(12),
        SIGNATURE + bytes([0x11, 0x11, 0, 12]) + bytes(12),
    ],
)
def test_what_is_no_header_is_not_answered(behind: SecureNode, sent: bytes) -> None:
    sock = with_header(behind.node.address, sent + raw.associate_request(behind.node.address, "CLEAR1"))
    assert raw.receive_until_closed(sock) == b""


def test_limits_count_for_who_calls(behind: SecureNode) -> None:
    """And not for the balancer, from which everybody comes."""
    with ExitStack() as stack:
        for number in range(1, 4):
            source = f"10.1.2.{number}"
            behind.node.add_remote(f"CT{number}", name=f"LIMIT{number}", options={"address": source})
            for _ in range(6):
                sock = stack.enter_context(with_header(behind.node.address, header(source)))
                sock.sendall(raw.associate_request(behind.node.address, f"CT{number}"))
                assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC


def test_without_a_header_nobody_is_let_in(behind: SecureNode) -> None:
    assert answer(raw.connect(behind.node.address), behind.node.address, "ECHOSCU") == b""
    wait_until(lambda: "no header address=127.0.0.1" in behind.node.output, what="the log line")


def test_a_balancer_that_looks_whether_the_node_is_there(behind: SecureNode) -> None:
    """It comes for itself (LOCAL), and closes."""
    with with_header(behind.node.address, SIGNATURE + bytes([0x20, 0, 0, 0])) as sock:
        sock.sendall(raw.associate_request(behind.node.address, "CLEAR2"))
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC


def test_nobody_else_is_believed(secure: SecureNode) -> None:
    """To a node without balancers a header is garbage."""
    for address in (secure.node.address, secure.tls):
        sock = with_header(address, header())
        assert raw.receive_until_closed(sock)[:1] in (b"", bytes([raw.ABORT]))


@pytest.fixture
def haproxy(behind: SecureNode, tmp_path: Path) -> Iterator[Address]:
    """Give where a haproxy listens that passes TLS on to the node, and says who calls."""
    requires("haproxy")
    front = Address("MEDSERVER", free_port())
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n"
        f"frontend dicom\n  bind 127.0.0.1:{front.port}\n  default_backend nodes\n"
        f"backend nodes\n  server one 127.0.0.1:{behind.tls.port} send-proxy-v2\n"
    )
    server = Server(["haproxy", "-db", "-f", config], log=tmp_path / "haproxy.log")
    try:
        server.wait_for_port(front)
        yield front
    finally:
        server.kill()


def test_haproxy(behind: SecureNode, haproxy: Address, dcmtk: Dcmtk, tmp_path: Path) -> None:
    images = make_series(tmp_path / "images", 3)
    dcmtk.echo(haproxy, options=behind.options()).check()
    stored = dcmtk.store(haproxy, *(one.path for one in images), options=behind.options()).check()
    assert stored.statuses == (0, 0, 0)


def test_stunnel_for_a_program_without_tls(secure: SecureNode, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """DCMTK's getscu knows no TLS: stunnel calls for it."""
    requires("stunnel")
    images = make_series(tmp_path / "images", 3, patient_id="STUNNEL")
    dcmtk.store(secure.tls, *(one.path for one in images), options=secure.options()).check()
    front = Address("MEDSERVER", free_port())
    config = tmp_path / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\n[dicom]\nclient = yes\naccept = 127.0.0.1:{front.port}\n"
        f"connect = 127.0.0.1:{secure.tls.port}\ncert = {secure.client.certificate}\nkey = {secure.client.key}\n"
        f"CAfile = {secure.ca.certificate}\nverifyChain = yes\n"
    )
    server = Server(["stunnel", config], log=tmp_path / "stunnel.log")
    try:
        server.wait_for_port(front)
        dcmtk.get(front, tmp_path / "got", "PATIENT", {"PatientID": "STUNNEL"}, model="PATIENT").check()
    finally:
        server.kill()
    assert len(list((tmp_path / "got").iterdir())) == 3


def test_a_ca_of_another_name_does_not_help(secure: SecureNode) -> None:
    """An entry with a CA of its own takes what that signs; another CA with the same name is another CA."""
    ca = TestCA(secure.directory, "own")
    secure.node.add_remote("CT8", options={"tls": "required", "ca": ca.certificate})
    with connect(secure.tls, ca.issue("CT8")) as sock:
        sock.sendall(raw.associate_request(secure.tls, "CT8"))
        assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
    (secure.directory / "false").mkdir()
    false = TestCA(secure.directory / "false", "own")
    assert answer(connect(secure.tls, false.issue("CT8")), secure.tls, "CT8")[0] == raw.ASSOCIATE_RJ
