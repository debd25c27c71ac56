"""The acceptor's side of association negotiation: who may come in, and with which contexts (PS3.8 7.1, PS3.7 D.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation, SOPClassExtendedNegotiation
from pynetdicom.presentation import SCP_SCU_ROLES, PresentationContext

from medserver.dicom.uids import is_valid_uid

PDU_LENGTH_MIN = 512
"""A peer that takes only shorter PDUs would make us send mostly headers."""

# The results of a presentation context (PS3.8 9.3.3.2).
ACCEPTANCE, USER_REJECTION = 0, 1
ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 3, 4


@dataclass(frozen=True)
class Support:
    """What is accepted for one abstract syntax.

    Attributes
    ----------
    transfer_syntaxes : frozenset of str
        The transfer syntaxes that can be accepted; the requestor's own order decides among those that are not
        preferred.
    preferred : tuple of str
        Where the requestor sends, these come first, in this order.
    preferred_to_send : tuple of str
        Where the requestor is the one that receives instances, these do.
    as_scu, as_scp : bool
        The roles that the requestor may have (PS3.7 D.3.3.4).
    """

    transfer_syntaxes: frozenset[str]
    as_scu: bool = True
    as_scp: bool = False
    preferred: tuple[str, ...] = ()
    preferred_to_send: tuple[str, ...] = ()

    def first_of(self, proposed: Sequence[UID], receives: bool = False) -> UID | None:
        """Return the best of the proposed transfer syntaxes that can be accepted, None if there is none.

        Parameters
        ----------
        proposed : sequence of UID
            The transfer syntaxes of a context.
        receives : bool
            Whether the requestor wants to be the SCP, and thus to receive.
        """
        preferred = self.preferred_to_send if receives else self.preferred
        if preferred and len(proposed) > 1:
            proposed = [UID(uid) for uid in preferred if uid in proposed] + list(proposed)
        return next((uid for uid in proposed if uid in self.transfer_syntaxes), None)


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
    answers: dict[UID, SCP_SCU_RoleSelectionNegotiation] = {}
    results = []
    for context in proposed:
        uid = context.abstract_syntax
        supported = support(str(uid))
        result = _negotiate_context(context, roles.get(uid), supported)
        results.append(result)
        if uid in roles and result.result == ACCEPTANCE:
            answers[uid] = _role_answer(uid, roles[uid], supported)
    return results, list(answers.values())


def _negotiate_context(
    proposed: PresentationContext, roles: tuple[bool, bool] | None, supported: Support | None
) -> PresentationContext:
    """Decide on one context (PS3.8 9.3.3.2).

    pynetdicom's function decides the same for lists of contexts, and checks every UID again five times: with a
    hundred contexts that would be most of the time that an association takes to be established.
    """
    receives = bool(roles and roles[1])
    accepted = supported.first_of(proposed.transfer_syntax, receives) if supported else None
    result = PresentationContext()
    result._context_id = proposed.context_id
    result._abstract_syntax = proposed.abstract_syntax
    # Of a refused context it has no meaning, but must be there (PS3.8 9.3.3.2), and must be a UID.
    first = proposed.transfer_syntax[0]
    result._transfer_syntax = [accepted or (first if is_valid_uid(first) else ImplicitVRLittleEndian)]
    if supported is None:
        result.result = ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif accepted is None:
        result.result = TRANSFER_SYNTAXES_NOT_SUPPORTED
    else:
        outcome = SCP_SCU_ROLES[roles or (None, None)][supported.as_scu, supported.as_scp]
        _, _, result._as_scu, result._as_scp = outcome
        result.result = ACCEPTANCE if result.as_scu or result.as_scp else USER_REJECTION
    return result


def _role_answer(
    sop_class_uid: UID, asked: tuple[bool, bool], supported: Support
) -> SCP_SCU_RoleSelectionNegotiation:
    """Return which of the roles that the requestor asked for it has (PS3.7 D.3.3.4.2)."""
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid = sop_class_uid
    item.scu_role = asked[0] and supported.as_scu
    item.scp_role = asked[1] and supported.as_scp
    return item
