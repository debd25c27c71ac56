"""An association that a peer asked for: what it is doing, and how long that may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from enum import Enum, auto

from medserver.identity.principal import Principal
from medserver.tls.certificate import Certificate
from medserver.wire.associate_accept import encode_associate_accept
from medserver.wire.associate_request import AssociationRequest
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.control_pdus import encode_reject
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import ACCEPTANCE, Acceptance, Refusal
from medserver.wire.state_machine import Event
from medserver.wire.throttle import Throttle
from medserver.wire.transport import Transport

REPORT_WAIT_MAX_S = 3600.0
"""How long a peer may be silent that waits for a report: it is our turn. Then the report is left to another one."""


THREAD_KEPT_S = 0.1
"""How long an idle association keeps its thread: another one costs what three C-ECHOs cost."""


class AssociationState(Enum):
    """What an established association is doing."""

    IDLE = auto()
    """It waits for the next request of the peer."""

    PERFORMING = auto()
    """It performs a request: each read and each write has a deadline, the operation has none."""

    AWAITING_ANSWER = auto()
    """It has told the peer of an event, and waits for the answer."""


class AcceptedAssociation(Association):
    """An association that a peer asked for.

    Parameters
    ----------
    limits : WireLimits
        Timeouts and sizes.
    accepted : Transport
        The accepted connection.
    is_stopping : callable
        Tells whether the node is being stopped.

    Attributes
    ----------
    principal : Principal
        Who the requestor is; the services keep it up to date.
    known_by : object
        The configuration that `principal` is from; None until the services look.
    counts : object
        What the services count; None until they do.
    carried : object
        What it has brought, for the audit trail; None until the services look.
    state : AssociationState
        What it is doing; set by `enter`.
    failures : Throttle
        Which failed operations are still to be logged.
    reports : list
        What services want to tell the peer as soon as they know it, see `medserver.services.reporting`.
    studies : set of str
        The studies of which something has come that the end of the association tells something about.
    called_ae_title : str
        Whom the requestor has called.
    presented : Presented or None
        What the requestor has shown of itself in the TLS handshake; None in the clear.
    is_tls_in_clear : bool
        Whether it has begun a TLS handshake where associations are in the clear.
    print_session : object
        What a Print SCU has made on it, which goes with it; None until it makes something.
    """

    def __init__(self, limits: WireLimits, accepted: Transport, is_stopping: Callable[[], bool]) -> None:
        super().__init__(limits, accepted)
        self._is_stopping = is_stopping
        self.principal: Principal | None = None
        self.known_by = None
        self.counts = None
        self.carried = None
        self.state, self._entered_at = AssociationState.IDLE, time.monotonic()
        self.failures = Throttle()
        self.reports: list = []
        self.studies: set[str] = set()
        self.called_ae_title = ""
        self.is_tls_in_clear = False
        self.presented = accepted.presented
        self.print_session = None

    @property
    def certificate(self) -> Certificate | None:
        """What the requestor has shown of itself, and by what that is verified, once it is; None in the clear."""
        if self.principal is not None:
            return self.principal.certificate
        return None if self.presented is None else self.presented.certificate

    @property
    def stopping(self) -> bool:
        """Tell whether the node is being stopped."""
        return self._is_stopping()

    def enter(self, state: AssociationState) -> None:
        """Enter a state, if it is another one; the time that it may take begins now."""
        if state is not self.state:
            self.state, self._entered_at = state, time.monotonic()

    @property
    def remaining_s(self) -> float:
        """Return how long the state may still last until something comes from the peer: 0 if it has taken too long."""
        return max(self._entered_at + self._duration_max_s() - time.monotonic(), 0.0)

    def _duration_max_s(self) -> float:
        if self.state is AssociationState.PERFORMING:
            return math.inf
        if self.state is AssociationState.AWAITING_ANSWER:
            return self.limits.dimse_timeout_s
        return max(self.limits.network_timeout_s, REPORT_WAIT_MAX_S if self.reports else 0.0)

    def receive_request(self) -> AssociationRequest | None:
        """Return what the peer asks for (PS3.8 7.1.1); None if it is something else, or does not come in time."""
        request = self.upper_layer.receive()
        return request if isinstance(request, AssociationRequest) else None

    def accept(self, request: AssociationRequest, acceptance: Acceptance) -> None:
        """Answer the request with an A-ASSOCIATE-AC (PS3.8 7.1.1)."""
        self.requestor.ae_title = request.calling_ae_title
        self.called_ae_title = request.called_ae_title
        self.requestor.maximum_length = request.maximum_length
        self.principal, self.acceptor.extended = acceptance.principal, acceptance.extended
        self.contexts = {
            each.context_id: AcceptedContext(
                each.context_id,
                each.abstract_syntax,
                each.transfer_syntax,
                as_scu=each.requestor_is_scp,
                as_scp=each.requestor_is_scu,
            )
            for each in acceptance.contexts
            if each.result == ACCEPTANCE
        }
        answer = encode_associate_accept(request, acceptance, self.limits.pdu_length_max)
        self.upper_layer.act(Event.ASSOCIATE_RESPONSE_ACCEPT, answer)

    def reject(self, refusal: Refusal) -> None:
        """Answer the request with an A-ASSOCIATE-RJ (PS3.8 7.1.1)."""
        self.upper_layer.act(Event.ASSOCIATE_RESPONSE_REJECT, encode_reject(refusal))
