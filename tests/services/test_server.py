"""The process: what it logs, how it stops, and what it says when it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from medserver.errors import RemoteError
from medserver.scu import query, verification
from medserver.scu.exchange import context_for, send_request
from medserver.server.supervisor import KILL_AFTER_S
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.pdata import fragment_pieces, pdata_pieces
from medserver.wire.requestor import Proposal
from pydicom.uid import CTImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification

from tests.peers import proc
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services import corpus
from tests.services.client import MOVE, Client, identifier_of
from tests.services.corpus import EXPLICIT, kinds_of
from tests.peers.receiver import Receiver
from tests.services.peer import ALL_TRANSFER_SYNTAXES

STOPS_WITHIN_S = 5.0


# Odd queries are made on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*VR DA.*:UserWarning")


# -- stopping ------------------------------------------------------------------------------------------------------


def stop(node: Node) -> tuple[int, float]:
    """Stop a node; return its exit code and how long it took."""
    started_at = time.monotonic()
    return node.stop(), time.monotonic() - started_at


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_with_idle_associations(start_node: Callable[..., Node], number: int) -> None:
    node = start_node()
    client = Client(node.address)
    with ExitStack() as stack:
        associations = [stack.enter_context(client.associated([verification.PROPOSAL])) for _ in range(20)]
        silent = [stack.enter_context(socket.create_connection(node.address[2:0:-1])) for _ in range(5)]
        assert all(verification.echo(one).code == 0 for one in associations)
        node.server.process.send_signal(number)
        code, duration_s = stop(node)
        assert (code, duration_s < STOPS_WITHIN_S) == (0, True)
        for association in associations:
            with pytest.raises(RemoteError):
                verification.echo(association)
        for sock in silent:
            sock.settimeout(5)
            with suppress(ConnectionResetError):  # one that was not accepted yet
                assert sock.recv(100) == b""
    assert "stopped" in node.output
    assert "Traceback" not in node.output


def test_running_operation_is_finished_before_the_stop(start_node: Callable[..., Node]) -> None:
    """A C-STORE of which one half is here when SIGTERM comes is stored, and answered."""
    node = start_node()
    client = Client(node.address)
    sent = corpus.make_object(PixelData=bytes(20_000_000))
    with client.associated([Proposal(CTImageStorage, (EXPLICIT,))]) as association:
        [context] = association.contexts.values()
        command_set = encode_command_set(
            {
                "AffectedSOPClassUID": CTImageStorage,
                "CommandField": CommandField.C_STORE,
                "MessageID": 1,
                "Priority": 0,
                "CommandDataSetType": 1,
                "AffectedSOPInstanceUID": sent.sop_instance_uid,
            }
        )
        halves = memoryview(sent.encoded)[:10_000_000], memoryview(sent.encoded)[10_000_000:]
        association.write(pdata_pieces(context.context_id, command_set, True, 16_384))
        association.write(fragment_pieces(context.context_id, halves[0], False, 16_384))
        node.server.wait_for(lambda: list(node.data.rglob("*.part")), what="the first half")
        node.server.process.terminate()
        node.server.wait_for_line("stopping")
        association.write(fragment_pieces(context.context_id, halves[1], True, 16_384))
        response = association.wait_response(CommandField.C_STORE, 1, 10)
        assert response.command_set["Status"] == 0
    assert node.stop() == 0
    node.start()
    fetched = client.get(
        "IMAGE", {"SOPInstanceUID": sent.sop_instance_uid}, kinds_of([sent]), model="COMPOSITE"
    )
    assert fetched.received == {sent.sop_instance_uid: (EXPLICIT, sent.encoded)}


def test_stops_although_operations_do_not_end(start_node: Callable[..., Node]) -> None:
    """A peer that stopped in the midst of a data set, one that does not read, a destination that does not answer."""
    node = start_node()
    client = Client(node.address)
    held = threading.Event()
    receiver = Receiver(
        "HOLDING", {CTImageStorage: ALL_TRANSFER_SYNTAXES}, respond=lambda event: held.wait(30) and 0
    )
    node.add_remote(receiver.address, allow=())
    objects = corpus.make_study(2)
    assert client.store(*objects) == [0, 0]
    with ExitStack() as stack:
        stack.callback(receiver.close)
        stack.callback(held.set)
        storing = stack.enter_context(client.associated([Proposal(CTImageStorage, (EXPLICIT,))]))
        [context] = storing.contexts.values()
        command_set = {
            "AffectedSOPClassUID": CTImageStorage,
            "CommandField": 1,
            "MessageID": 1,
            "CommandDataSetType": 1,
        }
        command_set["AffectedSOPInstanceUID"] = "1.2.3"
        storing.write(pdata_pieces(context.context_id, encode_command_set(command_set), True, 16_384))
        moving = stack.enter_context(client.associated([query.proposal(MOVE["STUDY"])]))
        keys = {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID}
        start_move(moving, "HOLDING", keys)
        node.server.wait_for_line("C-MOVE destination=HOLDING")
        code, duration_s = stop(node)
        assert (code, duration_s < STOPS_WITHIN_S) == (0, True), duration_s
    assert "Traceback" not in node.output


def start_move(association, destination: str, keys: dict[str, str]) -> None:
    context = context_for(association, MOVE["STUDY"])
    command_set = {
        "AffectedSOPClassUID": MOVE["STUDY"],
        "CommandField": CommandField.C_MOVE,
        "MessageID": 1,
        "Priority": 0,
        "MoveDestination": destination,
    }
    send_request(association, context, command_set, identifier_of("STUDY", keys))


def test_process_that_does_not_stop_is_killed(start_node: Callable[..., Node]) -> None:
    """It takes as long as the supervisor waits for it."""
    node = start_node()
    stuck = min(children_of(node))
    os.kill(stuck, signal.SIGSTOP)
    code, duration_s = stop(node)
    assert (code, duration_s >= KILL_AFTER_S) == (0, True)
    assert f"killed={stuck}" in node.output
    assert "stopped" in node.output


def test_restart_finds_everything_again(start_node: Callable[..., Node]) -> None:
    node = start_node()
    client = Client(node.address)
    objects = corpus.make_study(5)
    assert client.store(*objects) == [0] * 5
    for _ in range(2):
        assert node.stop() == 0
        node.start()
        fetched = client.get(
            "STUDY", {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID}, kinds_of(objects)
        )
        assert fetched.received == {one.sop_instance_uid: (EXPLICIT, one.encoded) for one in objects}


def children_of(node: Node) -> set[int]:
    """Return the processes that the node has started, once it has started all."""
    node.server.wait_for_line("listening")
    return set(proc.children_of(node.server.process.pid))


def test_process_that_dies_is_replaced(start_node: Callable[..., Node], dcmtk: Dcmtk) -> None:
    node = start_node(options={"node.processes": 2})
    before = children_of(node)
    for process_id in before:
        os.kill(process_id, signal.SIGKILL)
    wait_until(lambda: len(children_of(node) - before) == len(before), what="new processes")
    dcmtk.echo(node.address).check()
    assert node.stop() == 0


def test_nobody_is_left_when_the_supervisor_is_killed(start_node: Callable[..., Node]) -> None:
    node = start_node()
    children = children_of(node)
    node.server.process.kill()
    node.server.process.wait()
    wait_until(lambda: not any(map(proc.is_alive, children)), what="the end of all")


# -- starting --------------------------------------------------------------------------------------------------------


def test_port_in_use_is_one_line(start_node: Callable[..., Node]) -> None:
    node = start_node()
    completed = node.program("serve")
    assert completed.exit_code == 70
    [line] = completed.output.strip().splitlines()
    assert str(node.address.port) in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("override", "exit_code", "problem"),
    [
        ("node.address=203.0.113.7", 70, "cannot listen on 203.0.113.7"),
        ("node.port=70000", 78, "70000 is not within 0 and 65535"),
        ("node.port=many", 78, "'many' is not a whole number"),
        ("index.url=sqlite:////proc/nowhere/index.db", 74, "cannot open the index /proc/nowhere/index.db: No such"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    make_node: Callable[..., Node], override: str, exit_code: int, problem: str
) -> None:
    node = make_node()
    completed = node.program("--set", override, "serve")
    assert completed.exit_code == exit_code
    [line] = completed.output.strip().splitlines()
    assert problem in line
    assert "Traceback" not in completed.output


# -- the log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["info", "debug"])
def test_log_names_no_patient_at_info(start_node: Callable[..., Node], dcmtk: Dcmtk, level: str) -> None:
    """Every operation, also those that fail, with values that would be seen."""
    node = start_node(options={"log.level": level})
    client = Client(node.address)
    secret = {"PatientName": "Secretname^Hidden", "PatientID": "SECRETID", "AccessionNumber": "SECRETACC"}
    one = corpus.make_object(**secret, PatientBirthDate="19660606", StudyDescription="Secretstudy")
    other = corpus.make_object(
        **secret | {"PatientName": "Othersecret^Name"}, SOPInstanceUID=one.sop_instance_uid
    )
    assert client.store(one, other, corpus.make_object(**secret | {"PatientName": "Conflictsecret"})) == [
        0,
        0,
        0,
    ]
    storescp = dcmtk.start_storescp("STORESCP")
    node.add_remote(storescp.address, allow=())
    client.store_raw(
        one.encoded[:-1] + b"\xff" * 50, abstract_syntax=CTImageStorage, AffectedSOPInstanceUID="1.2"
    )
    for keys in (
        secret,
        {"PatientName": "Secretname*"},
        {"StudyDate": "Secretdate"},
        {"PatientBirthDate": "1966SECRET"},
    ):
        client.find("STUDY", keys | {"StudyInstanceUID": ""})
    client.move("STORESCP", "PATIENT", {"PatientID": "SECRETID"}, model="PATIENT")
    client.move("SECRETDEST", "PATIENT", {"PatientID": "SECRETID"}, model="PATIENT")
    client.get("PATIENT", {"PatientID": "SECRETID"}, kinds_of([one]), model="PATIENT")
    assert node.stop() == 0
    lines = [line for line in node.output.splitlines() if " DEBUG " not in line]
    assert len(lines) > 15
    assert not [
        line
        for line in lines
        if re.search("secretname|secretid|secretacc|secretstudy|othersec|conflictsec|19660606|1966secret", line, re.I)
    ]


def test_one_line_an_event_with_an_association_id(start_node: Callable[..., Node]) -> None:
    node = start_node()
    client = Client(node.address)
    for _ in range(2):
        assert client.find("STUDY", {"StudyInstanceUID": "1.2"}).status == 0
    assert node.stop() == 0
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) (\S+) (.+)")
    lines = [pattern.fullmatch(line) for line in node.output.splitlines()]
    assert all(lines), node.output
    queries = [line[2] for line in lines if line[3].startswith("C-FIND")]
    assert len(set(queries)) == 2 and "-" not in queries
    for association_id in queries:
        events = [line[3].split()[0] for line in lines if line[2] == association_id]
        assert (events[0], events[-1]) == ("association", "end")


def test_text_of_peers_is_escaped(start_node: Callable[..., Node]) -> None:
    """Nobody writes a line of ours, neither by an AE title nor by a Move Destination."""
    node = start_node()
    client = Client(node.address)
    for title in (b"EVIL\nERROR fake ", b"\x1b[31mRED        ", b"A\xe2\x80\xaeB           "):
        request = association_request(node.address.ae_title.encode().ljust(16), title[:16].ljust(16))
        with socket.create_connection(node.address[2:0:-1], timeout=10) as sock:
            sock.sendall(request)
            while sock.recv(4096):
                pass
    client.move("BAD\nERROR fake\x1b[0m", "STUDY", {"StudyInstanceUID": "1.2"})
    assert node.stop() == 0
    assert "\x1b" not in node.output
    assert "\u202e" not in node.output
    assert not [line for line in node.output.splitlines() if not re.match(r"\d{4}-\d\d-\d\dT", line)]


def association_request(called_ae_title: bytes, calling_ae_title: bytes) -> bytes:
    """Return an A-ASSOCIATE-RQ with any bytes as AE titles."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    context = build_context(Verification)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16_384, "1.2.3"
    primitive.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    encoded = pdu.encode()
    return encoded[:10] + called_ae_title + calling_ae_title + encoded[42:]
