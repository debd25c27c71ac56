"""Query as SCP: C-FIND over the models of patients and studies, and of what belongs to no patient (PS3.4 C.4.1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.archive.header_values import dataset_of
from medserver.dicom import status, uids
from medserver.dicom.attributes import UNIQUE_KEYS
from medserver.dicom.projection import matching_items
from medserver.index import Query
from medserver.log import Event
from medserver.node import Node
from medserver.services.acquisition import further_values
from medserver.services.answer import AnswerEncoder
from medserver.services.identifier import read_identifier
from medserver.services.model import model_of
from medserver.services.plan import Plan, make_plan
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
    for row_index, values in enumerate(_matches(plan, node)):
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


def _matches(plan: Plan, node: Node) -> Iterator[dict | None]:
    """Yield the values of each match, from the index and where it must be from elsewhere, or None.

    None stands for an entity that does not match, so that the caller can look up from a long search.
    """
    has_further = bool(plan.further_keywords)
    return_keys = tuple(key.keyword for key in plan.keys if key.keyword not in plan.further_keywords)
    if has_further:
        return_keys += (UNIQUE_KEYS[plan.level],)
    query = Query(
        plan.level,
        plan.conditions,
        return_keys,
        with_location=has_further,
        with_acquisition=has_further,
        patients_only=plan.model.is_of_patients,
    )
    for values in node.index.find_stepwise(query):
        if values is None:
            yield None
            continue
        further = further_values(node, plan, values)
        if further is not None:
            values |= further
            for keyword, (requested, condition) in plan.sequences.items():
                if (items := _items(values.get(keyword))) is not None:
                    values[keyword] = matching_items(items, requested, condition)
        yield None if further is None else values


def _items(value: object) -> list[Dataset] | None:
    """Return the items of a sequence from the index or a header; None for what is none."""
    if isinstance(value, DataElement):
        return list(value.value) if value.VR == "SQ" else None
    if not isinstance(value, list):
        return None
    return [dataset_of(item) if isinstance(item, dict) else item for item in value]


def requested_character_sets(identifier: Dataset) -> tuple[str, ...]:
    """Return the Specific Character Set of an identifier."""
    value = identifier.get("SpecificCharacterSet")
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
