"""Every event in every state of a session, played by a remote AE that does as it is told."""

from __future__ import annotations

import io
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from medserver.dicom import uids
from medserver.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    DestinationPaused,
    NoContextAccepted,
    OutOfResources,
    RemoteError,
    StoreFailure,
)
from medserver.scu import releasing, verification
from medserver.scu.idle import IDLE_S, IdleAssociations
from medserver.scu.exchange import context_for
from medserver.scu.session import BREAKS_MAX, TRANSITIONS, Event, Session, Standing, State
from medserver.scu.storage import store_request
from medserver.wire.association import Association
from medserver.wire.command_set import RESPONSE, decode_command_set
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, associate
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, Acceptor, accept, wait_for_abort
from tests.peers.process import wait_until

LIMITS = WireLimits(acse_timeout_s=3.0, dimse_timeout_s=0.5, network_timeout_s=0.5)
REJECTION = raw.pdu(raw.ASSOCIATE_RJ, b"\0\x01\x01\x07")
ABORT = raw.pdu(raw.ABORT, bytes(4))
LONG_S = 20.0

C, E = State, Event


class Recorded(Session):
    """A session that tells which pairs it has been through."""

    def __init__(self, *arguments: Any, on_enter: Callable[[State, Event], None] = lambda *pair: None, **more: Any):
        super().__init__(*arguments, **more)
        self.trail: list[tuple[State, Event]] = []
        self._on_enter = on_enter

    def _enter(self, event: Event) -> None:
        self.trail.append((self.state, event))
        super()._enter(event)
        self._on_enter(*self.trail[-1])


# -- the remote AE -----------------------------------------------------------------------------------------------------


def echo_requests(sock: socket.socket) -> Iterator[bytes]:
    """Yield the answer to each request until the association is to be released; that is answered."""
    while True:
        pdu_type, body = raw.receive_pdu(sock)
        if pdu_type == raw.RELEASE_RQ:
            sock.sendall(RELEASE_RESPONSE)
        if pdu_type != raw.P_DATA:
            return
        if not body[5] & 0x01:  # of a data set
            continue
        command_set = decode_command_set(body[6:])
        yield raw.message(
            1,
            {
                "CommandField": command_set["CommandField"] | RESPONSE,
                "MessageIDBeingRespondedTo": command_set["MessageID"],
                "Status": 0,
            },
        )


def answering(sock: socket.socket, request: bytes) -> None:
    sock.sendall(accept(request))
    for answer in echo_requests(sock):
        sock.sendall(answer)


def saying(instead: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a conversation in which this comes instead of the first answer, or nothing."""

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        next(echo_requests(sock))
        sock.sendall(instead)
        wait_for_abort(sock)

    return converse


def closing(sock: socket.socket, request: bytes) -> None:
    sock.sendall(accept(request))
    next(echo_requests(sock))


def ending(with_this: bytes) -> Callable[[socket.socket, bytes], None]:
    """Return a conversation that ends so when one request has been answered."""

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        sock.sendall(next(echo_requests(sock)) + with_this)
        wait_for_abort(sock)

    return converse


def rejecting(sock: socket.socket, request: bytes) -> None:
    sock.sendall(REJECTION)


def accepting_nothing(sock: socket.socket, request: bytes) -> None:
    accepted = bytearray(accept(request))
    accepted[bytes(accepted).index(b"\x21\0", 74) + 6] = 3  # abstract syntax not supported (PS3.8 9.3.3.2)
    sock.sendall(accepted)
    echo_requests(sock)


BROKEN = {
    "A-ABORT": saying(ABORT),
    "connection closed": closing,
    "timeout": saying(b""),
    "A-RELEASE": saying(raw.RELEASE_REQUEST),
    "no PDU": saying(raw.pdu(0x99, b"abc")),
    "another answer": saying(raw.echo_request()),
}


def releasing_it(sock: socket.socket, request: bytes) -> None:
    sock.sendall(accept(request))
    sock.sendall(next(echo_requests(sock)) + raw.RELEASE_REQUEST)
    assert raw.receive_pdu(sock)[0] == raw.RELEASE_RP
    released.set()


released = threading.Event()

ENDED = {"A-ABORT": ending(ABORT), "A-RELEASE": ending(raw.RELEASE_REQUEST), "a request": ending(raw.echo_request())}


# -- what is sent ------------------------------------------------------------------------------------------------------


def echo(association: Association) -> int:
    return verification.echo(association).code


def unsent(association: Association) -> int:
    raise StoreFailure("the disk")


class Damaged(io.RawIOBase):
    """A file that can be read, but not to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._parts = 1

    def readinto(self, buffer: memoryview) -> int:
        self._parts -= 1
        if self._parts < 0:
            raise StoreFailure("the disk")
        return len(buffer)


def cut_off(association: Association) -> int:
    context = context_for(association, uids.VERIFICATION)
    association.send_file(context.context_id, store_request("1.2", "1.3", 1), Damaged(), 8 * 1024 * 1024)
    raise AssertionError("unreachable")


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- the stage ---------------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    """A session with a remote AE of which each association takes the next conversation, the last one for ever."""

    session: Recorded
    conversations: list[Callable[[socket.socket, bytes], None]] = field(default_factory=list)

    def play(self, *conversations: Callable[[socket.socket, bytes], None]) -> Recorded:
        self.conversations[:] = conversations
        return self.session


@pytest.fixture
def stage() -> Iterator[Stage]:
    def converse(sock: socket.socket, request: bytes) -> None:
        conversations = made.conversations
        (conversations.pop(0) if len(conversations) > 1 else conversations[0])(sock, request)

    acceptor = Acceptor("PEER", converse)
    made = Stage(make_session(acceptor.address.port))
    yield made
    releasing.wait(LONG_S)
    acceptor.close()


def make_session(port: int, **more: Any) -> Recorded:
    return Recorded(Address("PEER", "127.0.0.1", port), [verification.PROPOSAL], "SCU", LIMITS, **more)


OPENED = [(C.CLOSED, E.OPEN), (C.CONNECTING, E.ACCEPTED)]
SENT = [(C.ESTABLISHED, E.SEND), (C.SENDING, E.ANSWERED)]
AGAIN = [(C.ESTABLISHED, E.SEND), (C.SENDING, E.BROKE), (C.REPEATING, E.ACCEPTED)]
KEPT = [(C.ESTABLISHED, E.KEPT)]
RELEASED = [(C.ESTABLISHED, E.END), (C.RELEASING, E.RELEASED)]


def test_exchanges_over_one_association(stage: Stage) -> None:
    with stage.play(answering, rejecting) as session:
        assert [session.perform(echo), session.perform(echo)] == [0, 0]
    assert session.state is C.CLOSED  # the remote AE may have room for one association only
    assert session.trail == [*OPENED, *SENT, *SENT, *RELEASED]


@pytest.mark.parametrize("how", BROKEN)
def test_a_remote_failure_is_repeated_once(stage: Stage, how: str) -> None:
    session = stage.play(BROKEN[how], answering)
    assert session.perform(echo) == 0
    assert session.trail == [*OPENED, *AGAIN, *SENT]
    assert session.standing.breaks == 0
    session.close()


@pytest.mark.parametrize("how", BROKEN)
def test_a_remote_failure_that_happens_twice_costs_one_exchange(stage: Stage, how: str) -> None:
    session = stage.play(BROKEN[how], BROKEN[how], answering)
    with pytest.raises(AssociationAborted):
        session.perform(echo)
    assert session.trail == [*OPENED, *AGAIN, (C.ESTABLISHED, E.SEND), (C.SENDING, E.FAILED)]
    assert not session.is_paused
    assert session.perform(echo) == 0
    session.close()


def test_what_must_not_be_repeated_is_not(stage: Stage) -> None:
    session = stage.play(saying(ABORT), answering)
    with pytest.raises(AssociationAborted):
        session.perform(echo, repeats=False)
    assert session.trail == [*OPENED, (C.ESTABLISHED, E.SEND), (C.SENDING, E.FAILED)]


def test_too_many_remote_failures_in_a_row_give_the_remote_ae_up(stage: Stage) -> None:
    reasons: list[str] = []
    session = stage.play(saying(ABORT))
    session.standing.on_given_up = reasons.append
    for _ in range(2):
        with pytest.raises(AssociationAborted):
            session.perform(echo)
    assert session.trail[-1] == (C.SENDING, E.GIVEN_UP)
    with pytest.raises(DestinationPaused, match="aborted"):
        session.perform(echo)
    assert len(reasons) == 1
    session.close()
    assert session.trail[-1] == (C.PAUSED, E.END)
    assert session.standing.breaks == BREAKS_MAX


def test_a_local_failure_before_a_message_costs_no_association(stage: Stage) -> None:
    session = stage.play(answering, rejecting)
    with pytest.raises(StoreFailure, match="the disk"):
        session.perform(unsent)
    assert session.perform(echo) == 0
    assert session.trail == [*OPENED, (C.ESTABLISHED, E.SEND), (C.SENDING, E.UNSENT), *SENT]
    session.close()


def test_a_local_failure_within_a_message_is_never_counted_against_the_remote_ae(stage: Stage) -> None:
    """The association cannot go on, and another copy of the file may be good: it is tried on a second one."""
    session = stage.play(answering)
    for _ in range(BREAKS_MAX + 1):
        with pytest.raises(StoreFailure, match="the disk"):
            session.perform(cut_off)
    assert session.trail[:7] == [*OPENED, *AGAIN, (C.ESTABLISHED, E.SEND), (C.SENDING, E.FAILED)]
    assert session.standing == Standing()
    assert session.perform(echo) == 0
    session.close()


def test_a_file_of_which_another_copy_is_good(stage: Stage) -> None:
    tries = iter([cut_off, echo])
    session = stage.play(answering)
    assert session.perform(lambda association: next(tries)(association)) == 0
    session.close()


def test_a_mistake_of_ours_is_no_failure_of_the_remote_ae(stage: Stage) -> None:
    session = stage.play(answering)
    with pytest.raises(ZeroDivisionError):
        session.perform(lambda association: 1 // 0)
    assert session.trail[-1] == (C.SENDING, E.FAILED)
    assert session.standing == Standing()


@pytest.mark.parametrize("breaks", [False, True])
def test_no_descriptor_is_a_local_failure(stage: Stage, breaks: bool) -> None:
    session = stage.play(answering)
    with pytest.raises(OutOfResources, match="open files"), no_descriptors():
        if breaks:  # the association breaks, and there can be no other
            session._enter(E.OPEN)
            session._enter(E.BROKE)
        session.perform(echo)
    assert session.trail[-1] == (C.REPEATING if breaks else C.CONNECTING, E.UNSENT)
    assert session.perform(echo) == 0
    session.close()


def test_an_answer_that_is_a_failure_ends_nothing(stage: Stage) -> None:
    def refused(association: Association) -> None:
        echo(association)
        raise RemoteError("0x0110")

    session = stage.play(answering, rejecting)
    with pytest.raises(RemoteError, match="0x0110"):
        session.perform(refused)
    with pytest.raises(NoContextAccepted):  # the remote AE serves something else
        session.perform(lambda association: context_for(association, "1.2"))
    assert session.perform(echo) == 0
    assert session.trail == [*OPENED, *SENT, *SENT, *SENT]
    session.close()


def test_nothing_accepted_is_no_reason_to_ask_again(stage: Stage) -> None:
    session = stage.play(accepting_nothing, answering)
    for _ in range(2):
        with pytest.raises(NoContextAccepted):
            session.perform(echo)
    assert session.trail == [(C.CLOSED, E.OPEN), (C.CONNECTING, E.REFUSED)]
    assert not session.standing.reason
    session.close()
    assert session.trail[-1] == (C.CLOSED, E.END)


def test_nothing_accepted_the_second_time(stage: Stage) -> None:
    session = stage.play(saying(ABORT), accepting_nothing)
    with pytest.raises(NoContextAccepted):
        session.perform(echo)
    assert session.trail[-2:] == [(C.SENDING, E.BROKE), (C.REPEATING, E.REFUSED)]


def test_a_remote_ae_that_rejects_us_is_given_up(stage: Stage) -> None:
    session = stage.play(rejecting, answering)
    with pytest.raises(AssociationRejected):
        session.perform(echo)
    with pytest.raises(DestinationPaused, match="rejected"):
        session.perform(echo)
    assert session.trail == [(C.CLOSED, E.OPEN), (C.CONNECTING, E.GIVEN_UP)]


def test_a_remote_ae_that_rejects_us_the_second_time_is_given_up(stage: Stage) -> None:
    session = stage.play(saying(ABORT), rejecting)
    with pytest.raises(AssociationRejected):
        session.perform(echo)
    assert session.trail[-1] == (C.REPEATING, E.GIVEN_UP)


@pytest.mark.parametrize("is_open", [False, True])
def test_all_sessions_with_a_remote_ae_know_that_it_was_given_up(stage: Stage, is_open: bool) -> None:
    session = stage.play(answering)
    if is_open:
        session.open()
    session.standing.give_up(ConnectionFailed("by another session"))
    with pytest.raises(DestinationPaused, match="by another session"):
        session.perform(echo)
    assert session.trail[-1] == (C.ESTABLISHED if is_open else C.CLOSED, E.GIVEN_UP)
    session.close()


@pytest.mark.parametrize("how", ENDED)
def test_an_association_that_the_remote_ae_ends_meanwhile_is_opened_again(stage: Stage, how: str) -> None:
    session = stage.play(ENDED[how], answering)
    assert session.perform(echo) == 0
    wait_until(lambda: session._association.message_waiting(), what="its end")
    assert session.perform(echo) == 0
    assert session.trail == [*OPENED, *SENT, (C.ESTABLISHED, E.LOST), *OPENED, *SENT]
    assert session.standing.breaks == 0
    session.close()


def test_an_association_that_the_remote_ae_releases_meanwhile_is_released(stage: Stage) -> None:
    session = stage.play(releasing_it, answering)
    released.clear()
    assert session.perform(echo) == 0
    wait_until(lambda: session._association.connection.readable(), what="its A-RELEASE")
    assert session.perform(echo) == 0
    assert released.wait(LONG_S)
    session.close()


def test_a_remote_ae_that_listens_in_a_moment() -> None:
    """Its second refusal is followed by its listening."""
    refusals = 0

    def enter(state: State, event: Event) -> None:
        nonlocal refusals
        if event is E.BROKE:
            refusals += 1
            if refusals == 2:
                listener.listen()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        session = make_session(listener.getsockname()[1], listens_within_s=LONG_S, on_enter=enter)
        thread = threading.Thread(target=lambda: answering_one(listener))
        thread.start()
        assert session.perform(echo) == 0
        session.close()
        thread.join()
    assert session.trail[:5] == [
        (C.CLOSED, E.OPEN),
        (C.CONNECTING, E.BROKE),
        (C.REPEATING, E.BROKE),
        (C.REPEATING, E.ACCEPTED),
        (C.ESTABLISHED, E.SEND),
    ]


def answering_one(listener: socket.socket) -> None:
    def accepted() -> socket.socket | None:
        with suppress(OSError):  # it does not listen yet
            return listener.accept()[0]
        return None

    with wait_until(accepted, what="a connection") as sock:
        answering(sock, raw.receive_pdu(sock)[1])


def test_a_remote_ae_that_does_not_listen() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        session = make_session(unused.getsockname()[1], listens_within_s=0.1)
        with pytest.raises(ConnectionFailed):
            session.perform(echo)
    assert session.trail[:2] == [(C.CLOSED, E.OPEN), (C.CONNECTING, E.BROKE)]
    assert session.trail[-1] == (C.REPEATING, E.GIVEN_UP)
    assert "cannot connect" in session.standing.reason


# -- cancel ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [C.CLOSED, C.ESTABLISHED, C.PAUSED])
def test_cancelled_while_nothing_is_under_way(stage: Stage, state: State) -> None:
    session = stage.play(rejecting if state is C.PAUSED else answering)
    if state is not C.CLOSED:
        with suppress(RemoteError):
            session.open()
    assert session.state is state
    session.interrupt()
    with pytest.raises(DestinationPaused, match="interrupted"):
        session.perform(echo)
    assert session.is_paused
    assert session.trail[-1][1] is (E.GIVEN_UP if state is C.PAUSED else E.CANCELLED)
    session.close()


@pytest.mark.parametrize("state", [C.CONNECTING, C.SENDING, C.REPEATING])
def test_cancelled_in_the_midst(stage: Stage, state: State) -> None:
    """What is under way ends at once, not with the timeout."""
    silent = threading.Event()

    def converse(sock: socket.socket, request: bytes) -> None:
        if state is C.SENDING:
            sock.sendall(accept(request))
            next(echo_requests(sock))
        silent.set()
        if state is C.CONNECTING:
            session._cancelled.wait(LONG_S)
            sock.sendall(accept(request))
        wait_for_abort(sock)

    with socket.socket() as unused:
        session = stage.play(converse)
        if state is C.REPEATING:
            unused.bind(("127.0.0.1", 0))
            session = make_session(unused.getsockname()[1], listens_within_s=LONG_S, on_enter=lambda *_: silent.set())
        session._limits = WireLimits(acse_timeout_s=LONG_S, dimse_timeout_s=LONG_S, network_timeout_s=LONG_S)
        errors: list[BaseException] = []
        thread = threading.Thread(target=lambda: errors.append(failure_of(session)))
        thread.start()
        assert silent.wait(LONG_S)
        wait_until(lambda: session.state is state, what="the state")
        begun = time.monotonic()
        session.interrupt()
        thread.join()
    assert time.monotonic() - begun < LONG_S / 2
    assert isinstance(errors[0], RemoteError)
    assert session.trail[-1] == (state, E.CANCELLED)
    assert session.standing.reason == ""


def failure_of(session: Session) -> BaseException:
    with pytest.raises(RemoteError) as caught:
        session.perform(echo)
    return caught.value


# -- release -----------------------------------------------------------------------------------------------------------


def test_who_does_not_answer_a_release_holds_up_nobody(stage: Stage) -> None:
    silent = threading.Event()

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        assert raw.receive_pdu(sock)[0] == raw.RELEASE_RQ
        silent.set()
        wait_for_abort(sock)

    session = stage.play(converse)
    session.open()
    session.close()
    assert session.state is C.RELEASING
    assert silent.wait(LONG_S)
    releasing.wait(0.0)  # a process that is asked to stop does not wait longer than it has said
    assert session.state is C.RELEASING
    wait_until(lambda: session.state is C.CLOSED, what="the end of the association")


def test_no_more_than_so_many_are_released_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releasing, "_slots", threading.BoundedSemaphore(1))
    assert releasing._slots.acquire(blocking=False)  # by one that is not answered
    session = stage.play(answering)
    session.open()
    session.close()
    assert session.state is C.CLOSED


# -- an association that stays open ------------------------------------------------------------------------------------


@pytest.fixture
def idle() -> Iterator[IdleAssociations]:
    one = IdleAssociations()
    one.allow(True)
    yield one
    one.close()


def test_the_next_session_goes_on_with_the_association_of_the_last(stage: Stage, idle: IdleAssociations) -> None:
    port = stage.session._address.port
    first, second = (make_session(port, idle=idle, keeps_while=lambda: True) for _ in range(2))
    stage.play(answering, rejecting)
    for session in (first, second):
        assert session.perform(echo) == 0
        session.close()
        assert session.trail == [*OPENED, *SENT, *KEPT]


def test_who_keeps_none_has_them_released_first(stage: Stage, idle: IdleAssociations) -> None:
    port = stage.session._address.port
    with make_session(port, idle=idle, keeps_while=lambda: True) as keeping:
        stage.play(answering)  # one conversation after the other: a second association would wait for the first
        assert keeping.perform(echo) == 0
    with make_session(port, idle=idle) as other:
        begun_at = time.monotonic()
        assert other.perform(echo) == 0
        assert time.monotonic() - begun_at < IDLE_S
    assert other.trail == [*OPENED, *SENT, *RELEASED]


@pytest.mark.parametrize("why", ["interrupted", "given up", "not allowed"])
def test_an_association_is_not_kept(stage: Stage, idle: IdleAssociations, why: str) -> None:
    session = make_session(stage.session._address.port, idle=idle, keeps_while=lambda: True)
    stage.play(answering)
    session.perform(echo)
    if why == "interrupted":
        session.interrupt()
    elif why == "given up":
        session.standing.give_up(ConnectionFailed("by another session"))
    else:
        idle.allow(False)
    session.close()
    assert session.trail[-1] != KEPT[-1]
    assert not idle._kept


def test_one_that_is_lost_after_it_was_taken_is_opened_again(stage: Stage, idle: IdleAssociations) -> None:
    port = stage.session._address.port
    stage.play(ENDED["A-ABORT"], answering)
    association = associate(Address("PEER", "127.0.0.1", port), [verification.PROPOSAL], "SCU", LIMITS)
    assert idle.keep(Address("PEER", "127.0.0.1", port), association, [verification.PROPOSAL])
    with make_session(port, idle=idle, keeps_while=lambda: True) as session:
        assert session.perform(echo) == 0  # the first answer
        wait_until(lambda: session._association.message_waiting(), what="its end")
        assert session.perform(echo) == 0
    assert session.trail == [*OPENED, *SENT, (C.ESTABLISHED, E.LOST), *OPENED, *SENT, *KEPT]


# -- the table ---------------------------------------------------------------------------------------------------------

PAIRS_HERE = {
    *OPENED, *SENT, *AGAIN, *RELEASED,
    (C.SENDING, E.FAILED), (C.SENDING, E.GIVEN_UP), (C.SENDING, E.UNSENT), (C.SENDING, E.CANCELLED),
    (C.CONNECTING, E.UNSENT), (C.CONNECTING, E.REFUSED), (C.CONNECTING, E.GIVEN_UP), (C.CONNECTING, E.BROKE),
    (C.CONNECTING, E.CANCELLED),
    (C.REPEATING, E.UNSENT), (C.REPEATING, E.REFUSED), (C.REPEATING, E.GIVEN_UP), (C.REPEATING, E.BROKE),
    (C.REPEATING, E.CANCELLED),
    (C.CLOSED, E.GIVEN_UP), (C.CLOSED, E.CANCELLED), (C.CLOSED, E.END),
    (C.ESTABLISHED, E.GIVEN_UP), (C.ESTABLISHED, E.CANCELLED), (C.ESTABLISHED, E.LOST),
    (C.PAUSED, E.END),
    *KEPT,
}  # fmt: skip


def test_every_pair_of_the_table_is_played_here() -> None:
    assert set(TRANSITIONS) == PAIRS_HERE
