"""Put our transport under pynetdicom's own test suite: a plug-in of pytest for `scripts/pynetdicom_tests`.

The suite tests pynetdicom's `Association`, which runs in one thread and has a provider in another one. Our
`UpperLayer` has no thread, and our own `Association` takes the place of pynetdicom's reactor. So `UpperLayer`
gets a thread here that waits for the socket.

Covered by that: connecting, reading, writing and closing of `Connection`, reading and decoding of PDUs and
everything that drives the state machine in `UpperLayer`, and `MonotonicTimer`. Not covered, but tested in
tests/wire: P-DATA on its short way (it goes through the state machine here), events that a state has no use
for, our `Association`, `Acceptor` and negotiation.
"""

from __future__ import annotations

import select
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pynetdicom.ae
import pynetdicom.association
import pynetdicom.dul
import pynetdicom.fsm
import pynetdicom.timer
import pynetdicom.transport
import pytest
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import AddressInformation

from medserver.wire.connection import PDU_HEADER_BYTES, Connection
from medserver.wire.timer import MonotonicTimer
from medserver.wire.upper_layer import ASSOCIATE_PDU_LENGTH_MAX, UpperLayer
from scripts.pynetdicom_failures import RACES, reason_for

TEST_TIMEOUT_S = 30
POLL_S = 0.002
PDU_TIMEOUT_S = 30.0
LINGER_S = 0.2
AS_IT_COMES = "--as-it-comes"


class ThreadedUpperLayer(UpperLayer):
    """Our provider with the thread that pynetdicom's `Association` expects it to have."""

    start = DULServiceProvider.start
    is_alive = DULServiceProvider.is_alive
    stop_dul = DULServiceProvider.stop_dul
    receive_pdu = DULServiceProvider.receive_pdu

    def __init__(self, association: object) -> None:
        # Not that of UpperLayer: an Association has no timeouts yet when it makes its provider.
        DULServiceProvider.__init__(self, association)
        self._driving = threading.RLock()

    def send_pdu(self, primitive: object) -> None:
        """Send at once, or leave it for the thread when that has not started yet."""
        if self.is_alive():
            super().send_pdu(primitive)
        else:
            DULServiceProvider.send_pdu(self, primitive)

    def run_reactor(self) -> None:
        """Wait for the socket and drive the state machine: the body of the thread."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        while not self._kill_thread:
            if self.artim_timer.expired:
                self.event_queue.put("Evt18")
            self._drive()
            self._wait_for_peer(self.socket)

    def _wait_for_peer(self, connection: Connection | None) -> None:
        if connection is None or connection.socket is None:
            time.sleep(POLL_S)
        elif self.state_machine.current_state == "Sta13":
            connection.linger(LINGER_S)
        elif connection.buffered_bytes or connection._poll(select.POLLIN, POLL_S):
            self._receive_event(time.monotonic() + PDU_TIMEOUT_S)
            self._idle_timer.restart()

    def _drive(self) -> None:
        with self._driving:
            super()._drive()

    def _act(self, event: str) -> None:
        # Ours ignores an event that the state has no use for. In pynetdicom it ends the thread, and many
        # tests wait for that end before they look at the states.
        try:
            self.state_machine.do_action(event)
        except InvalidEventError:
            self.kill_dul()


class ConnectionLikeTheirs(Connection):
    """Our connection with the constructor of pynetdicom's."""

    def __init__(
        self, association: object, client_socket: object = None, address: AddressInformation | None = None
    ) -> None:
        super().__init__(association, client_socket, PDU_HEADER_BYTES + ASSOCIATE_PDU_LENGTH_MAX)


def replace_classes() -> None:
    """Put our classes in the place of pynetdicom's, in every module that has them by name."""
    for module in (pynetdicom.timer, pynetdicom.dul):
        module.Timer = MonotonicTimer
    for module in (pynetdicom.transport, pynetdicom.ae, pynetdicom.fsm):
        module.AssociationSocket = ConnectionLikeTheirs
    for module in (pynetdicom.dul, pynetdicom.association):
        module.DULServiceProvider = ThreadedUpperLayer


# -- the hooks of pytest -------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for a run that shows what fails without us."""
    parser.addoption(AS_IT_COMES, action="store_true", help="leave pynetdicom's own classes in place")


def pytest_configure(config: pytest.Config) -> None:
    """Replace the classes before a test module imports them."""
    config.addinivalue_line("markers", "serial: used by pynetdicom's tests")
    if not config.getoption(AS_IT_COMES):
        replace_classes()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is expected to fail."""
    if config.getoption(AS_IT_COMES):
        return
    for item in items:
        within = [item.cls.__name__] if getattr(item, "cls", None) else []
        reason = reason_for("::".join([item.path.name, *within, item.name]))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, run=reason == RACES))


@contextmanager
def time_limit() -> Iterator[None]:
    """End what waits for ever."""

    def end(*_: object) -> None:
        raise TimeoutError(f"no end after {TEST_TIMEOUT_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(TEST_TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Run a test for a limited time."""
    with time_limit():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Tidy up for a limited time: the servers of a test that failed may wait for what never comes."""
    with time_limit():
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tests that were expected to fail, by reason."""
    groups = defaultdict(list)
    for report in terminalreporter.getreports("xfailed"):
        path, _, name = report.location
        reason = report.wasxfail.removeprefix("reason: ").removeprefix("[NOTRUN] ")
        groups[reason].append((Path(path).name, name))
    if groups:
        terminalreporter.section("not as in pynetdicom")
    for reason, tests in groups.items():
        terminalreporter.line(f"{len(tests)}: {reason}")
        for file, name in tests:
            terminalreporter.line(f"    {file} {name}")
