"""The acceptor's side of association negotiation (PS3.8 7.1, 9.3; PS3.7 D): `negotiate` decides, and changes nothing.

What is not here, because it depends on more than the request: who the requestor is by its address, and how many
associations there are (`admission`). Which services there are is a table of the services.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from medserver.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, is_valid_uid
from medserver.identity.principal import Principal
from medserver.wire.associate_request import AssociationRequest, ProposedContext

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
"""The only one (PS3.7 A.2.1)."""

PDU_LENGTH_MIN = 512
"""A peer that takes only shorter PDUs would make us send mostly headers."""

# The results of a presentation context (PS3.8 9.3.3.2).
ACCEPTANCE, USER_REJECTION = 0, 1
ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 3, 4

DEFAULT_ROLES = (True, False)
"""Without role selection the requestor is the SCU and the acceptor the SCP (PS3.7 D.3.3.4)."""

Ranks = Mapping[str, int]
"""Transfer syntaxes that can be served, each with its rank: the lowest is accepted, of equals the first proposed."""


@dataclass(frozen=True)
class Support:
    """What is accepted for one abstract syntax from one requestor.

    Attributes
    ----------
    received : mapping of str to int
        The transfer syntaxes in which the requestor may send us data sets as the SCU.
    sent : mapping of str to int
        Those in which it may be sent data sets, where it is the SCP, too.
    as_scu, as_scp : bool
        The roles that the requestor may have (PS3.7 D.3.3.4).
    extended : callable
        Service-class-application-information to that of the answer, or None for no answer (PS3.7 D.3.3.5).
    """

    received: Ranks
    sent: Ranks = field(default_factory=dict)
    as_scu: bool = True
    as_scp: bool = False
    extended: Callable[[bytes], bytes | None] = field(default=lambda information: None)


Table = Callable[[Principal, str], Support | None]
"""The table of services: requestor and abstract syntax to what is accepted; None if it is not served."""


class ContextAnswer(NamedTuple):
    """The answer to one proposed presentation context (PS3.8 9.3.3.2).

    Attributes
    ----------
    context_id : int
        As proposed.
    abstract_syntax : str
        As proposed.
    result : int
        `ACCEPTANCE`, or why not.
    transfer_syntax : str
        The accepted one. Of a refused context it has no meaning, but must be there, and must be a UID.
    requestor_is_scu, requestor_is_scp : bool
        The roles of the requestor; neither where it is refused.
    """

    context_id: int
    abstract_syntax: str
    result: int
    transfer_syntax: str
    requestor_is_scu: bool = False
    requestor_is_scp: bool = False


@dataclass(frozen=True)
class Acceptance:
    """The association is accepted.

    Attributes
    ----------
    principal : Principal
        Who the requestor is.
    contexts : tuple of ContextAnswer
        One for each that was proposed, in that order.
    roles : mapping of str to (bool, bool)
        The answer to role selection, by SOP class (PS3.7 D.3.3.4.2).
    extended : mapping of str to bytes
        The answer to extended negotiation, by SOP class.
    confirms_user : bool
        Whether the answer says that the user was verified (PS3.7 D.3.3.7.2).
    """

    principal: Principal
    contexts: tuple[ContextAnswer, ...]
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    confirms_user: bool = False


@dataclass(frozen=True)
class Refusal:
    """The association is rejected with result, source and reason of PS3.8 9.3.4; `why` is for the log."""

    result: int
    source: int
    reason: int
    why: str = field(default="", compare=False)


REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
_SERVICE_USER, _PROVIDER_ACSE, _PROVIDER_PRESENTATION = 1, 2, 3

NO_REASON_GIVEN = Refusal(REJECTED_PERMANENT, _SERVICE_USER, 1, "takes only very short PDUs")
APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = Refusal(
    REJECTED_PERMANENT, _SERVICE_USER, 2, "another application context"
)
CALLING_AE_TITLE_NOT_RECOGNISED = Refusal(REJECTED_PERMANENT, _SERVICE_USER, 3, "unknown caller")
CALLED_AE_TITLE_NOT_RECOGNISED = Refusal(REJECTED_PERMANENT, _SERVICE_USER, 7, "called by another AE title")
PROTOCOL_VERSION_NOT_SUPPORTED = Refusal(REJECTED_PERMANENT, _PROVIDER_ACSE, 2, "another protocol version")
LOCAL_LIMIT_EXCEEDED = Refusal(REJECTED_TRANSIENT, _PROVIDER_PRESENTATION, 2, "a limit is reached")


def negotiate(
    request: AssociationRequest, ae_title: str, principal: Principal | None, table: Table
) -> Acceptance | Refusal:
    """Decide on an A-ASSOCIATE request.

    Parameters
    ----------
    request : AssociationRequest
        The request.
    ae_title : str
        Our AE title.
    principal : Principal or None
        Who the requestor is; None if there is no entry for its AE title and address.
    table : callable
        The table of services.
    """
    if not request.understood:
        return PROTOCOL_VERSION_NOT_SUPPORTED  # PS3.8 9.3.2
    if request.application_context_name != APPLICATION_CONTEXT_NAME:
        return APPLICATION_CONTEXT_NAME_NOT_SUPPORTED  # PS3.8 7.1.1.2
    if principal is None:
        return CALLING_AE_TITLE_NOT_RECOGNISED  # PS3.8 7.1.1.3
    if request.called_ae_title != ae_title:
        return CALLED_AE_TITLE_NOT_RECOGNISED  # PS3.8 7.1.1.4
    if 0 < request.maximum_length < PDU_LENGTH_MIN:
        return NO_REASON_GIVEN  # PS3.8 D.1: it will not change, so that to come again is of no use
    return _accept(request, principal, lambda abstract_syntax: table(principal, abstract_syntax))


def _accept(
    request: AssociationRequest, principal: Principal, support: Callable[[str], Support | None]
) -> Acceptance:
    """Decide on each context by itself, and answer the items of the SOP classes of which one is accepted."""
    supported = {context.abstract_syntax: support(context.abstract_syntax) for context in request.contexts}
    contexts = tuple(
        _negotiate_context(context, request.roles.get(context.abstract_syntax), supported[context.abstract_syntax])
        for context in request.contexts
    )
    accepted = {answer.abstract_syntax: answer for answer in contexts if answer.result == ACCEPTANCE}
    roles = {
        uid: (answer.requestor_is_scu, answer.requestor_is_scp)
        for uid, answer in accepted.items()
        if uid in request.roles
    }
    extended = {}
    for uid, information in request.extended.items():
        answer = supported[uid].extended(information) if uid in accepted else None
        if answer is not None:
            extended[uid] = answer
    return Acceptance(principal, contexts, roles, extended)


def _negotiate_context(
    proposed: ProposedContext, asked: tuple[bool, bool] | None, supported: Support | None
) -> ContextAnswer:
    """Decide on one context (PS3.8 9.3.3.2).

    Of the roles that it asks for the requestor has those that it may have; an acceptor never gives one that was not
    asked for (PS3.7 D.3.3.4.2).
    """
    if supported is None:
        return _refused(proposed, ABSTRACT_SYNTAX_NOT_SUPPORTED)
    as_scu, as_scp = asked or DEFAULT_ROLES
    as_scu, as_scp = as_scu and supported.as_scu, as_scp and supported.as_scp
    ranks = supported.sent if as_scp else supported.received
    accepted = min((uid for uid in proposed.transfer_syntaxes if uid in ranks), key=ranks.__getitem__, default=None)
    if not as_scu and not as_scp:
        return _refused(proposed, USER_REJECTION)
    if accepted is None:
        return _refused(proposed, TRANSFER_SYNTAXES_NOT_SUPPORTED)
    return ContextAnswer(proposed.context_id, proposed.abstract_syntax, ACCEPTANCE, accepted, as_scu, as_scp)


def _refused(proposed: ProposedContext, result: int) -> ContextAnswer:
    first = proposed.transfer_syntaxes[0]
    syntax = first if is_valid_uid(first) else IMPLICIT_VR_LITTLE_ENDIAN
    return ContextAnswer(proposed.context_id, proposed.abstract_syntax, result, syntax)
