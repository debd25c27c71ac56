"""Where the system has no thread, no memory or no descriptor, the association ends that needed it, and nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from medserver.dicom import uids
from medserver.errors import AssociationAborted, RemoteError
from medserver.scu import verification
from medserver.wire.accepted_association import THREAD_KEPT_S, AcceptedAssociation
from medserver.wire.acceptor import Acceptor, bind, listen
from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.entrance import Entrance
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import Support, negotiate
from medserver.wire.requestor import Address, associate
from medserver.wire.roster import Roster
from tests.peers.process import wait_until
from tests.wire.serving import PRINCIPAL, success

LIMITS = WireLimits(acse_timeout_s=5.0, network_timeout_s=5.0, dimse_timeout_s=5.0)
IMPOSSIBLE_BYTES = 1 << 46
"""More than a process can have."""


class Verifying:
    """Answers C-ECHO; gives the thread back while the peer is silent."""

    def negotiate(self, request, address, presented):
        support = Support({uids.IMPLICIT_VR_LITTLE_ENDIAN: 0})
        return negotiate(request, "ACCEPTOR", PRINCIPAL, lambda principal, uid: support)

    def serve(self, association: AcceptedAssociation) -> bool:
        while association.message_waiting(THREAD_KEPT_S):
            message = association.next_message()
            if message is None:
                return False
            association.send_message(message.context_id, success(message))
        return True


class Running:
    """An acceptor, and what it shares with other processes."""

    def __init__(self, policy: object, limits: WireLimits) -> None:
        self.place = Roster(1, 10).place(0)
        self.admission = Admission(AdmissionLimits(), self.place)
        listener = bind("127.0.0.1", 0)
        listen(listener)
        self.acceptor = Acceptor([Entrance(listener)], "ACCEPTOR", limits, self.admission, policy)
        self.address = Address("ACCEPTOR", "127.0.0.1", listener.getsockname()[1])

    def associate(self):
        return associate(self.address, [verification.PROPOSAL], "REQUESTOR", LIMITS)


@contextmanager
def running(policy: object, limits: WireLimits = LIMITS) -> Iterator[Running]:
    made = Running(policy, limits)
    made.acceptor.start()
    try:
        yield made
    finally:
        made.acceptor.stop(drain_s=2.0)


@contextmanager
def no_threads() -> Iterator[None]:
    """Have no thread start meanwhile: its stack would be larger than the memory."""
    before = threading.stack_size(IMPOSSIBLE_BYTES)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_no_thread_for_a_new_association() -> None:
    with running(Verifying()) as node:
        association = node.associate()
        with no_threads(), pytest.raises(RemoteError):
            node.associate()
        assert verification.echo(association).code == 0
        association.release()
        later = node.associate()
        assert verification.echo(later).code == 0
        later.release()
        wait_until(lambda: node.admission.counts == (0, 0), what="the end of all associations")
        assert node.place.established() == []


def test_no_thread_for_an_association_that_was_idle() -> None:
    with running(Verifying()) as node:
        busy, idle = node.associate(), node.associate()
        threads = threading.active_count()
        wait_until(lambda: threading.active_count() <= threads - 2, what="the end of the threads of both")
        with no_threads(), pytest.raises(AssociationAborted):
            verification.echo(idle)
        idle.close()
        assert verification.echo(busy).code == 0
        busy.release()
        wait_until(lambda: node.place.established() == [], what="the end of both associations")


def test_no_memory_for_an_association() -> None:
    with running(Verifying(), replace(LIMITS, pdu_length_max=IMPOSSIBLE_BYTES)) as node:
        for _ in range(3):
            with pytest.raises(RemoteError):
                node.associate()
        assert node.acceptor.alive
        assert node.admission.counts == (0, 0)


class Failing(Verifying):
    """Has its connection fail to be closed."""

    def serve(self, association: AcceptedAssociation) -> bool:
        association.connection.socket.close()
        association.connection.socket = BrokenSocket()
        raise MemoryError


class BrokenSocket(socket.socket):
    """A socket whose descriptor somebody else has closed."""

    def close(self) -> None:
        super().close()
        raise OSError("not our descriptor any more")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_row_of_the_roster_is_kept_by_what_failed() -> None:
    with running(Failing()) as node:
        for _ in range(20):  # there are ten rows
            association = node.associate()
            wait_until(lambda: node.place.established() == [], what="the row")
            association.close()
        assert node.admission.counts == (0, 0)
