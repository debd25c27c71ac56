"""medserver echo."""

from __future__ import annotations

import json

import pytest

from tests.peers.ports import free_port


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


def test_echo_by_address(make_node, dcmtk):
    storescp = dcmtk.start_storescp()
    completed = make_node().cli("echo", _peer(storescp.address), "--count", "3")
    assert completed.exit_code == 0, completed.output
    assert completed.output.count("answered in") == 3


def test_echo_by_name(make_node, dcmtk):
    storescp = dcmtk.start_storescp()
    node = make_node()
    node.add_remote(storescp.address, name="archive")
    completed = node.cli("echo", "archive", "-aec", "OTHER", "--json")
    assert completed.exit_code == 0, completed.output
    answer = json.loads(completed.output)
    assert answer["peer"].startswith("OTHER@") and len(answer["round_trips_ms"]) == 1


def test_calling_ae_title(node):
    completed = node.cli("echo", _peer(node.address), "-aet", "GETSCU")
    assert completed.exit_code == 0, completed.output
    assert "calling=GETSCU" in node.output


def test_nobody_listens(make_node):
    completed = make_node().cli("echo", f"NOBODY@127.0.0.1:{free_port()}")
    assert completed.exit_code == 69
    assert completed.output.startswith("medserver: cannot connect") and completed.output.count("\n") == 1
    assert completed.output.endswith(": Connection refused\n")


def test_rejected(node):
    completed = node.cli("echo", _peer(node.address), "-aet", "STRANGER")
    assert completed.exit_code == 69
    assert "rejected the association" in completed.output and completed.output.count("\n") == 1


def test_not_permitted_is_not_success(make_node):
    node = make_node()
    node.add_remote("FINDER", allow=["find"])
    node.start()
    completed = node.cli("echo", _peer(node.address), "-aet", "FINDER")
    assert completed.exit_code == 69
    assert completed.output.count("\n") == 1


@pytest.mark.parametrize(
    ("peer", "exit_code", "words"),
    [
        ("NOSUCH", 69, "NOSUCH is neither an entry"),
        ("ECHOSCU", 2, "only calls us"),
        ("A@host", 2, "has no port"),
        ("A@host:70000", 2, "is not a port"),
        ("A@:104", 2, "host"),
        ("SEVENTEENLETTERSX@host:104", 2, "1 to 16 characters"),
        ("@host:104", 2, "1 to 16 characters"),
    ],
)
def test_bad_peer(make_node, peer, exit_code, words):
    completed = make_node().cli("echo", peer)
    assert completed.exit_code == exit_code
    assert words in completed.output and completed.output.count("\n") == 1
