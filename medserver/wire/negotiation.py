"""The acceptor's side of association negotiation: who may come in, and with which contexts (PS3.8 7.1, PS3.7 D.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation, SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

PDU_LENGTH_MIN = 512
"""A peer that takes only shorter PDUs would make us send mostly headers."""


@dataclass(frozen=True)
class Support:
    """What is accepted for one abstract syntax.

    Attributes
    ----------
    transfer_syntaxes : frozenset of str
        The transfer syntaxes that can be accepted; the requestor's own order decides among them.
    as_scu, as_scp : bool
        The roles that the requestor may have (PS3.7 D.3.3.4).
    """

    transfer_syntaxes: frozenset[str]
    as_scu: bool = True
    as_scp: bool = False


@dataclass(frozen=True)
class Acceptance:
    """The association is accepted.

    Attributes
    ----------
    peer : object
        What the services should know about the requestor; the wire hands it on.
    support : callable
        Abstract syntax to `Support`, or None where it is not served for this peer.
    extended : callable
        Abstract syntax and the bytes of SOP Class Extended Negotiation to the bytes of the answer, or None.
    """

    peer: Any
    support: Callable[[str], Support | None]
    extended: Callable[[str, bytes], bytes | None] = field(default=lambda abstract_syntax, information: None)


@dataclass(frozen=True)
class Refusal:
    """The association is rejected with result, source and reason of PS3.8 9.3.4."""

    result: int
    source: int
    reason: int


CALLING_AE_TITLE_NOT_RECOGNISED = Refusal(1, 1, 3)
CALLED_AE_TITLE_NOT_RECOGNISED = Refusal(1, 1, 7)
LOCAL_LIMIT_EXCEEDED = Refusal(2, 3, 2)


def accept(association, acceptance: Acceptance) -> None:
    """Negotiate the presentation contexts and send the A-ASSOCIATE-AC."""
    primitive: A_ASSOCIATE = association.requestor.primitive
    results, roles = _negotiate_contexts(
        primitive.presentation_context_definition_list,
        {
            uid: (item.scu_role, item.scp_role)
            for uid, item in association.requestor.role_selection.items()
        },
        acceptance.support,
    )
    association._accepted_cx = {context.context_id: context for context in results if context.result == 0}
    association._rejected_cx = [context for context in results if context.result != 0]
    for role in roles:
        association.acceptor.add_negotiation_item(role)
    accepted = {context.abstract_syntax for context in association._accepted_cx.values()}
    for uid, information in association.requestor.sop_class_extended.items():
        answer = acceptance.extended(str(uid), information) if uid in accepted else None
        if answer is not None:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid, item.service_class_application_information = uid, answer
            association.acceptor.add_negotiation_item(item)
    association.index_contexts()
    association.acse.send_accept()
    association.is_established = True


def _negotiate_contexts(
    proposed: list[PresentationContext],
    roles: dict[UID, tuple[bool, bool]],
    support: Callable[[str], Support | None],
) -> tuple[list[PresentationContext], list[SCP_SCU_RoleSelectionNegotiation]]:
    """Negotiate context by context, so that each follows the order of its own proposal."""
    results: list[PresentationContext] = []
    answers: dict[str, SCP_SCU_RoleSelectionNegotiation] = {}
    for context in proposed:
        supported = _supported_context(context, support)
        result, role_items = negotiate_as_acceptor([context], supported, roles)
        results += result
        answers |= {str(item.sop_class_uid): item for item in role_items}
    return results, list(answers.values())


def _supported_context(
    proposed: PresentationContext, support: Callable[[str], Support | None]
) -> list[PresentationContext]:
    """Return our side of one context: the proposed transfer syntaxes that we take, in the order proposed."""
    abstract_syntax = str(proposed.abstract_syntax)
    supported = support(abstract_syntax)
    if supported is None:
        return []
    context = PresentationContext()
    context.abstract_syntax = abstract_syntax
    syntaxes = [uid for uid in proposed.transfer_syntax if str(uid) in supported.transfer_syntaxes]
    context._transfer_syntax = syntaxes
    context.scu_role, context.scp_role = supported.as_scu, supported.as_scp
    return [context]
