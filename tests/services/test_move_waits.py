"""C-MOVE to destinations that are slow, silent or sent to in vain: the requestor is told so meanwhile, and obeyed."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from pydicom.uid import CTImageStorage

from medserver.config import ConfigFile
from medserver.dicom import status
from medserver.node import open_node
from medserver.scu import query, verification
from medserver.scu.exchange import Response, cancel, context_for, responses, send_request
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.command_set import CommandField
from tests.attacks.acceptor import Acceptor, Conversation, accept, answer_stores, wait_for_abort
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import MOVE, Client, counters, identifier_of
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import Object, make_study
from tests.services.peer import ALL_TRANSFER_SYNTAXES
from tests.services.retrieval import keys_of

SOON_S = 5.0
"""Much sooner than any timeout of the node."""

MESSAGE_ID = 9
CT = {CTImageStorage: ALL_TRANSFER_SYNTAXES}


@pytest.fixture
def destination(node: Node) -> Iterator[Callable[[str, Conversation], Acceptor]]:
    """Give a function that starts a destination with a conversation of the test's own."""
    with ExitStack() as started:

        def start(ae_title: str, converse: Conversation) -> Acceptor:
            acceptor = Acceptor(ae_title, converse)
            started.callback(acceptor.close)
            node.add_remote(acceptor.address, allow=())
            return acceptor

        yield start


@contextmanager
def moving(client: Client, destination: str, study: list[Object]) -> Iterator[tuple[Association, AcceptedContext]]:
    """Give an association on which a study was asked for with a C-MOVE, which is not answered to its end."""
    sop_class = MOVE["STUDY"]
    with client.associated([query.proposal(sop_class), verification.PROPOSAL]) as association:
        context = context_for(association, sop_class)
        command_set = {
            "AffectedSOPClassUID": sop_class,
            "CommandField": CommandField.C_MOVE,
            "MessageID": MESSAGE_ID,
            "Priority": 0,
            "MoveDestination": destination,
        }
        send_request(association, context, command_set, identifier_of("STUDY", keys_of(study[0], "StudyInstanceUID")))
        yield association, context


def answers(association: Association, context: AcceptedContext) -> Iterator[Response]:
    return responses(association, context, CommandField.C_MOVE, MESSAGE_ID)


# -- failures of ours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [(0, 1, 2), (3, 4, 5)])
def test_damaged_files_cost_only_themselves(
    node: Node, client: Client, start_receiver: ReceiverFactory, bad: tuple[int, ...]
) -> None:
    """They are found to be damaged within their messages: no fault of the destination, which gets the others."""
    study = make_study(6, PixelData=b"x" * 2_000_000)  # too large for the journal, and to be read beforehand
    assert client.store(*study) == [0] * 6
    for index in bad:
        uid = study[index].sop_instance_uid.encode()
        [path] = [path for path in node.data.rglob("*.dcm") if uid in path.read_bytes()]
        raw = bytearray(path.read_bytes())
        raw[-1000] ^= 0x04
        path.write_bytes(raw)
    receiver = start_receiver(f"DAMAGE{bad[0]}", CT)
    moved = client.move(receiver.address.ae_title, "STUDY", keys_of(study[0], "StudyInstanceUID"))
    assert moved.status == status.SUBOPERATIONS_WARNING
    assert moved.counters == {"remaining": None, "completed": 3, "failed": 3, "warning": 0}
    assert sorted(moved.failed_uids) == sorted(study[index].sop_instance_uid for index in bad)
    assert set(receiver.received) == {one.sop_instance_uid for one in study} - set(moved.failed_uids)
    for uid in moved.failed_uids:
        [line] = [line for line in node.output.splitlines() if "not sent" in line and f"sop_instance_uid={uid}" in line]
        assert "reason=" in line


# -- destinations that are slow ----------------------------------------------------------------------------------------


def test_who_does_not_answer_a_release_does_not_hold_up_the_requestor(
    client: Client, destination: Callable[[str, Conversation], Acceptor]
) -> None:
    study = make_study(2)
    assert client.store(*study) == [0] * 2

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        assert answer_stores(sock, 0)
        wait_for_abort(sock)

    destination("NORELEASE", converse)
    begun = time.monotonic()
    with moving(client, "NORELEASE", study) as (association, context):
        *_, last = answers(association, context)
        assert verification.echo(association).code == 0
    assert (last.code, counters(last)["completed"]) == (0, 2)
    assert time.monotonic() - begun < SOON_S


def silent(sock: socket.socket, request: bytes) -> None:
    """Answer no A-ASSOCIATE request."""
    wait_for_abort(sock)


def not_answering(sock: socket.socket, request: bytes) -> None:
    sock.sendall(accept(request))
    wait_for_abort(sock)


def not_reading(ended: threading.Event) -> Conversation:
    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        ended.wait(4 * SOON_S)

    return converse


@pytest.fixture(scope="module")
def large(client: Client) -> list[Object]:
    stored = make_study(2, PixelData=b"x" * 16_000_000)  # more than the sockets take
    assert client.store(*stored) == [0] * 2
    return stored


@pytest.fixture
def full() -> Iterator[Address]:
    """Give the address of a destination that answers no connection."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # what fits into the queue of a listener that accepts nothing
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            assert waiting.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        yield Address("FULL", listener.getsockname()[1])


@pytest.mark.parametrize("how", ["no connection", "no association", "no answer", "no reading"])
def test_the_requestor_is_told_that_it_waits_and_may_cancel(
    node: Node,
    client: Client,
    large: list[Object],
    full: Address,
    destination: Callable[[str, Conversation], Acceptor],
    how: str,
) -> None:
    """While connection or association are opened, an instance is sent, or its answer is waited for."""
    ended = threading.Event()
    conversations = {"no association": silent, "no answer": not_answering, "no reading": not_reading(ended)}
    if how == "no connection":
        node.add_remote(full, allow=())
        ae_title = full.ae_title
    else:
        ae_title = destination(how.upper(), conversations[how]).address.ae_title
    with moving(client, ae_title, large) as (association, context):
        received = answers(association, context)
        for _ in range(2):
            pending = next(received)
            assert (pending.code, counters(pending)["remaining"]) == (status.PENDING, 2)
        begun = time.monotonic()
        cancel(association, context, MESSAGE_ID)
        *_, last = received
    ended.set()
    assert time.monotonic() - begun < SOON_S
    assert last.code == status.CANCEL
    assert counters(last) == {"remaining": 2, "completed": 0, "failed": 0, "warning": 0}


def test_a_requestor_that_goes_away_ends_what_it_wanted(
    client: Client, large: list[Object], destination: Callable[[str, Conversation], Acceptor]
) -> None:
    gone = threading.Event()

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        wait_for_abort(sock)
        gone.set()

    destination("WAITED", converse)
    with moving(client, "WAITED", large) as (association, context):
        assert next(answers(association, context)).code == status.PENDING
        association.abort()
    assert gone.wait(SOON_S)


def test_the_pause_of_a_destination_ends_when_somebody_reaches_it(
    node: Node, client: Client, start_receiver: ReceiverFactory
) -> None:
    """C-MOVE tries what is paused: the requestor waits, and the destination may be there again."""
    study = make_study(1)
    assert client.store(*study) == [0]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        node.add_remote(Address("BACK", port), allow=())
        keys = keys_of(study[0], "StudyInstanceUID")
        assert client.move("BACK", "STUDY", keys).status == status.CANNOT_PERFORM_SUBOPERATIONS
    assert "not reached destination=BACK" in node.output
    assert all("cannot connect" in reason for reason in _pauses(node, "BACK"))
    receiver = start_receiver("BACK", CT, port=port)
    assert client.move("BACK", "STUDY", keys).status == 0
    assert len(receiver.received) == 1
    wait_until(lambda: _pauses(node, "BACK") == [], what="the end of the pause")


def _pauses(node: Node, destination: str) -> list[str]:
    with closing(open_node(ConfigFile(node.config))) as opened:
        return [
            state.pause_reason
            for state in opened.index.jobs.lanes()
            if state.lane.destination == destination and state.paused_until
        ]
