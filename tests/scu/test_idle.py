"""Every event in every state of an association that stays open, over real connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import product

import pytest

from medserver.dicom import uids
from medserver.scu import releasing, verification
from medserver.scu.idle import TRANSITIONS, Event, IdleAssociations, Kept, State
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, abort, associate
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, Acceptor, accept
from tests.clock import Clock
from tests.peers.process import wait_until
from tests.scu.test_session import answering, echo, wait_for_abort

LIMITS = WireLimits(acse_timeout_s=3.0, dimse_timeout_s=3.0, network_timeout_s=3.0)
OTHER = Proposal("1.2.840.10008.5.1.4.31", (uids.IMPLICIT_VR_LITTLE_ENDIAN,))
PATIENCE_S = 20.0
LONG_S = 1e6

S, E = State, Event


class Peer:
    """A remote AE, what comes over its connections, and the associations with it."""

    def __init__(self) -> None:
        self.converse: Callable[[socket.socket, bytes], None] = answering
        self.events: list[int] = []
        self.say: Callable[[socket.socket], None] | None = None
        self._sockets: list[socket.socket] = []
        self._acceptors: list[Acceptor] = []

    def associate(self) -> tuple[Address, Association]:
        """Open an association with an acceptor of its own."""
        acceptor = Acceptor("PEER", self._converse)
        self._acceptors.append(acceptor)
        address = Address("PEER", "127.0.0.1", acceptor.address.port)
        return address, associate(address, [verification.PROPOSAL], "SCU", LIMITS)

    def _converse(self, sock: socket.socket, request: bytes) -> None:
        self._sockets.append(sock)
        self.converse(sock, request)

    @property
    def socket(self) -> socket.socket:
        return wait_until(lambda: self._sockets, what="a connection")[-1]

    def close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    yield one
    releasing.wait(PATIENCE_S)
    one.close()


@pytest.fixture
def clock() -> Clock:
    """Give a monotonic clock."""
    return Clock(0.0)


@pytest.fixture
def idle(clock: Clock, peer: Peer) -> Iterator[IdleAssociations]:
    one = IdleAssociations(idle_s=10.0, clock=clock)
    one.allow(True)
    yield one
    one.close()  # before the peer, which waits for the end of its associations


def kept(idle: IdleAssociations, peer: Peer, **more: object) -> Kept:
    """Keep an association open."""
    address, association = peer.associate()
    assert idle.keep(address, association, [verification.PROPOSAL], **more)
    return idle._kept[-1]


def wait_for(one: Kept, state: State) -> None:
    wait_until(lambda: one.state is state, what=f"{state.name}, it is {one.state.name}")


def silent(sock: socket.socket, request: bytes) -> None:
    """Answer nothing but the request for the association."""
    sock.sendall(accept(request))
    wait_for_abort(sock)


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), [*product(State, Event)])
def test_every_pair(idle: IdleAssociations, peer: Peer, state: State, event: Event) -> None:
    """What is there is released when it gets into that state, and at no other time."""
    address, association = peer.associate()
    one = Kept(association, address, [verification.PROPOSAL], LONG_S, lambda: True, state)
    if (state, event) not in TRANSITIONS:
        with pytest.raises(KeyError):
            idle._move([one], event)
        assert one.state is state
    else:
        ended = idle._move([one], event)
        assert one.state is TRANSITIONS[state, event]
        assert ended == ([one] if (state, one.state) == (S.IDLE, S.RELEASING) else [])
    abort(association)


def test_an_event_that_nobody_asked_for_never_touches_what_is_in_use() -> None:
    """They may come at any time, from the thread that watches or from others."""
    asked = {E.KEPT, E.TAKEN, E.UNFIT, E.RELEASED}
    for state, event in product(State, set(Event) - asked):
        following = TRANSITIONS[state, event]
        assert following is (S.RELEASING if state is S.IDLE else state)


# -- what is idle ------------------------------------------------------------------------------------------------------


def test_it_is_taken_and_given_again(idle: IdleAssociations, peer: Peer) -> None:
    one = kept(idle, peer)
    for _ in range(3):
        association = idle.take(one.address, [verification.PROPOSAL])
        assert association is one.association
        assert echo(association) == 0
        assert idle.take(one.address, [verification.PROPOSAL]) is None  # nobody else has it meanwhile
        assert idle.keep(one.address, association, [verification.PROPOSAL])


def test_it_expires(idle: IdleAssociations, peer: Peer, clock: Clock) -> None:
    one = kept(idle, peer)
    clock.now = 9.9
    assert idle.take(one.address, [verification.PROPOSAL]) is one.association
    assert idle.keep(one.address, one.association, [verification.PROPOSAL])
    [one] = idle._kept
    clock.now = 19.8
    assert one.state is S.IDLE
    clock.now = 19.9
    wait_for(one, S.ENDED)
    assert one.association.is_released
    wait_until(lambda: not idle._waker, what="the end of the thread that watches")


@pytest.mark.parametrize("wanted", [(OTHER,), (verification.PROPOSAL, OTHER)])
def test_contexts_that_are_not_enough(idle: IdleAssociations, peer: Peer, wanted: tuple[Proposal, ...]) -> None:
    """It is released, and the other one is opened when it has ended."""
    one = kept(idle, peer)
    assert idle.take(one.address, wanted) is None
    assert one.state is S.ENDED and one.association.is_released


@pytest.mark.parametrize("wanted", [(OTHER,), (verification.PROPOSAL, OTHER)])
def test_contexts_that_were_not_accepted(
    idle: IdleAssociations, peer: Peer, wanted: tuple[Proposal, ...]
) -> None:
    """Another association finds out what the remote AE says now."""
    address, association = peer.associate()
    assert idle.keep(address, association, [verification.PROPOSAL, OTHER])
    assert idle.take(address, wanted) is None
    address, association = peer.associate()
    assert idle.keep(address, association, [verification.PROPOSAL, OTHER])
    assert idle.take(address, [verification.PROPOSAL]) is association
    abort(association)


def test_of_several_only_one_makes_way(idle: IdleAssociations, peer: Peer) -> None:
    """There are as many as before then; the others may be what the next ones want."""
    address, first = peer.associate()
    _, second = peer.associate()
    for association in (first, second):
        assert idle.keep(address, association, [verification.PROPOSAL])
    one, other = idle._kept
    assert idle.take(address, [OTHER]) is None
    assert (one.state, other.state) == (S.ENDED, S.IDLE)


def test_others_want_the_remote_ae(idle: IdleAssociations, peer: Peer) -> None:
    one = kept(idle, peer)
    idle.make_room(Address("ANOTHER TITLE", "127.0.0.1", one.address.port + 1))
    assert one.state is S.IDLE
    idle.make_room(Address("ANOTHER TITLE", "127.0.0.1", one.address.port))
    assert one.state is S.ENDED and one.association.is_released


@pytest.mark.parametrize("is_taken_next", [False, True])
def test_the_configuration_changes(idle: IdleAssociations, peer: Peer, is_taken_next: bool) -> None:
    current = True
    one = kept(idle, peer, is_current=lambda: current)
    current = False
    if is_taken_next:
        assert idle.take(one.address, [verification.PROPOSAL]) is None
    wait_for(one, S.ENDED)
    assert one.association.is_released


@pytest.mark.parametrize("how", ["close", "allow"])
def test_the_worker_ends_or_is_not_alone(idle: IdleAssociations, peer: Peer, how: str) -> None:
    one = kept(idle, peer)
    address, used = peer.associate()
    if how == "close":
        idle.close()
        idle.allow(True)  # it is too late for that
    else:
        idle.allow(False)
    wait_for(one, S.ENDED)
    assert one.association.is_released
    assert not idle.keep(address, used, [verification.PROPOSAL])
    used.release()


LOST = {
    "A-ABORT": lambda sock: sock.sendall(raw.pdu(raw.ABORT, bytes(4))),
    "A-RELEASE": lambda sock: sock.sendall(raw.RELEASE_REQUEST),
    "closed": lambda sock: sock.shutdown(socket.SHUT_RDWR),
    "reset": raw.reset,
    "a request": lambda sock: sock.sendall(raw.echo_request()),
}


@pytest.mark.parametrize("how", LOST)
def test_the_remote_ae_ends_it(idle: IdleAssociations, peer: Peer, how: str) -> None:
    """At once, and its A-RELEASE is answered as one."""
    answered: list[int] = []

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        go_on.wait(PATIENCE_S)
        with suppress(OSError):
            LOST[how](sock)
            answered.append(raw.receive_pdu(sock)[0])
            if answered == [raw.RELEASE_RQ]:
                sock.sendall(RELEASE_RESPONSE)

    go_on = threading.Event()
    peer.converse = converse
    one = kept(idle, peer)
    begun_at = time.monotonic()
    go_on.set()
    wait_for(one, S.ENDED)
    assert time.monotonic() - begun_at < PATIENCE_S
    expected = {"A-RELEASE": [raw.RELEASE_RP], "a request": [raw.RELEASE_RQ]}
    wait_until(lambda: answered == expected.get(how, []), what="the answer")
    assert idle.take(one.address, [verification.PROPOSAL]) is None


def test_what_is_lost_is_not_taken(peer: Peer) -> None:
    """Also where the thread that watches has not seen it."""

    class Unwatched(IdleAssociations):
        def _is_watched(self) -> bool:
            return True

    idle = Unwatched()
    idle.allow(True)
    peer.converse = lambda sock, request: sock.sendall(accept(request) + raw.RELEASE_REQUEST) or wait_for_abort(sock)
    address, association = peer.associate()
    wait_until(association.message_waiting, what="its end")
    assert not idle.keep(address, association, [verification.PROPOSAL])
    abort(association)
    go_on = threading.Event()

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        go_on.wait(PATIENCE_S)
        sock.sendall(raw.RELEASE_REQUEST)
        wait_for_abort(sock)

    peer.converse = converse
    address, association = peer.associate()
    assert idle.keep(address, association, [verification.PROPOSAL])
    go_on.set()
    wait_until(association.message_waiting, what="its end")
    assert idle.take(address, [verification.PROPOSAL]) is None
    assert not association.is_established


def test_one_that_was_open_for_long_is_not_kept(peer: Peer) -> None:
    idle = IdleAssociations(open_longest_s=0.0)
    idle.allow(True)
    address, association = peer.associate()
    assert not idle.keep(address, association, [verification.PROPOSAL])
    association.release()


def test_none_is_kept_before_it_is_allowed(peer: Peer) -> None:
    address, association = peer.associate()
    assert not IdleAssociations().keep(address, association, [verification.PROPOSAL])
    association.release()


def test_who_does_not_answer_a_release_holds_up_nobody(idle: IdleAssociations, peer: Peer, clock: Clock) -> None:
    """Neither those who want another remote AE, nor the others that expire; those who want this one wait a moment."""
    peer.converse = silent
    stubborn = kept(idle, peer)
    peer.converse = answering
    other = kept(idle, peer)
    clock.now = 10.0
    wait_for(other, S.ENDED)
    assert stubborn.state is S.RELEASING
    begun_at = time.monotonic()
    idle.make_room(stubborn.address)
    assert time.monotonic() - begun_at < LIMITS.acse_timeout_s
    assert stubborn.state is S.RELEASING
    wait_for(stubborn, S.ENDED)


def test_many_threads_take_and_give(idle: IdleAssociations, peer: Peer) -> None:
    """No association is ever in two hands, and there are never more than hands."""
    address, _ = first = peer.associate()
    pool = [first[1], *(peer.associate()[1] for _ in range(3))]
    for association in pool:
        assert idle.keep(address, association, [verification.PROPOSAL])
    used: set[int] = set()
    lock = threading.Lock()
    problems: list[str] = []

    def work() -> None:
        for _ in range(50):
            association = idle.take(address, [verification.PROPOSAL])
            if association is None:
                problems.append("none is left")
                return
            with lock:
                if id(association) in used:
                    problems.append("in two hands")
                used.add(id(association))
            if echo(association):
                problems.append("no answer")
            with lock:
                used.remove(id(association))
            if not idle.keep(address, association, [verification.PROPOSAL]):
                problems.append("not kept")

    threads = [threading.Thread(target=work) for _ in pool]
    with ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert problems == []
    assert len(idle._kept) == len(pool)
