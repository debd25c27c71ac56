"""C-ECHO (PS3.4 A)."""

from __future__ import annotations

from pynetdicom.sop_class import Verification

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services.peer import associated


def test_echoscu(node: Node, dcmtk: Dcmtk) -> None:
    answer = dcmtk.echo(node.address).check()
    assert answer.output.count("Received Echo Response (Success)") == 1


def test_echoscu_again_and_again_on_one_association(node: Node, dcmtk: Dcmtk) -> None:
    answer = dcmtk.echo(node.address, options=["--repeat", "20"]).check()
    assert answer.output.count("Received Echo Response (Success)") == 20


def test_echoscu_with_every_transfer_syntax_it_knows(node: Node, dcmtk: Dcmtk) -> None:
    dcmtk.echo(node.address, options=["--propose-ts", "38"]).check()


def test_echo_of_pynetdicom_on_several_contexts(node: Node) -> None:
    with associated(node.address, [Verification], calling_ae_title="ECHOSCU") as association:
        assert association.is_established
        assert [association.send_c_echo(msg_id).Status for msg_id in (1, 2, 65535)] == [0, 0, 0]


def test_peer_learns_who_we_are(node: Node) -> None:
    with associated(node.address, [Verification], calling_ae_title="ECHOSCU") as association:
        acceptor = association.acceptor
        assert acceptor.implementation_version_name.startswith("MEDSERVER")
        assert acceptor.implementation_class_uid.is_valid
        assert acceptor.maximum_length == 131_072
