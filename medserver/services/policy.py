"""Who may come in, and with which presentation contexts: default deny (PS3.8 7.1, PS3.7 D.3)."""

from __future__ import annotations

import logging

from medserver.config import Remote
from medserver.log import Event
from medserver.node import Node
from medserver.services import dispatch, query
from medserver.services.registry import service_for
from medserver.wire.acceptor import AcceptedAssociation
from medserver.wire.negotiation import (
    CALLED_AE_TITLE_NOT_RECOGNISED,
    CALLING_AE_TITLE_NOT_RECOGNISED,
    Acceptance,
    Refusal,
    Support,
)
from medserver.wire.throttle import Throttle

REFUSALS_NOTED_MAX = 5
"""How often a minute the same refusal is logged and noted: anybody can be refused, at full speed."""

CALLERS_NOTED_MAX = 200
"""How many different callers are noted within a minute: as many as are remembered."""

logger = logging.getLogger(__name__)


class NodePolicy:
    """The decisions of the node on associations: what the acceptor asks."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._throttle = Throttle(times_max=REFUSALS_NOTED_MAX, keys_max=CALLERS_NOTED_MAX)

    def negotiate(self, association: AcceptedAssociation) -> Acceptance | Refusal:
        """Decide on an A-ASSOCIATE request.

        The called AE title must be ours, and calling AE title and source address must match an `[ae NAME]` entry.
        """
        config = self._node.config.current
        requestor = association.requestor
        calling, called = requestor.ae_title, requestor.primitive.called_ae_title
        address = requestor.address_info.address
        who = {"calling": calling, "called": called, "address": address}
        remote = config.remotes_for(calling, address)
        if remote is None:
            if self._throttle.allows((calling, called, address)):
                logger.warning(Event("refused", **who, reason="unknown caller"))
                self._node.index.note_unknown_caller(calling, called, address)
            return CALLING_AE_TITLE_NOT_RECOGNISED
        if called != config.node.ae_title:
            if self._throttle.allows((calling, called, address)):
                logger.warning(Event("refused", **who, reason="called by another AE title"))
            return CALLED_AE_TITLE_NOT_RECOGNISED
        received = config.store.transfer_syntaxes
        return Acceptance(remote, lambda uid: support(remote, uid, received), query.negotiate_extended)

    def serve(self, association: AcceptedAssociation) -> None:
        """Serve an established association."""
        requestor = association.requestor
        address = requestor.address_info.address
        logger.info(
            Event("association", calling=requestor.ae_title, address=address, entry=association.peer.name)
        )
        dispatch.serve(association, self._node)


def support(remote: Remote, abstract_syntax: str, received: tuple[str, ...] = ()) -> Support | None:
    """Return what a remote AE may do with a SOP class.

    For storage, the right to store lets it be the SCU, and the right to get lets it be the SCP that receives the
    sub-operations of its C-GET (PS3.4 C.5.3). The right to commit lets it ask for storage commitment, and report on
    what it was asked (PS3.4 J.3.3.1.3).

    Parameters
    ----------
    remote : Remote
        Its entry.
    abstract_syntax : str
        A SOP Class UID.
    received : tuple of str
        The transfer syntaxes that instances are to be sent to us in, the best first.
    """
    service = service_for(abstract_syntax, remote.private_sop_classes)
    if service is None:
        return None
    may_use = remote.permits(service.right)
    may_provide = bool(service.reverse_right) and remote.permits(service.reverse_right)
    if not may_use and not may_provide:
        return None
    return Support(
        frozenset(service.transfer_syntaxes),
        as_scu=may_use,
        as_scp=may_provide,
        preferred=received,
        preferred_to_send=remote.transfer_syntaxes,
    )
