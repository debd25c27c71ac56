"""Every event in every state of the upper layer protocol (PS3.8 9.2), on one association in a socket's two ends."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from medserver.wire import state_machine
from medserver.wire.control_pdus import RELEASE_RP, RELEASE_RQ, encode_abort, encode_reject
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import LOCAL_LIMIT_EXCEEDED
from medserver.wire.state_machine import Event, State
from medserver.wire.transport import PlainTransport
from medserver.wire.upper_layer import UpperLayer
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, accept
from tests.attacks.state_table import ACTIONS, EVENTS, STATES, TRANSITIONS, Action
from tests.peers import Address

LIMITS = WireLimits(acse_timeout_s=5.0, network_timeout_s=5.0, connection_timeout_s=5.0)
ENDS_WITHIN_S = 2.0

REQUEST = raw.associate_request(Address("ACCEPTOR", 0), "REQUESTOR")


class ObservedUpperLayer(UpperLayer):
    """Notes what is done and what is indicated."""

    def __init__(self, *arguments: object) -> None:
        self.performed: list[str] = []
        self.indicated: list[object] = []
        super().__init__(*arguments)

    def act(self, event: Event, pdu: bytes = b"", primitive: object = None) -> object | None:
        name = state_machine.TRANSITIONS.get((self.state, event))
        self.performed += [name] if name else []
        indicated = super().act(event, pdu, primitive)
        self.indicated += [indicated] if indicated is not None else []
        return indicated


class Machine:
    """An upper layer of ours that has been put into a state, with the other end of its connection.

    Parameters
    ----------
    state : str
        The state to begin in.
    mode : str
        'requestor' or 'acceptor'.

    Attributes
    ----------
    peer : socket.socket
        The other end.
    """

    def __init__(self, state: str, mode: str) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(self.listener.getsockname())
        accepted, _ = self.listener.accept()
        self.peer.settimeout(ENDS_WITHIN_S)
        if mode == "acceptor":
            self.upper_layer = ObservedUpperLayer(LIMITS, PlainTransport(accepted))
        else:
            self.upper_layer = ObservedUpperLayer(LIMITS)
            accepted.close()
            self.peer.close()
            self.upper_layer.connect(*self.listener.getsockname())
            self.peer, _ = self.listener.accept()
            self.peer.settimeout(ENDS_WITHIN_S)
        self.upper_layer.state = State[state.upper()]
        self.upper_layer.set_timer(state_machine.Timer.STOP)
        self.upper_layer.performed.clear()

    @property
    def state(self) -> str:
        """Return the state that it is in."""
        return self.upper_layer.state.name.capitalize()

    def give(self, event: Event, pdu: bytes = b"") -> None:
        """Give an event to the upper layer, as the local user or the transport."""
        self.upper_layer.act(event, pdu)

    def receive(self, pdu: bytes) -> None:
        """Let the upper layer receive what the peer sends, also in states in which it reads no more."""
        self.peer.sendall(pdu)
        self.look()

    def look(self, timeout_s: float = ENDS_WITHIN_S) -> None:
        """Let the upper layer look at the connection."""
        self.upper_layer.receive_event(time.monotonic() + timeout_s)

    def expire(self) -> None:
        """Let the ARTIM timer expire."""
        self.upper_layer.artim_deadline = time.monotonic()
        self.look()

    def close(self) -> list[int]:
        """End it in order; return the types of the PDUs that the peer has received."""
        self.peer.shutdown(socket.SHUT_WR)
        self.upper_layer.close()
        received = []
        try:
            while True:
                received.append(raw.receive_pdu(self.peer)[0])
        except ConnectionError:
            pass
        self.peer.close()
        self.listener.close()
        return received


@contextmanager
def machine(state: str, mode: str) -> Iterator[Machine]:
    """Give a machine, and close it if the test has not."""
    made = Machine(state, mode)
    try:
        yield made
    finally:
        made.upper_layer.connection.close()
        made.peer.close()
        made.listener.close()


# -- the events -----------------------------------------------------------------------------------------------------


def _end_connection(one: Machine) -> None:
    one.peer.shutdown(socket.SHUT_WR)
    one.look()


CAUSES: dict[str, list[Callable[[Machine], None]]] = {
    "Evt1": [lambda one: one.give(Event.ASSOCIATE_REQUEST)],
    "Evt2": [lambda one: one.give(Event.TRANSPORT_CONFIRM, REQUEST)],
    "Evt3": [lambda one: one.receive(accept(REQUEST[6:]))],
    "Evt4": [lambda one: one.receive(raw.pdu(raw.ASSOCIATE_RJ, b"\0\1\1\1"))],
    "Evt5": [lambda one: one.give(Event.TRANSPORT_INDICATION)],
    "Evt6": [lambda one: one.receive(REQUEST)],
    "Evt7": [lambda one: one.give(Event.ASSOCIATE_RESPONSE_ACCEPT, accept(REQUEST[6:]))],
    "Evt8": [lambda one: one.give(Event.ASSOCIATE_RESPONSE_REJECT, encode_reject(LOCAL_LIMIT_EXCEEDED))],
    "Evt9": [lambda one: one.give(Event.P_DATA_REQUEST, raw.echo_request())],
    "Evt10": [lambda one: one.receive(raw.echo_request())],
    "Evt11": [lambda one: one.give(Event.RELEASE_REQUEST, RELEASE_RQ)],
    "Evt12": [lambda one: one.receive(raw.RELEASE_REQUEST)],
    "Evt13": [lambda one: one.receive(RELEASE_RESPONSE)],
    "Evt14": [lambda one: one.give(Event.RELEASE_RESPONSE, RELEASE_RP)],
    "Evt15": [
        lambda one: one.give(Event.ABORT_REQUEST, encode_abort(0)),
        lambda one: one.give(Event.ABORT_REQUEST, encode_abort(2, 6)),
    ],
    "Evt16": [
        lambda one: one.receive(raw.pdu(raw.ABORT, b"\0\0\0\0")),
        lambda one: one.receive(raw.pdu(raw.ABORT, b"\0\0\2\3")),
        lambda one: one.receive(raw.pdu(raw.ABORT, b"\xff\xff\xff\xff")),
    ],
    "Evt17": [_end_connection, lambda one: (raw.reset(one.peer), one.look())],
    "Evt18": [Machine.expire],
    "Evt19": [
        lambda one: one.receive(raw.pdu(0x00, b"")),
        lambda one: one.receive(raw.pdu(0x99, b"abc")),
        lambda one: one.receive(raw.pdu(raw.ABORT, b"")),
        lambda one: one.receive(raw.pdu(raw.RELEASE_RQ, b"", 2**32 - 1)),
    ],
}
"""Event to what causes it, in one or several ways."""


# -- the table ------------------------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_standard_and_of_pynetdicom() -> None:
    ours = {
        (f"Evt{event.value}", f"Sta{state.value}"): name for (state, event), name in state_machine.TRANSITIONS.items()
    }
    assert ours == TRANSITIONS == TRANSITION_TABLE


@pytest.mark.parametrize("name", ACTIONS)
def test_the_actions_are_those_of_the_standard(name: str) -> None:
    ours, theirs = state_machine.ACTIONS[name], ACTIONS[name]
    assert ours.next_state == State[theirs.next_state.upper()]
    assert (ours.sends, ours.closes) == (theirs.sends, theirs.closes)
    assert (ours.indicates.__name__ if ours.indicates else None) == theirs.indicates
    assert ours.timer == {None: None, True: state_machine.Timer.START, False: state_machine.Timer.STOP}[theirs.timer]


@pytest.mark.parametrize("mode", ["requestor", "acceptor"])
@pytest.mark.parametrize("event", EVENTS)
def test_event_in_every_state(event: str, mode: str) -> None:
    """What the table names is done, and nothing else; what it does not name changes nothing."""
    for state, cause in product(STATES, CAUSES[event]):
        with machine(state, mode) as one:
            began_at = time.monotonic()
            cause(one)
            action = TRANSITIONS.get((event, state))
            assert one.upper_layer.performed == ([action] if action else []), state
            assert one.state == _next_state(action, state, mode), state
            if action is not None:
                _check_effects(one, ACTIONS[action], event)
            assert time.monotonic() - began_at < ENDS_WITHIN_S, state


def _next_state(action: str | None, state: str, mode: str) -> str:
    if action is None:
        return state
    return "Sta10" if action == "AR-8" and mode == "acceptor" else ACTIONS[action].next_state


def _check_effects(one: Machine, action: Action, event: str) -> None:
    """Compare what the service user and the peer got, and the timer, with what the action does."""
    names = [type(primitive).__name__ for primitive in one.upper_layer.indicated]
    # An A-ABORT whose source is the service provider is indicated as A-P-ABORT (PS3.8 7.4).
    assert [name.replace("A_P_ABORT", "A_ABORT") for name in names] == (
        [action.indicates.replace("A_P_ABORT", "A_ABORT")] if action.indicates else []
    )
    assert (one.upper_layer.artim_deadline < math.inf) == (action.timer is True)
    assert (one.upper_layer.connection.socket is None) == action.closes
    if event != "Evt17":
        assert one.close() == ([action.sends] if action.sends else [])


# -- what the state machine leaves to its users -----------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_finish_ends_in_every_state(state: str) -> None:
    """Whatever the state is: the connection is closed soon, though the peer does nothing."""
    with machine(state, "acceptor") as one:
        began_at = time.monotonic()
        one.upper_layer.close()
        assert time.monotonic() - began_at < ENDS_WITHIN_S
        assert one.state == "Sta1"
        assert one.upper_layer.connection.socket is None


@pytest.mark.parametrize("pdu", [REQUEST, raw.pdu(0x99, b"abc"), raw.RELEASE_REQUEST, b"\0" * 100_000])
def test_what_comes_while_the_connection_is_to_be_closed(pdu: bytes) -> None:
    """It is dropped unread, which is less than AA-7 does, and costs nothing whatever it is."""
    with machine("Sta13", "acceptor") as one:
        one.peer.sendall(pdu)
        assert one.close() == []
        assert one.upper_layer.performed == ["AR-5"]
