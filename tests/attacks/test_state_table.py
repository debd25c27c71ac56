"""Every event in every state of the upper layer protocol (PS3.8 9.2), on one association in a socket's two ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from pynetdicom import evt
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu_primitives import (
    A_ABORT,
    A_ASSOCIATE,
    A_P_ABORT,
    A_RELEASE,
    P_DATA,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.transport import T_CONNECT, AddressInformation

from medserver.dicom import uids
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, accept
from tests.attacks.state_table import ACTIONS, EVENTS, STATES, TRANSITIONS, Action
from tests.peers import Address

LIMITS = WireLimits(acse_timeout_s=5.0, network_timeout_s=5.0, connection_timeout_s=5.0)
ENDS_WITHIN_S = 2.0

REQUEST = raw.associate_request(Address("ACCEPTOR", 0), "REQUESTOR")


class Machine:
    """An association of ours that has been put into a state, with the other end of its connection.

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
    performed : list of str
        The actions that the state machine performed, in order.
    """

    def __init__(self, state: str, mode: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.peer = socket.create_connection(self._listener.getsockname())
        accepted, _ = self._listener.accept()
        self.peer.settimeout(ENDS_WITHIN_S)
        self.association = Association(mode, LIMITS, accepted)
        self.upper_layer = self.association.dul
        self.upper_layer.event_queue.get_nowait()  # that of the accepted connection
        self.upper_layer.state_machine.current_state = state
        port = AddressInformation("127.0.0.1", self._listener.getsockname()[1])
        for side in (self.association.requestor, self.association.acceptor):
            side.address_info = port
        self.performed: list[str] = []
        self.association.bind(evt.EVT_FSM_TRANSITION, lambda event: self.performed.append(event.action))

    @property
    def state(self) -> str:
        """Return the state that it is in."""
        return self.upper_layer.state_machine.current_state

    def give(self, primitive: object) -> None:
        """Give a primitive to the upper layer, as the service user."""
        self.upper_layer.send_pdu(primitive)

    def receive(self, pdu: bytes) -> None:
        """Let the upper layer receive what the peer sends."""
        self.peer.sendall(pdu)
        self.look()

    def look(self, timeout_s: float = ENDS_WITHIN_S) -> None:
        """Let the upper layer look at the connection."""
        self.upper_layer._receive_event(time.monotonic() + timeout_s)

    def put(self, event: str) -> None:
        """Report an event of the transport service."""
        self.upper_layer.event_queue.put(event)
        self.upper_layer._drive()

    def expire(self) -> None:
        """Let the ARTIM timer expire."""
        self.upper_layer.artim_timer.timeout = 0
        self.upper_layer.artim_timer.start()
        self.look(timeout_s=0)

    def close(self) -> list[int]:
        """End it in order; return the types of the PDUs that the peer has received."""
        self.peer.shutdown(socket.SHUT_WR)
        self.upper_layer.finish()
        received = []
        try:
            while True:
                received.append(raw.receive_pdu(self.peer)[0])
        except ConnectionError:
            pass
        self.peer.close()
        self._listener.close()
        return received


@contextmanager
def machine(state: str, mode: str) -> Iterator[Machine]:
    """Give a machine, and close it if the test has not."""
    made = Machine(state, mode)
    try:
        yield made
    finally:
        made.upper_layer.socket.close()
        made.peer.close()
        made._listener.close()


# -- the events -----------------------------------------------------------------------------------------------------


def request(address: AddressInformation | None = None) -> A_ASSOCIATE:
    """Return an A-ASSOCIATE request primitive."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "REQUESTOR", "ACCEPTOR"
    primitive.called_presentation_address = address
    context = build_context(uids.VERIFICATION, [uids.IMPLICIT_VR_LITTLE_ENDIAN])
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = 16_384, "1.2.3"
    primitive.user_information = [length, implementation]
    return primitive


def answer(result: int) -> A_ASSOCIATE:
    """Return an A-ASSOCIATE response primitive."""
    primitive = request()
    primitive.result, primitive.result_source = result, 1
    if result:
        primitive.diagnostic = 1
    context = PresentationContext()
    context.context_id, context.result = 1, 0
    context.add_transfer_syntax(uids.IMPLICIT_VR_LITTLE_ENDIAN)
    primitive.presentation_context_definition_results_list = [context]
    return primitive


def released(affirmative: bool) -> A_RELEASE:
    """Return an A-RELEASE request or response primitive."""
    primitive = A_RELEASE()
    if affirmative:
        primitive.result = "affirmative"
    return primitive


def data() -> P_DATA:
    """Return a P-DATA request primitive."""
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[1, b"\x03abcd"]]
    return primitive


def aborted(by_provider: bool) -> A_ABORT | A_P_ABORT:
    """Return an A-ABORT or A-P-ABORT request primitive."""
    primitive = A_P_ABORT() if by_provider else A_ABORT()
    if by_provider:
        primitive.provider_reason = 0
    else:
        primitive.abort_source = 0
    return primitive


def _ask(one: Machine) -> None:
    one.give(request(one.association.acceptor.address_info))


def _confirm_connection(one: Machine) -> None:
    confirmation = T_CONNECT(request(one.association.acceptor.address_info))
    confirmation.result = "Evt2"
    one.upper_layer.to_provider_queue.put(confirmation)
    one.upper_layer._drive()


def _end_connection(one: Machine) -> None:
    one.peer.shutdown(socket.SHUT_WR)
    one.look()


CAUSES: dict[str, list[Callable[[Machine], None]]] = {
    "Evt1": [_ask],
    "Evt2": [_confirm_connection],
    "Evt3": [lambda one: one.receive(accept(REQUEST[6:]))],
    "Evt4": [lambda one: one.receive(raw.pdu(raw.ASSOCIATE_RJ, b"\0\1\1\1"))],
    "Evt5": [lambda one: one.put("Evt5")],
    "Evt6": [lambda one: one.receive(REQUEST)],
    "Evt7": [lambda one: one.give(answer(0))],
    "Evt8": [lambda one: one.give(answer(1))],
    "Evt9": [lambda one: one.give(data())],
    "Evt10": [lambda one: one.receive(raw.echo_request())],
    "Evt11": [lambda one: one.give(released(False))],
    "Evt12": [lambda one: one.receive(raw.RELEASE_REQUEST)],
    "Evt13": [lambda one: one.receive(RELEASE_RESPONSE)],
    "Evt14": [lambda one: one.give(released(True))],
    "Evt15": [lambda one: one.give(aborted(False)), lambda one: one.give(aborted(True))],
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


def test_the_table_is_the_one_that_is_used() -> None:
    assert TRANSITION_TABLE == TRANSITIONS


def expected_actions(event: str, state: str) -> list[str]:
    """Return the actions for an event in a state."""
    action = TRANSITIONS.get((event, state))
    if action == "AE-1":
        return ["AE-1", "AE-2"]  # nobody waits between them: the connection opens within AE-1
    return [action] if action else []


@pytest.mark.parametrize("mode", ["requestor", "acceptor"])
@pytest.mark.parametrize("event", EVENTS)
def test_event_in_every_state(event: str, mode: str) -> None:
    """What the table names is done, and nothing else; what it does not name changes nothing."""
    for state, cause in product(STATES, CAUSES[event]):
        with machine(state, mode) as one:
            began_at = time.monotonic()
            cause(one)
            assert one.performed == expected_actions(event, state), state
            last = one.performed[-1] if one.performed else None
            assert one.state == _next_state(last, state, mode), state
            if last is not None and event != "Evt1":
                _check_effects(one, ACTIONS[last], event)
            assert time.monotonic() - began_at < ENDS_WITHIN_S, state


def _next_state(action: str | None, state: str, mode: str) -> str:
    if action is None:
        return state
    return "Sta10" if action == "AR-8" and mode == "acceptor" else ACTIONS[action].next_state


def _check_effects(one: Machine, action: Action, event: str) -> None:
    """Compare what the service user and the peer got, and the timer, with what the action does."""
    indicated = one.upper_layer.to_user_queue
    names = [type(indicated.get_nowait()).__name__ for _ in range(indicated.qsize())]
    assert [name.replace("A_P_ABORT", "A_ABORT") for name in names] == (
        [action.indicates.replace("A_P_ABORT", "A_ABORT")] if action.indicates else []
    )
    timer_runs = one.upper_layer.artim_timer._start_time is not None
    assert timer_runs == (action.timer is True)
    assert (one.upper_layer.socket.socket is None) == action.closes
    if event != "Evt17":
        assert one.close() == ([action.sends] if action.sends else [])


# -- what the state machine leaves to its users -----------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_finish_ends_in_every_state(state: str) -> None:
    """Whatever the state is: the connection is closed soon, though the peer does nothing."""
    with machine(state, "acceptor") as one:
        began_at = time.monotonic()
        one.upper_layer.finish()
        assert time.monotonic() - began_at < ENDS_WITHIN_S
        assert one.state == "Sta1"
        assert one.upper_layer.socket.socket is None
        assert not one.upper_layer.is_alive()


@pytest.mark.parametrize("pdu", [REQUEST, raw.pdu(0x99, b"abc"), raw.RELEASE_REQUEST, b"\0" * 100_000])
def test_what_comes_while_the_connection_is_to_be_closed(pdu: bytes) -> None:
    """It is dropped unread, which is less than AA-7 does, and costs nothing whatever it is."""
    with machine("Sta13", "acceptor") as one:
        one.peer.sendall(pdu)
        assert one.close() == []
        assert one.performed == ["AR-5"]
