"""The listening side: admit some of the connections that ask for an association, serve each in a thread of its own.

How connections are accepted is told in `pending_connections`. An association has a thread while something is being
done; while its peer is silent, the watcher waits for it.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from medserver.errors import AssociationAborted
from medserver.log import Event, Whole, in_association
from medserver.tls.judgement import Presented
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.admission import Admission
from medserver.wire.associate_request import AssociationRequest
from medserver.wire.entrance import Entrance
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import LOCAL_LIMIT_EXCEEDED, Acceptance, Refusal
from medserver.wire.pending_connections import (
    TLS_IN_CLEAR,
    PendingConnection,
    PendingConnections,
    speaks_tls,
)
from medserver.wire.state_machine import State
from medserver.wire.throttle import Throttle
from medserver.wire.upper_layer import LINGER_S
from medserver.wire.watcher import Watcher

LISTEN_BACKLOG = 512

INTERRUPTED_S = 1.0
"""How long associations that were interrupted have to end: some wait for a remote AE and do not notice."""

logger = logging.getLogger(__name__)


class Policy(Protocol):
    """Decides on association requests, and performs what is requested on associations: the services."""

    def negotiate(
        self, request: AssociationRequest, address: str, presented: Presented | None
    ) -> Acceptance | Refusal:
        """Decide on an A-ASSOCIATE request from an address, and what was shown over TLS; None in the clear."""

    def serve(self, association: AcceptedAssociation) -> bool:
        """Serve an established association until it ends, or is idle: then return True, to be called again."""


def bind(address: str, port: int) -> socket.socket:
    """Take a local address; connections are refused until `listen`.

    Parameters
    ----------
    address : str
        The local address, IPv4 or IPv6.
    port : int
        The port; 0 for one that the system chooses.

    Raises
    ------
    OSError
        The address is not ours, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(address, port, error) from None
    listener.setblocking(False)
    return listener


def listen(listener: socket.socket) -> None:
    """Let connections wait to be accepted.

    Raises
    ------
    OSError
        Somebody else has begun to listen meanwhile.
    """
    try:
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        raise _cannot_listen(*listener.getsockname()[:2], error) from None


def _cannot_listen(address: str, port: int, error: OSError) -> OSError:
    return OSError(error.errno, f"cannot listen on {address} port {port}: {error.strerror}")


class Acceptor:
    """Accepts connections and serves each in a thread of its own.

    Parameters
    ----------
    entrances : sequence of Entrance
        Where connections are accepted.
    ae_title : str
        Our AE title.
    limits : WireLimits
        The limits of each association.
    admission : Admission
        How many there may be.
    policy : Policy
        Which are accepted, and what is done for them.

    """

    def __init__(
        self,
        entrances: Sequence[Entrance],
        ae_title: str,
        limits: WireLimits,
        admission: Admission,
        policy: Policy,
    ) -> None:
        self._ae_title = ae_title
        self._limits = limits
        self._admission = admission
        self._policy = policy
        self._throttle = Throttle()
        self._entrances = entrances
        self._watcher = Watcher()
        self._pending = PendingConnections(entrances, self._watcher, admission, limits.acse_timeout_s, self._begin)

    def start(self) -> None:
        """Accept connections from now on."""
        self._pending.accept()
        self._watcher.start()

    @property
    def stopping(self) -> bool:
        """Tell whether `stop` has been called."""
        return self._watcher.closing

    @property
    def alive(self) -> bool:
        """Tell whether connections are accepted; they are not if a mistake has ended the watcher."""
        return self._watcher.alive and self._pending.alive

    def stop(self, drain_s: float) -> None:
        """Accept no more, let running operations finish for at most `drain_s`, then end every association."""
        self._watcher.close()
        self._pending.close()
        for entrance in self._entrances:
            entrance.listener.close()
        deadline = time.monotonic() + drain_s
        self._admission.interrupt_idle()
        if not self._admission.wait_until_empty(deadline):
            self._admission.interrupt_all()
            self._admission.wait_until_empty(time.monotonic() + INTERRUPTED_S)

    def _begin(self, connection: PendingConnection) -> None:
        """Start the association of a connection whose request has been received."""
        try:
            association = AcceptedAssociation(self._limits, connection.transport, lambda: self.stopping)
        except (OSError, MemoryError) as error:  # there is no memory for its buffer, or the connection has ended
            self._log_scarcity("begin an association", error)
            self._admission.remove(connection)
            connection.transport.close()
            return
        association.acceptor.ae_title, association.requestor.address = self._ae_title, connection.address[0]
        association.is_tls_in_clear = speaks_tls(connection.received)
        association.connection.preload(connection.received)
        if self._admission.begin(connection, association):
            self._start(association)
        else:
            association.connection.close()

    def _resume(self, association: AcceptedAssociation, is_late: bool) -> None:
        """Go on with an association that was idle: something has arrived, or its time has passed.

        Where the connection has ended no thread is needed: nothing will be written or waited for.
        """
        if association.connection.has_ended:
            self._run(association)
        else:
            self._start(association)

    def _start(self, association: AcceptedAssociation) -> None:
        """Give an association a thread."""
        try:
            threading.Thread(target=self._run, args=(association,), daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            self._log_scarcity("start the thread of an association", error)
            self._end(association)  # without an A-ABORT: the watcher must not wait for a peer that does not read

    def _log_scarcity(self, what: str, error: Exception) -> None:
        if self._throttle.allows(what):
            logger.warning("cannot %s: %s", what, error)

    def _run(self, association: AcceptedAssociation) -> None:
        """Negotiate and serve one association, until it ends or is idle; the body of its thread."""
        with in_association(association.association_id):
            is_waiting = False
            try:
                if not association.is_established:
                    self._negotiate(association)
                if association.is_established and self._serve(association):
                    deadline = time.monotonic() + association.remaining_s
                    self._watcher.watch(association.connection.socket, deadline, partial(self._resume, association))
                    is_waiting = True
            finally:
                if not is_waiting:
                    self._end(association)

    def _serve(self, association: AcceptedAssociation) -> bool:
        """Serve an association; tell whether it is idle."""
        try:
            return self._policy.serve(association)
        except AssociationAborted as error:
            logger.info(Event("aborted", reason=str(error)))
            return False

    def _end(self, association: AcceptedAssociation) -> None:
        """Log the end of an association, if it was accepted; behind a release or an abort the peer may close first."""
        try:
            if association.principal is not None:
                with in_association(association.association_id):
                    logger.info(Event("end", released=association.is_released))
            if association.upper_layer.state is State.STA13 and association.connection.socket is not None:
                self._linger(association, time.monotonic() + LINGER_S)
            else:
                self._close(association)
        except BaseException:
            self._close(association)
            raise

    def _linger(self, association: AcceptedAssociation, deadline: float, is_late: bool = False) -> None:
        """Throw away what still arrives until the peer closes the connection (PS3.8 9.2.1, state 13)."""
        if is_late or association.connection.drop():
            self._close(association)
        else:
            again = partial(self._linger, association, deadline)
            self._watcher.watch(association.connection.socket, deadline, again)

    def _close(self, association: AcceptedAssociation) -> None:
        try:
            association.upper_layer.close(linger_s=0)
        except OSError as error:
            logger.warning("cannot close a connection: %s", error)
        finally:
            self._admission.remove(association)

    def _log_no_request(self, association: AcceptedAssociation) -> None:
        """Log what was received instead of an A-ASSOCIATE request, once a minute for each address."""
        address = association.requestor.address
        reason = TLS_IN_CLEAR if association.is_tls_in_clear else association.upper_layer.problem
        if self._throttle.allows(address):
            logger.info(Event("no request", address=address, reason=reason))

    def _negotiate(self, association: AcceptedAssociation) -> None:
        """Receive the A-ASSOCIATE request and answer it."""
        request = association.receive_request()
        if request is None:
            if association.upper_layer.problem is not None:
                self._log_no_request(association)
            return
        address = association.requestor.address
        decision = self._policy.negotiate(request, address, association.presented)
        if isinstance(decision, Acceptance) and not self._admission.establish(association, request.calling_ae_title):
            decision = LOCAL_LIMIT_EXCEEDED
        if isinstance(decision, Refusal):
            association.reject(decision)
        else:
            association.accept(request, decision)
            self._log_accepted(decision, request.calling_ae_title, address)

    @staticmethod
    def _log_accepted(acceptance: Acceptance, calling: str, address: str) -> None:
        """Log an association that was accepted, with what has proved who it is."""
        principal = acceptance.principal
        named = {} if principal.user is None else {"user": principal.user.name}
        shown = principal.certificate
        if shown is not None:
            named |= {"verified_by": shown.verified_by, "certificate": Whole(shown.fingerprint)}
        logger.info(Event("association", calling=calling, address=address, entry=principal.remote.name, **named))
