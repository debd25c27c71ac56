"""Every combination of what is asked and what is permitted, against the tables of PS3.7 and PS3.8, and pynetdicom."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import pytest
from pydicom.uid import UID
from pynetdicom.presentation import build_context, negotiate_as_acceptor

from medserver.wire.associate_request import AssociationRequest, ProposedContext
from medserver.wire.negotiation import Acceptance, Refusal, Support, negotiate
from tests.wire.serving import PRINCIPAL

SOP_CLASS, OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"]
UNKNOWN_SYNTAX = "1.2.3"

REQUEST = AssociationRequest(
    called_ae_title="ACCEPTOR",
    calling_ae_title="REQUESTOR",
    application_context_name="1.2.840.10008.3.1.1.1",
    contexts=(ProposedContext(1, SOP_CLASS, (SYNTAXES[0],)),),
    maximum_length=16_384,
)

ROLES = [None, *product((True, False), repeat=2)]


def decide(request: AssociationRequest, support: Support | None = None, principal=PRINCIPAL) -> Acceptance | Refusal:
    return negotiate(request, "ACCEPTOR", principal, lambda entry, uid: support if uid == SOP_CLASS else None)


# -- the association (PS3.8 9.3.4, table 9-21) ------------------------------------------------------------------------


VERSIONS = (0, 1, 2, 3, 5, 0x8001, 0xFFFE, 0xFFFF)
CONTEXT_NAMES = ("1.2.840.10008.3.1.1.1", "1.2.840.10008.3.1.1.99", "", "1.2.840.10008.3.1.1.1 ")
CALLED = ("ACCEPTOR", "acceptor", "OTHER", "")
LENGTHS = (0, 1, 6, 7, 511, 512, 513, 16_383, 0xFFFFFFFF)


def test_the_first_obstacle_is_told():
    for version, name, is_known, called, length in product(VERSIONS, CONTEXT_NAMES, (True, False), CALLED, LENGTHS):
        obstacles = [
            (version & 1 == 0, (1, 2, 2)),  # protocol-version-not-supported
            (name != "1.2.840.10008.3.1.1.1", (1, 1, 2)),  # application-context-name-not-supported
            (not is_known, (1, 1, 3)),  # calling-AE-title-not-recognized
            (called != "ACCEPTOR", (1, 1, 7)),  # called-AE-title-not-recognized
            (1 <= length <= 511, (1, 1, 1)),  # no-reason-given, and permanent: it will be as short again
        ]
        expected = next((answer for is_there, answer in obstacles if is_there), None)
        request = replace(
            REQUEST,
            protocol_version=version,
            application_context_name=name,
            called_ae_title=called,
            maximum_length=length,
        )
        decision = decide(request, principal=PRINCIPAL if is_known else None)
        found = (decision.result, decision.source, decision.reason) if isinstance(decision, Refusal) else None
        assert found == expected, (version, name, is_known, called, length)


# -- the contexts -----------------------------------------------------------------------------------------------------


def reference(asked, may_be_scu: bool, may_be_scp: bool, proposed, received, sent):
    """Return result, roles of the requestor and transfer syntax of one context, written down case by case.

    PS3.7 D.3.3.4: without the item the requestor is SCU. With it the acceptor returns 1 or 0 for a proposed 1, and 0
    for a proposed 0. PS3.8 9.3.3.2: 0 acceptance, 1 user-rejection, 4 transfer-syntaxes-not-supported.
    """
    if asked is None:
        scu, scp = may_be_scu, False
    else:
        scu = may_be_scu if asked[0] else False
        scp = may_be_scp if asked[1] else False
    if (scu, scp) == (False, False):
        return 1, (False, False), None
    servable = sent if scp else received
    best = sorted((servable[uid], position, uid) for position, uid in enumerate(proposed) if uid in servable)
    return (0, (scu, scp), best[0][2]) if best else (4, (False, False), None)


def rank_tables():
    """Yield tables in which each syntax has rank 0, rank 1, or no rank."""
    for ranks in product((0, 1, None), repeat=len(SYNTAXES)):
        yield {uid: rank for uid, rank in zip(SYNTAXES, ranks) if rank is not None}


PROPOSALS = [
    order for count in (1, 2, 3) for order in permutations([*SYNTAXES, UNKNOWN_SYNTAX], count)
]


@pytest.mark.parametrize("asked", ROLES)
def test_every_combination_of_role_permission_and_proposal(asked):
    other = ProposedContext(3, OTHER_CLASS, (SYNTAXES[0],))
    for may_be_scu, may_be_scp in product((True, False), repeat=2):
        for received, proposed in product(rank_tables(), PROPOSALS):
            sent = {uid: 1 - rank for uid, rank in received.items()}  # another order than for what is received
            support = Support(received, sent, may_be_scu, may_be_scp)
            request = replace(
                REQUEST,
                contexts=(ProposedContext(1, SOP_CLASS, proposed), other),
                roles={} if asked is None else {SOP_CLASS: asked, OTHER_CLASS: asked},
            )
            decision = decide(request, support)
            first, second = decision.contexts
            result, roles, syntax = reference(asked, may_be_scu, may_be_scp, proposed, received, sent)
            case = asked, may_be_scu, may_be_scp, received, proposed
            assert (first.context_id, first.abstract_syntax, first.result) == (1, SOP_CLASS, result), case
            assert (first.requestor_is_scu, first.requestor_is_scp) == roles, case
            assert first.transfer_syntax == (syntax or proposed[0]), case
            assert (second.context_id, second.result) == (3, 3), case  # abstract-syntax-not-supported
            assert decision.roles == ({SOP_CLASS: roles} if asked is not None and result == 0 else {}), case


@pytest.mark.parametrize("asked", ROLES)
def test_where_the_default_is_permitted_pynetdicom_decides_the_same(asked):
    """It gives the default role also to whom it is not permitted: for that `reference` alone speaks."""
    for may_be_scp, proposed in product((True, False), PROPOSALS):
        ranks = dict.fromkeys(SYNTAXES[:2], 0)
        theirs = build_context(SOP_CLASS, list(proposed))
        theirs.context_id = 1
        ours = build_context(SOP_CLASS, [uid for uid in proposed if uid in ranks] or SYNTAXES[:2])
        ours.scu_role, ours.scp_role = True, may_be_scp
        [expected], items = negotiate_as_acceptor([theirs], [ours], asked and {UID(SOP_CLASS): asked})
        request = replace(
            REQUEST,
            contexts=(ProposedContext(1, SOP_CLASS, proposed),),
            roles={} if asked is None else {SOP_CLASS: asked},
        )
        decision = decide(request, Support(ranks, ranks, True, may_be_scp))
        [found] = decision.contexts
        if (found.result == 0) or (expected.result == 0):
            assert found.result == expected.result
            assert [found.transfer_syntax] == expected.transfer_syntax
            assert (found.requestor_is_scu, found.requestor_is_scp) == (expected.as_scp, expected.as_scu)
            answered = {str(item.sop_class_uid): (item.scu_role, item.scp_role) for item in items}
            assert decision.roles == answered


def test_a_refused_context_repeats_no_syntax_that_is_not_a_uid():
    request = replace(REQUEST, contexts=(ProposedContext(1, SOP_CLASS, ("1.2/../x", SYNTAXES[1])),))
    [context] = decide(request).contexts
    assert context.transfer_syntax == "1.2.840.10008.1.2"


@pytest.mark.parametrize("answer", [b"\1\0", b"", None])
def test_extended_negotiation_is_answered_for_accepted_contexts(answer):
    request = replace(
        REQUEST,
        contexts=(*REQUEST.contexts, ProposedContext(3, OTHER_CLASS, (SYNTAXES[0],))),
        extended={SOP_CLASS: b"\1\1", OTHER_CLASS: b"\1\1", "1.2.3": b"\1"},
    )
    support = Support({SYNTAXES[0]: 0}, extended=lambda information: answer and answer[: len(information)])
    assert decide(request, support).extended == ({} if answer is None else {SOP_CLASS: answer})
    assert decide(request, replace(support, as_scu=False)).extended == {}
