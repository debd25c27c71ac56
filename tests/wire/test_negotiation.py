"""Presentation contexts are negotiated as pynetdicom does it, one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext, build_context, negotiate_as_acceptor

from medserver.wire.negotiation import Support, _negotiate_contexts

SYNTAXES = [UID(f"1.2.840.10008.1.2.4.{number}") for number in range(50, 56)]
CLASSES = [UID(f"1.2.840.10008.5.1.4.1.1.{number}") for number in range(1, 6)]

PROPOSED = st.lists(
    st.tuples(st.sampled_from(CLASSES), st.lists(st.sampled_from(SYNTAXES), min_size=1, unique=True)),
    min_size=1,
    max_size=8,
)
ROLES = st.dictionaries(
    st.sampled_from(CLASSES), st.sampled_from([(True, True), (True, False), (False, True), (False, False)])
)
SUPPORTED = st.dictionaries(
    st.sampled_from(CLASSES),
    st.builds(
        lambda syntaxes, roles: Support(frozenset(map(str, syntaxes)), *roles),
        st.lists(st.sampled_from(SYNTAXES)),
        st.sampled_from([(True, True), (True, False), (False, True)]),
    ),
)


def proposed_contexts(proposed) -> list[PresentationContext]:
    contexts = [build_context(*one) for one in proposed]
    for index, context in enumerate(contexts):
        context.context_id = 2 * index + 1
    return contexts


def ours(context: PresentationContext, supported: Support | None) -> list[PresentationContext]:
    """Return what pynetdicom calls a supported context: our syntaxes in the order of the proposal."""
    if supported is None:
        return []
    result = PresentationContext()
    result.abstract_syntax = context.abstract_syntax
    result.transfer_syntax = [uid for uid in context.transfer_syntax if uid in supported.transfer_syntaxes]
    result.scu_role, result.scp_role = supported.as_scu, supported.as_scp
    return [result]


@given(PROPOSED, ROLES, SUPPORTED)
def test_the_same_as_pynetdicom(proposed, roles, supported):
    contexts = proposed_contexts(proposed)
    results, answers = _negotiate_contexts(contexts, roles, supported.get)
    expected_answers = {}
    for context, result in zip(contexts, results, strict=True):
        (expected,), items = negotiate_as_acceptor(
            [context], ours(context, supported.get(str(context.abstract_syntax))), roles
        )
        expected_answers |= {item.sop_class_uid: item for item in items}
        names = ["context_id", "abstract_syntax", "transfer_syntax", "result"]
        if expected.result == 0:
            names += ["as_scu", "as_scp"]
        assert [getattr(result, name) for name in names] == [getattr(expected, name) for name in names]
    assert {item.sop_class_uid: item for item in answers} == expected_answers
