"""Users of associations: who is let in for what, and that nothing on the wire tells why not (PS3.7 D.3.3.7)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from tests.attacks import raw
from tests.conftest import NodeFactory
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_small
from tests.peers.node import Node
from tests.peers.process import wait_until

SEARCH, CLASSES = StudyRootQueryRetrieveInformationModelFind, (Verification, CTImageStorage)
CONFIRMED = b"\x59\0\0\2\0\0"
"""The User Identity sub-item of an A-ASSOCIATE-AC with a server response of no length."""


@pytest.fixture(scope="module")
def users(node: Node) -> Node:
    """A node with two users and three entries."""
    for demanded in ("accepted", "required"):
        node.add_remote(demanded.upper(), options={"identity": demanded})
    node.add_remote("ONLYBERTA", options={"identity": "required", "users": "berta"})
    for name, role in (("anna", "reader"), ("berta", "operator")):
        node.cli("user", "add", name, "--role", role, "--no-passcode").check()
    node.cli("user", "add", "carla", "--role", "admin", "--generate").check()
    return node


def identity(identity_type: int, primary: bytes, secondary: bytes = b"", wants_response: bool = True):
    """Return the item as pynetdicom has it."""
    item = UserIdentityNegotiation()
    item.user_identity_type, item.positive_response_requested = identity_type, wants_response
    item.primary_field = primary
    if secondary:
        item.secondary_field = secondary
    return item


def accepted(node: Node, calling: str, item: UserIdentityNegotiation | None) -> set[str] | None:
    """Return which of three SOP classes are accepted; None if the association is rejected."""
    ae = AE(calling)
    for sop_class in (*CLASSES, SEARCH):
        ae.add_requested_context(sop_class)
    address = node.address
    association = ae.associate(address.host, address.port, ae_title=address.ae_title, ext_neg=[item] if item else [])
    if not association.is_established:
        return None
    found = {str(context.abstract_syntax) for context in association.accepted_contexts}
    association.release()
    return found


ALL = {str(uid) for uid in (*CLASSES, SEARCH)}
READS = {str(Verification), str(SEARCH)}

CASES = {
    ("STORESCU", "anna"): ALL,  # identity = none: what it says is passed over
    ("ACCEPTED", None): ALL,
    ("ACCEPTED", "anna"): READS,
    ("ACCEPTED", "berta"): ALL,
    ("ACCEPTED", "nobody"): None,
    ("ACCEPTED", "carla"): None,  # she has a passcode
    ("REQUIRED", None): None,
    ("REQUIRED", "anna"): READS,
    ("ONLYBERTA", "anna"): None,
    ("ONLYBERTA", "berta"): ALL,
}


@pytest.mark.parametrize(("calling", "name"), CASES, ids=str)
def test_who_is_let_in_for_what(users: Node, calling: str, name: str | None) -> None:
    item = None if name is None else identity(1, name.encode())
    assert accepted(users, calling, item) == CASES[calling, name]


def test_with_dcmtk(users: Node, dcmtk: Dcmtk) -> None:
    """Its -usr, with -rsp that demands a positive response."""
    image = make_small(dcmtk.directory)[0].path
    stored = dcmtk.store(users.address, image, calling_ae_title="REQUIRED", options=("-usr", "berta", "-rsp"))
    assert stored.exit_code == 0, stored.output
    options = ("-usr", "berta", "-pwd", "secret passcode")
    refused = dcmtk.store(users.address, image, calling_ae_title="REQUIRED", options=options)
    assert refused.exit_code != 0 and "Calling AE Title Not Recognized" in refused.output
    assert "127.0.0.1" in users.server.wait_for_line(r".*refused.*REQUIRED.*in the clear.*")[0]
    assert "secret passcode" not in users.output


def answer(node: Node, calling: str, item: bytes) -> bytes:
    """Return the PDU that answers a request with a User Identity sub-item."""
    request = raw.associate_request(node.address, calling, user_items=item)
    with raw.connect(node.address) as sock:
        sock.sendall(request)
        kind, body = raw.receive_pdu(sock)
    return bytes((kind,)) + body


def sub_item(identity_type: int, wants_response: int, primary: bytes, secondary: bytes = b"") -> bytes:
    fields = b"".join(len(each).to_bytes(2, "big") + each for each in (primary, secondary))
    value = bytes((identity_type, wants_response)) + fields
    return b"\x58\0" + len(value).to_bytes(2, "big") + value


def test_a_positive_response_only_when_it_is_asked_for(users: Node) -> None:
    assert CONFIRMED in answer(users, "REQUIRED", sub_item(1, 1, b"anna"))
    assert CONFIRMED not in answer(users, "REQUIRED", sub_item(1, 0, b"anna"))
    assert CONFIRMED not in answer(users, "ACCEPTED", b"")
    assert CONFIRMED not in answer(users, "STORESCU", sub_item(1, 1, b"anna"))


def test_nothing_on_the_wire_tells_why(users: Node) -> None:
    """Each refusal is the one of an AE that is not known at all, byte for byte."""
    unknown = answer(users, "INTRUDER", b"")
    assert unknown[:1] == bytes((raw.ASSOCIATE_RJ,))
    for item in (
        b"", sub_item(1, 1, b"nobody"), sub_item(1, 1, b"carla"), sub_item(2, 1, b"anna", b"wrong horse"),
        sub_item(2, 1, b"carla", b"wrong horse"), sub_item(3, 1, b"ticket"), sub_item(4, 1, b"<saml/>"),
        sub_item(5, 1, b"a.b.c"), sub_item(9, 1, b"x"), b"\x58\0\0\1\1", b"\x58\0\0\0",
    ):  # fmt: skip
        assert answer(users, "REQUIRED", item) == unknown, item


@pytest.fixture
def anna(users: Node) -> Iterator[object]:
    """Give an association of a user who is allowed all at first."""
    users.cli("user", "add", "dora", "--role", "operator", "--no-passcode").check()
    ae = AE("REQUIRED")
    for sop_class in (*CLASSES, SEARCH):
        ae.add_requested_context(sop_class)
    address = users.address
    association = ae.associate(address.host, address.port, ae_title=address.ae_title, ext_neg=[identity(1, b"dora")])
    assert association.is_established
    yield association
    association.release()


def test_rights_are_those_of_this_moment(users: Node, anna) -> None:
    """A user who is made less, disabled or removed may do less at once, on an association that is open."""
    def status() -> int:
        wait_until(lambda: not anna._is_paused, what="the requestor")
        return anna.send_c_echo().Status

    assert status() == 0x0000
    users.cli("user", "edit", "dora", "--disable").check()
    assert status() == 0x0124
    users.cli("user", "edit", "dora", "--enable", "--role", "reader").check()
    assert status() == 0x0000
    users.cli("user", "remove", "dora").check()
    assert status() == 0x0124


def test_no_user_comes_whom_the_trail_cannot_tell(make_node: NodeFactory) -> None:
    """With [audit] required: the association is aborted, and another one is accepted once the index works again."""
    node = make_node(options={"audit.required": "yes", "node.processes": 1})
    node.add_remote("WS1", options={"identity": "required"})
    node.cli("user", "add", "anna", "--role", "reader", "--no-passcode").check()
    node.start()
    [path] = node.directory.rglob("index.db")

    def received() -> int:
        with raw.connect(node.address) as sock:
            sock.sendall(raw.associate_request(node.address, "WS1", user_items=sub_item(1, 0, b"anna")))
            assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
            sock.sendall(raw.echo_request())
            return raw.receive_pdu(sock)[0]

    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename("audit_pending", "audit_away")
    assert received() == raw.ABORT
    assert "Traceback" not in node.output
    rename("audit_away", "audit_pending")
    assert received() == raw.P_DATA


def test_demands_are_those_of_this_moment(users: Node) -> None:
    """What an entry demands from now on, its open associations have to satisfy too."""
    users.add_remote("CHANGING", options={"identity": "accepted"})
    with raw.connect(users.address) as named, raw.connect(users.address) as nameless:
        for sock, item in ((named, sub_item(1, 0, b"anna")), (nameless, b"")):
            sock.sendall(raw.associate_request(users.address, "CHANGING", user_items=item))
            assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC

        def statuses(**options: str) -> tuple[int, int]:
            users.add_remote("CHANGING", options=options)
            for sock in (named, nameless):
                sock.sendall(raw.echo_request())
            return raw.receive_status(named), raw.receive_status(nameless)

        assert statuses(identity="accepted") == (0x0000, 0x0000)
        assert statuses(identity="accepted", users="berta") == (0x0124, 0x0000)
        assert statuses(identity="required", users="anna, berta") == (0x0000, 0x0124)
        assert statuses(identity="none", users="") == (0x0000, 0x0000)
