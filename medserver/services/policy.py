"""Which associations are accepted, and with which presentation contexts: default deny (PS3.8 7.1, PS3.7 D.3)."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from medserver.accounts.authentication import authenticate
from medserver.audit import Actor
from medserver.audit.codes import NODE_AUTHENTICATION
from medserver.config import Config
from medserver.dicom.print_classes import COLOR_META
from medserver.errors import IdentityRefused, MedserverError
from medserver.identity.principal import Principal, principal_of
from medserver.index import RejectedCall
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.services import dispatch, query
from medserver.services.registry import STORAGE, service_for
from medserver.services.transfer_syntaxes import ranks_received, ranks_sent
from medserver.tls.judgement import Presented, judge
from medserver.trail.refusals import refusals
from medserver.wire.accepted_association import AcceptedAssociation
from medserver.wire.associate_request import AssociationRequest
from medserver.wire.negotiation import (
    CALLING_AE_TITLE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    Acceptance,
    Refusal,
    Support,
    negotiate,
)
from medserver.wire.throttle import Throttle

REFUSALS_NOTED_MAX = 5
"""How often a minute the same refusal is logged and noted: anybody can be refused, at full speed."""

CALLERS_NOTED_MAX = 200
"""How many different callers are noted within a minute: as many as are remembered."""

OF_PRINTERS = ("echo", "print")
"""The rights whose services are offered to who calls by the AE title of a printer: beside `PRINTED`."""

PRINTED = "1.2.840.10008.5.1.4.1.1.131"
"""Basic Structured Display Storage: what is sent to a printer is printed there."""

logger = logging.getLogger(__name__)


class NodePolicy:
    """The decisions of the node on associations: what the acceptor asks."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._throttle = Throttle(times_max=REFUSALS_NOTED_MAX, keys_max=CALLERS_NOTED_MAX)

    def negotiate(
        self, request: AssociationRequest, address: str, presented: Presented | None = None
    ) -> Acceptance | Refusal:
        """Decide on an A-ASSOCIATE request.

        The called AE title must be ours, or that of a printer, which offers print, verification and what is printed
        alone; calling AE title and source address must match an `[ae NAME]` entry, and what was shown over TLS must
        prove that it is this AE. Whatever is missing of that, the refusal is the same.
        """
        config = self._node.config.current
        calling, called = request.calling_ae_title, request.called_ae_title
        is_printer = config.printer_called(called) is not None
        ours = called if is_printer else config.node.ae_title
        decision = self._decide(config, request, ours, address, presented)
        if isinstance(decision, Refusal):
            who = Actor(calling.strip(), address, certificate=presented.certificate.fingerprint if presented else "")
            refusals.note(self._node, who, NODE_AUTHENTICATION, f"association rejected: {decision.why}")
            self._note(decision, (calling, called, address), presented)
        return decision

    def _decide(
        self, config: Config, request: AssociationRequest, ours: str, address: str, presented: Presented | None
    ) -> Acceptance | Refusal:
        """Decide on a request to one of our AE titles; whatever is wrong with who asks looks the same on the wire."""
        table = partial(_offered, config, request.called_ae_title)
        remote = config.remotes_for(request.calling_ae_title, address)
        if remote is None:
            return negotiate(request, ours, None, table)
        verdict = judge(remote.security, presented)
        if verdict.problem:
            decision = negotiate(request, ours, None, table)
            is_unknown = decision == CALLING_AE_TITLE_NOT_RECOGNISED
            return replace(decision, why=verdict.problem) if is_unknown else decision
        if request.called_ae_title != ours:
            return negotiate(request, ours, principal_of(remote, address), table)
        try:
            user, confirms_user = authenticate(
                self._node.index,
                config,
                remote.identification,
                request.user_identity,
                is_confidential=presented is not None,
            )
        except IdentityRefused as error:
            return replace(CALLING_AE_TITLE_NOT_RECOGNISED, why=str(error))
        except MedserverError as error:  # ours: nobody can tell who it is, and later it may work
            logger.error("a user cannot be verified: %s", error)
            return replace(LOCAL_LIMIT_EXCEEDED, why="a user cannot be verified")
        principal = principal_of(remote, address, user, verdict.certificate)
        decision = negotiate(request, ours, principal, table)
        return replace(decision, confirms_user=confirms_user) if isinstance(decision, Acceptance) else decision

    def _note(self, refusal: Refusal, caller: tuple[str, str, str], presented: Presented | None) -> None:
        """Log a refusal, and note an AE that is not recognised for the administrator."""
        shown = None if presented is None else presented.certificate
        if not self._throttle.allows((*caller, shown and shown.fingerprint)):
            return
        calling, called, address = caller
        proof = {} if shown is None else {"certificate": Whole(shown.fingerprint), "subject": shown.subject}
        names = {"calling": calling, "called": called, "address": address}
        logger.warning(Event("refused", **names, reason=Whole(refusal.why), **proof))
        if refusal == CALLING_AE_TITLE_NOT_RECOGNISED:
            proof = {} if presented is None else {"fingerprint": shown.fingerprint, "certificate": presented.pem}
            try:
                self._node.index.note_unknown_caller(RejectedCall(calling, called, address, refusal.why, **proof))
            except MedserverError as error:  # it is rejected as others are
                logger.error(Event("refused", calling=calling, address=address, problem=Whole(f"not noted: {error}")))

    def serve(self, association: AcceptedAssociation) -> bool:
        """Serve an established association until it ends or is idle."""
        return dispatch.serve(association, self._node)


def _offered(config: Config, called: str, principal: Principal, abstract_syntax: str) -> Support | None:
    """Return what a requestor may do with a SOP class on an association with one of our AE titles."""
    service = service_for(abstract_syntax, principal.remote.private_sop_classes)
    if service is None:
        return None
    if config.printer_called(called) is not None and service.right not in OF_PRINTERS and abstract_syntax != PRINTED:
        return None
    if service.right == "print":
        printer = config.printer_for(called)
        if printer is None or (abstract_syntax == COLOR_META and not printer.colour):
            return None
    return support(principal, abstract_syntax, config.store.transfer_syntaxes)


def support(principal: Principal, abstract_syntax: str, received: tuple[str, ...] = ()) -> Support | None:
    """Return what a requestor may do with a SOP class: the table of services as negotiation reads it.

    For storage, the right to store lets it be the SCU, and the right to get lets it be the SCP that receives the
    sub-operations of its C-GET (PS3.4 C.5.3). The right to commit lets it ask for storage commitment, and report on
    what it was asked (PS3.4 J.3.3.1.3).

    Parameters
    ----------
    principal : Principal
        Who it is.
    abstract_syntax : str
        A SOP Class UID.
    received : tuple of str
        The transfer syntaxes that instances are to be sent to us in, the best first.
    """
    service = service_for(abstract_syntax, principal.remote.private_sop_classes)
    if service is None:
        return None
    may_use, may_provide = service.roles_of(principal, abstract_syntax)
    if not may_use and not may_provide:
        return None
    if service is STORAGE:
        sent = ranks_sent(abstract_syntax, principal.remote.transfer_syntaxes)
        ranks = ranks_received(abstract_syntax, received), sent
    else:
        ranks = (dict.fromkeys(service.transfer_syntaxes, 0),) * 2  # the order of the requestor decides
    return Support(*ranks, may_use, may_provide, partial(query.negotiate_extended, abstract_syntax))
