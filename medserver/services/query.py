"""Query as SCP: C-FIND over the models of patients and studies, and of what belongs to no patient (PS3.4 C.4.1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydicom.dataset import Dataset

from medserver.dicom import status, uids
from medserver.log import Event
from medserver.node import Node
from medserver.queries.matches import matches
from medserver.queries.model import model_of
from medserver.queries.plan import make_plan
from medserver.services.answer import AnswerEncoder
from medserver.services.identifier import read_identifier
from medserver.services.request import Request, Response

CANCEL_CHECK_EVERY = 32
"""How many rows are looked at, whether they match or not, between two looks for a C-CANCEL."""

# What is supported of the further negotiation: relational queries and combined date-time matching for C-FIND
# (PS3.4 C.5.1.1), relational retrieval for C-MOVE and C-GET (PS3.4 C.5.2.1, C.5.3.1).
_EXTENSIONS_OF_FIND = bytes([1, 1, 0, 0, 0])
_EXTENSIONS_OF_RETRIEVE = bytes([1, 0, 0, 0, 0])
_FIND = frozenset({uids.PATIENT_ROOT_FIND, uids.STUDY_ROOT_FIND, uids.PATIENT_STUDY_ONLY_FIND})

logger = logging.getLogger(__name__)


def negotiate_extended(sop_class_uid: str, offered: bytes) -> bytes | None:
    """Answer the SOP Class Extended Negotiation of a Query/Retrieve SOP class (PS3.4 C.5)."""
    try:
        model = model_of(sop_class_uid)
    except KeyError:
        return None
    if not model.is_of_patients:  # there is none for them (PS3.4 U.4.1, HH.4.1)
        return None
    supported = _EXTENSIONS_OF_FIND if sop_class_uid in _FIND else _EXTENSIONS_OF_RETRIEVE
    return bytes(int(ours == theirs == 1) for ours, theirs in zip(supported, offered))


def find(request: Request, node: Node) -> Iterator[Response | None]:
    """Answer a C-FIND: a pending response for each match, then the end; None while it goes on searching.

    Raises
    ------
    IdentifierMismatch
        The identifier does not fit the model.
    CannotUnderstand
        It cannot be read.
    """
    identifier = read_identifier(request, node)
    model = model_of(request.sop_class_uid)
    plan = make_plan(identifier, model, request.extended)
    encoder = AnswerEncoder(
        plan.keys,
        plan.level if model.is_of_patients else "",
        request.context.transfer_syntax_uid,
        node.config.current.node.ae_title,
        requested_character_sets(identifier),
    )
    pending = status.PENDING if plan.supported else status.PENDING_WARNING
    limit = node.config.current.limits.query_results_max
    count = 0
    for row_index, values in enumerate(matches(plan, node)):
        # A peer that is gone shows here as well, so that nobody is searched for in its name.
        if row_index % CANCEL_CHECK_EVERY == 0 and request.cancelled:
            yield Response(status.CANCEL)
            return
        if values is None:
            yield None
            continue
        count += 1
        if limit and count > limit:
            yield Response(status.OUT_OF_RESOURCES, f"more than {limit} matches")
            return
        answer, complete = encoder.encode(values)
        yield Response(pending if complete else status.PENDING_WARNING, identifier=answer)
    logger.info(Event("C-FIND", level=plan.level, conditions=len(plan.conditions), answers=count))
    yield Response()


def requested_character_sets(identifier: Dataset) -> tuple[str, ...]:
    """Return the Specific Character Set of an identifier."""
    value = identifier.get("SpecificCharacterSet")
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
