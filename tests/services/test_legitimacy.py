"""Who may come in and do what: default deny (PS3.8 9.3.4, PS3.7 C.5)."""

from __future__ import annotations

import re
import shlex
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom.sop_class import (
    BasicGrayscalePrintManagementMeta,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepPull,
    Verification,
)

from medserver.errors import AssociationRejected
from medserver.scu import query, verification
from medserver.wire.requestor import Proposal
from tests.attacks import raw
from tests.peers.dcmtk import Dcmtk
from tests.peers.gdcm import Gdcm
from tests.peers.node import EVERY_SERVICE, Node
from tests.peers.process import wait_until
from tests.services import corpus
from tests.services.client import FIND, MOVE, Client, exchange_store, identifier_of
from tests.services.corpus import EXPLICIT
from tests.services.peer import associated

SOP_CLASSES = {
    "echo": Verification,
    "store": CTImageStorage,
    "find": StudyRootQueryRetrieveInformationModelFind,
    "move": StudyRootQueryRetrieveInformationModelMove,
    "get": StudyRootQueryRetrieveInformationModelGet,
    "commit": StorageCommitmentPushModel,
    "mpps": ModalityPerformedProcedureStep,
    "process": UnifiedProcedureStepPull,
    "print": BasicGrayscalePrintManagementMeta,
}


def rejection(
    node: Node, calling_ae_title: str, called_ae_title: str | None = None
) -> tuple[int, int, int] | None:
    """Return result, source and reason of the rejection, None when the association is accepted.

    Not with pynetdicom, which takes a rejection that comes at once for an abort of its own.
    """
    client = Client(
        node.address._replace(ae_title=called_ae_title or node.address.ae_title), calling_ae_title
    )
    try:
        with client.associated([verification.PROPOSAL]):
            return None
    except AssociationRejected as error:
        return error.result, error.source, error.reason


# -- who comes in ------------------------------------------------------------------------------------------------


def test_unknown_calling_ae_title_is_rejected_and_logged(node: Node) -> None:
    assert rejection(node, "INTRUDER") == (1, 1, 3)
    line = node.server.wait_for_line(r".*refused.*INTRUDER.*")[0]
    assert "127.0.0.1" in line


def test_called_ae_title_must_be_ours(node: Node) -> None:
    assert rejection(node, "ECHOSCU", "OTHER") == (1, 1, 7)
    assert rejection(node, "ECHOSCU", "medserver") == (1, 1, 7)
    assert rejection(node, "ECHOSCU") is None


def test_ae_titles_differ_by_case(node: Node) -> None:
    assert rejection(node, "echoscu") == (1, 1, 3)


@pytest.mark.parametrize(
    ("options", "is_accepted"),
    [
        ({"address": "127.0.0.1"}, True),
        ({"address": "127.0.0.1:104"}, True),
        ({"address": "localhost:104"}, True),
        ({"address": "10.99.0.1:104"}, False),
        ({"address": "10.99.0.1:104", "sources": "127.0.0.0/8"}, True),
        ({"address": "127.0.0.1:104", "sources": "10.99.0.0/16"}, False),
        ({"address": "10.99.0.1:104", "sources": "10.99.0.0/16, 127.0.0.1"}, True),
    ],
)
def test_source_address_must_be_the_callers(node: Node, options: dict[str, str], is_accepted: bool) -> None:
    node.add_remote("PLACED", options=options)
    assert rejection(node, "PLACED") == (None if is_accepted else (1, 1, 3))


def test_unknown_caller_gets_nothing(node: Node, dcmtk: Dcmtk, gdcm: Gdcm) -> None:
    """Neither by DCMTK nor by GDCM."""
    sent = corpus.make_object()
    path = dcmtk.directory / "sent.dcm"
    sent.dataset.file_meta = corpus.file_meta(EXPLICIT)
    sent.dataset.save_as(path, enforce_file_format=True)
    keys = {"StudyInstanceUID": ""}
    for answer in (
        dcmtk.echo(node.address, calling_ae_title="INTRUDER"),
        dcmtk.store(node.address, path, calling_ae_title="INTRUDER"),
        dcmtk.find(node.address, "STUDY", keys, calling_ae_title="INTRUDER"),
        dcmtk.move(node.address, "STORESCU", "STUDY", keys, calling_ae_title="INTRUDER"),
        dcmtk.get(node.address, dcmtk.directory / "got", "STUDY", keys, calling_ae_title="INTRUDER"),
    ):
        assert answer.exit_code != 0
        assert answer.statuses == ()
        assert "Calling AE Title Not Recognized" in answer.output
    assert not gdcm.echo(node.address, calling_ae_title="INTRUDER").is_released
    assert Client(node.address).find(
        "STUDY", {"StudyInstanceUID": sent.dataset.StudyInstanceUID}
    ).statuses == (0,)


BAD_TITLES = {
    b"NUL-PADDED".ljust(16, b"\0"): "NUL-PADDED from",
    b"NUL-INSIDE\0x".ljust(16): "NUL-INSIDE from",
    b" " * 16: "(no AE title) from",
    b"\0" * 16: "(no AE title) from",
    b"\0HIDDEN".ljust(16): "(no AE title) from",
    b"ESC\x1b[31m".ljust(16): "ESC\\x1b[31m from",
    b"BACK\\SLASH".ljust(16): "BACK\\\\SLASH from",
    b"M\xdcLLER".ljust(16): "from",
}


@pytest.mark.parametrize(("title", "shown"), BAD_TITLES.items())
def test_whatever_a_caller_calls_itself_it_is_rejected_and_listed(node: Node, title: bytes, shown: str) -> None:
    """PS3.8 9.3.4: calling-AE-title-not-recognized, and not an A-ABORT of which nobody learns."""
    assert answer_to(node, title, node.address.ae_title.encode()) == (raw.ASSOCIATE_RJ, b"\0\1\1\3")
    assert shown in node.cli("ae", "pending").check().output


@pytest.mark.parametrize("pad", [b"\0", b" "])
@pytest.mark.parametrize("behind", [b"", b"\0", b"\0left", b"  "])
def test_a_nul_ends_an_ae_title(node: Node, pad: bytes, behind: bytes) -> None:
    """The answer has both titles as they were received (PS3.8 9.3.3)."""
    calling, called = (
        (title.encode() + behind).ljust(16, pad)[:16] for title in ("ECHOSCU", node.address.ae_title)
    )
    kind, body = answer_to(node, calling, called)
    assert kind == raw.ASSOCIATE_AC
    assert body[4:36] == called + calling
    assert answer_to(node, calling, (b"OTHER" + behind).ljust(16, pad)[:16]) == (raw.ASSOCIATE_RJ, b"\0\1\1\7")
    assert answer_to(node, calling, pad * 16) == (raw.ASSOCIATE_RJ, b"\0\1\1\7")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"\0\1\0\0", b"\xff\xff\0\0", raw.ASSOCIATE_AC),
        (b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9", b"\0\1\1\2"),
        (b"\x10\0\0\x15", b"\x18\0\0\x15", b"\0\1\1\2"),
        (struct.pack(">BxHI", 0x51, 4, raw.PDU_LENGTH), struct.pack(">BxHI", 0x51, 4, 256), b"\0\1\1\1"),
    ],
    ids=["another protocol version as well", "another application context", "no application context", "short PDUs"],
)
def test_what_else_an_association_request_says(node: Node, old: bytes, new: bytes, expected: int | bytes) -> None:
    request = raw.associate_request(node.address, "ECHOSCU")
    with raw.connect(node.address) as sock:
        sock.sendall(request.replace(old, new, 1))
        kind, body = raw.receive_pdu(sock)
    assert (kind if kind == raw.ASSOCIATE_AC else body) == expected


def answer_to(node: Node, calling: bytes, called: bytes) -> tuple[int, bytes]:
    """Return type and body of the PDU that answers a request with these titles."""
    request = raw.associate_request(node.address, "X")
    with raw.connect(node.address) as sock:
        sock.sendall(request[:10] + called.ljust(16) + calling.ljust(16) + request[42:])
        return raw.receive_pdu(sock)


# -- what they may do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [(), *((service,) for service in EVERY_SERVICE), EVERY_SERVICE])
def test_only_what_is_allowed_is_negotiated(node: Node, allowed: tuple[str, ...]) -> None:
    node.set_section("printer film", {"output": "pdf", "folder": "films"})
    node.add_remote("LIMITED", allow=allowed)
    with associated(node.address, SOP_CLASSES.values(), calling_ae_title="LIMITED") as association:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        rejected = {context.abstract_syntax: context.result for context in association.rejected_contexts}
    if allowed == ("get",):  # which has the right to be sent images, but not the role (PS3.8 9.3.3.2: user-rejection)
        assert rejected[CTImageStorage] == 1
    assert accepted == {SOP_CLASSES[service] for service in allowed}
    assert set(rejected) == set(SOP_CLASSES.values()) - accepted
    assert set(rejected.values()) <= {1, 3, 4}


@pytest.mark.parametrize("allowed", [("get",), ("get", "store")])
def test_storage_context_for_a_get_does_not_let_in_a_store(node: Node, allowed: tuple[str, ...]) -> None:
    """The role of the peer is SCP there: a C-STORE request from it is not authorised, whatever its rights are."""
    node.add_remote("GETTER", allow=allowed)
    sent = corpus.make_object()
    client = Client(node.address, "GETTER")
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,), as_scp=True)]) as association:
        assert association.contexts
        code, _ = exchange_store(association, sent.encoded, AffectedSOPInstanceUID=sent.sop_instance_uid)
    assert code == 0x0124
    assert Client(node.address).find(
        "STUDY", {"StudyInstanceUID": sent.dataset.StudyInstanceUID}
    ).statuses == (0,)


def test_destination_without_rights_cannot_call(node: Node) -> None:
    node.add_remote("DESTINATION", allow=())
    with associated(node.address, [Verification], calling_ae_title="DESTINATION") as association:
        assert not association.accepted_contexts


# -- changes without a restart ----------------------------------------------------------------------------------------


def test_right_that_is_taken_away_during_an_association(node: Node) -> None:
    """What was negotiated is not what counts, but what config.ini says now (0124)."""
    node.add_remote("CHANGING")
    client = Client(node.address, "CHANGING")
    proposals = [verification.PROPOSAL, query.proposal(FIND["STUDY"]), query.proposal(MOVE["STUDY"])]
    sent = corpus.make_object()
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,)), *proposals]) as association:

        def find_status() -> int:
            identifier = identifier_of("STUDY", {"StudyInstanceUID": "1.2"})
            return list(query.find(association, FIND["STUDY"], identifier))[-1].code

        assert verification.echo(association).code == 0
        assert find_status() == 0
        node.add_remote("CHANGING", allow=["echo"])
        wait_until(lambda: find_status() == 0x0124, what="the change")
        assert verification.echo(association).code == 0
        code, _ = exchange_store(association, sent.encoded, AffectedSOPInstanceUID=sent.sop_instance_uid)
        assert code == 0x0124
        node.remove_remote("CHANGING")
        wait_until(lambda: verification.echo(association).code == 0x0124, what="the change")


def test_added_and_removed_without_a_restart(node: Node, dcmtk: Dcmtk) -> None:
    assert rejection(node, "NEWCOMER") == (1, 1, 3)
    node.add_remote("NEWCOMER")
    wait_until(lambda: rejection(node, "NEWCOMER") is None, what="the change")
    dcmtk.echo(node.address, calling_ae_title="NEWCOMER").check()
    node.remove_remote("NEWCOMER")
    wait_until(lambda: rejection(node, "NEWCOMER") == (1, 1, 3), what="the change")


def test_broken_configuration_keeps_the_last_good_one(start_node: Callable[..., Node]) -> None:
    node = start_node()
    good = node.config.read_text()
    node.replace_config(good.replace("[ae ECHOSCU]", "[ae ECHOSCU]\nallwo = echo"))
    assert rejection(node, "ECHOSCU") is None
    assert rejection(node, "INTRUDER") == (1, 1, 3)
    node.server.wait_for_line("allwo")
    node.replace_config(good.replace("[ae ECHOSCU]", "[ae RENAMED]"))
    wait_until(lambda: rejection(node, "RENAMED") is None, what="the change")
    assert rejection(node, "ECHOSCU") == (1, 1, 3)


# -- medserver ae ------------------------------------------------------------------------------------------------


def test_pending_caller_is_approved_with_the_line_that_is_shown(
    start_node: Callable[..., Node], dcmtk: Dcmtk
) -> None:
    node = start_node(clients=["ECHOSCU"])
    node.config.write_text("; a comment of the administrator\n" + node.config.read_text())
    for _ in range(2):
        assert dcmtk.echo(node.address, calling_ae_title="CT SCANNER 1").exit_code != 0
    shown = node.cli("ae", "pending").check().output
    assert "CT SCANNER 1" in shown
    assert "attempts: 2" in shown
    line = re.search(r"^ +(medserver .*)$", shown, re.MULTILINE)[1]
    words = shlex.split(line)
    node.cli(*words[words.index("ae") :]).check()
    assert "a comment of the administrator" in node.config.read_text()
    wait_until(lambda: rejection(node, "CT SCANNER 1") is None, what="the change")
    dcmtk.echo(node.address, calling_ae_title="CT SCANNER 1").check()
    assert "CT SCANNER 1" not in node.cli("ae", "pending").check().output


def test_who_is_refused_is_refused_alike_while_the_index_fails(start_node: Callable[..., Node]) -> None:
    """What cannot be noted is refused nevertheless, and by the same answer; the log has the reason."""
    node = start_node(clients=["ECHOSCU"])
    [path] = node.directory.rglob("index.db")
    with closing(sqlite3.connect(path)) as database:
        for table in ("unknown_callers", "audit_pending"):
            database.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    assert rejection(node, "INTRUDER") == (1, 1, 3)
    assert rejection(node, "ECHOSCU", "OTHER") == (1, 1, 7)
    node.server.wait_for_line(r".*refused.*INTRUDER.*unknown caller.*")
    node.server.wait_for_line(r".*not noted.*")
    assert "Traceback" not in node.output
    with closing(sqlite3.connect(path)) as database:
        for table in ("unknown_callers", "audit_pending"):
            database.execute(f"ALTER TABLE {table}_away RENAME TO {table}")
    assert rejection(node, "SECOND") == (1, 1, 3)
    assert "SECOND from" in node.cli("ae", "pending").check().output


def test_pending_callers_are_bounded(start_node: Callable[..., Node]) -> None:
    node = start_node(clients=[])
    for number in range(210):
        assert rejection(node, f"SCAN{number}") == (1, 1, 3)
    listed = re.findall(r"SCAN\d+ from", node.cli("ae", "pending").check().output)
    assert len(listed) == 200
    assert "SCAN209 from" in listed, "the newest are kept"


def test_ae_add_and_remove_on_the_running_node(start_node: Callable[..., Node], dcmtk: Dcmtk) -> None:
    node = start_node(clients=[])
    storescp = dcmtk.start_storescp("STORESCP")
    address = f"{storescp.address.host}:{storescp.address.port}"
    node.cli("ae", "add", "STORESCP", "--address", address, "--allow", "echo").check()
    dcmtk.echo(node.address, calling_ae_title="STORESCP").check()
    node.cli("ae", "echo", "STORESCP").check()
    assert "STORESCP" in node.cli("ae", "list").check().output
    node.cli("ae", "remove", "STORESCP").check()
    wait_until(lambda: rejection(node, "STORESCP") == (1, 1, 3), what="the change")
