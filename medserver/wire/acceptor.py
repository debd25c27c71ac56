"""The listening side: admit some of the connections that ask for an association, serve each in a thread of its own.

How they come in is told in `lobby`.
"""

from __future__ import annotations

import logging
import socket
import time
from typing import Protocol

from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation

from medserver.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medserver.errors import AssociationAborted
from medserver.log import Event, in_association
from medserver.wire.admission import Admission
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.lobby import Lobby, Newcomer
from medserver.wire.negotiation import LOCAL_LIMIT_EXCEEDED, PDU_LENGTH_MIN, Acceptance, Refusal, accept
from medserver.wire.throttle import Throttle

LISTEN_BACKLOG = 512

INTERRUPTED_S = 1.0
"""How long associations that were interrupted have to end: some wait for a remote AE and do not notice."""

logger = logging.getLogger(__name__)


class Policy(Protocol):
    """Who may come in, and what is done for them: the services."""

    def negotiate(self, association: Association) -> Acceptance | Refusal:
        """Decide on an A-ASSOCIATE request."""

    def serve(self, association: Association) -> None:
        """Serve an established association until it ends."""


def bind(address: str, port: int) -> socket.socket:
    """Take a local address; who calls is turned away until `listen`.

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
    """Let callers wait to be accepted.

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
    listener : socket.socket
        From `bind`, listening. Several processes may accept from one.
    ae_title : str
        Our AE title.
    limits : WireLimits
        The limits of each association.
    admission : Admission
        How many there may be.
    policy : Policy
        Who they are and what they get.

    Attributes
    ----------
    port : int
        The port that is listened on.
    """

    def __init__(
        self, listener: socket.socket, ae_title: str, limits: WireLimits, admission: Admission, policy: Policy
    ) -> None:
        self._ae_title = ae_title
        self._limits = limits
        self._admission = admission
        self._policy = policy
        self._throttle = Throttle()
        self.port: int = listener.getsockname()[1]
        self._lobby = Lobby(listener, admission, limits.acse_timeout_s, self._welcome)

    def start(self) -> None:
        """Accept connections from now on."""
        self._lobby.open()

    @property
    def stopping(self) -> bool:
        """Tell whether `stop` has been called."""
        return self._lobby.closing

    @property
    def alive(self) -> bool:
        """Tell whether connections are accepted; they are not if a mistake has ended the lobby."""
        return self._lobby.alive

    def stop(self, drain_s: float) -> None:
        """Accept no more, let running operations finish for at most `drain_s`, then end every association."""
        self._lobby.close()
        deadline = time.monotonic() + drain_s
        self._admission.interrupt_idle()
        if not self._admission.wait_until_empty(deadline):
            self._admission.interrupt_all()
            self._admission.wait_until_empty(time.monotonic() + INTERRUPTED_S)

    def _welcome(self, newcomer: Newcomer) -> None:
        """Start the association of a connection whose request is here."""
        association = self._make_association(newcomer.sock, newcomer.address)
        association.connection.preload(newcomer.received)
        if not self._admission.welcome(newcomer, association):
            association.connection.close()
            return
        try:
            association.start()
        except RuntimeError:
            if self._throttle.allows("thread"):
                logger.warning("cannot start a thread for a connection")
            self._admission.leave(association)
            association.connection.close()

    def _make_association(self, sock: socket.socket, address: tuple) -> AcceptedAssociation:
        association = AcceptedAssociation(self, sock)
        association.acceptor.ae_title = self._ae_title
        association.acceptor.maximum_length = self._limits.pdu_length_max
        association.acceptor.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        association.acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        association.acceptor.address_info = AddressInformation.from_tuple(sock.getsockname())
        association.requestor.address_info = AddressInformation.from_tuple(address)
        return association

    def serve(self, association: AcceptedAssociation) -> None:
        """Negotiate and serve one association; runs in its thread."""
        try:
            request = association.dul.receive_pdu(wait=True, timeout=self._limits.acse_timeout_s)
            if isinstance(request, A_ASSOCIATE):
                association.requestor.primitive = request
                association.requestor.ae_title = request.calling_ae_title
                self._negotiate(association)
            elif association.dul.problem is not None:
                self._log_no_request(association)
            if association.is_established:
                self._serve_established(association)
        finally:
            association.dul.finish()
            self._admission.leave(association)

    def _serve_established(self, association: AcceptedAssociation) -> None:
        """Serve an association, and log its end: those that were not let in are anybody's, at full speed."""
        try:
            self._policy.serve(association)
        except AssociationAborted as error:
            logger.info(Event("aborted", reason=str(error)))
        finally:
            logger.info(Event("end", released=association.is_released))

    def _log_no_request(self, association: AcceptedAssociation) -> None:
        """Log what came instead of an A-ASSOCIATE request, once a minute for each address: anybody can send it."""
        address = association.requestor.address_info.address
        if self._throttle.allows(address):
            logger.info(Event("no request", address=address, reason=association.dul.problem))

    def _negotiate(self, association: AcceptedAssociation) -> None:
        decision = self._policy.negotiate(association)
        if isinstance(decision, Acceptance):
            # None from a peer that leaves the item out, although PS3.8 D.1.1 requires it: no limit, like 0.
            too_short = 0 < (association.requestor.maximum_length or 0) < PDU_LENGTH_MIN
            if too_short or not self._admission.establish(association, association.requestor.ae_title):
                decision = LOCAL_LIMIT_EXCEEDED
        if isinstance(decision, Refusal):
            association.acse.send_reject(decision.result, decision.source, decision.reason)
            return
        association.peer = decision.peer
        accept(association, decision)


class AcceptedAssociation(Association):
    """An association that a peer asked for.

    Attributes
    ----------
    peer : object
        What `Policy.negotiate` told about the requestor; the services keep it up to date.
    known_by : object
        The configuration that `peer` is from; None until the services look.
    idle : bool
        True while no operation is being performed; set by the services.
    failures : Throttle
        Which failed operations are still to be logged.
    reports : list
        What services want to tell the peer as soon as they know it, see `medserver.services.reporting`.
    studies : set of str
        The studies of which something has come that the end of the association tells something about.
    """

    def __init__(self, acceptor: Acceptor, sock: socket.socket) -> None:
        super().__init__("acceptor", acceptor._limits, sock)
        self._acceptor = acceptor
        self.peer = None
        self.known_by = None
        self.idle = True
        self.failures = Throttle()
        self.reports: list = []
        self.studies: set[str] = set()

    @property
    def stopping(self) -> bool:
        """Tell whether the node is being stopped."""
        return self._acceptor.stopping

    def run(self) -> None:
        """Serve the association (the body of its thread)."""
        with in_association(self.association_id):
            self._acceptor.serve(self)
