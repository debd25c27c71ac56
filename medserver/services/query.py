"""Query as SCP: C-FIND over the three models (PS3.4 C.4.1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver import archive
from medserver.dicom import status, uids
from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, UNIQUE_KEYS, attribute
from medserver.dicom.conditions import Condition
from medserver.dicom.keys import combine_date_times, parse_key
from medserver.dicom.matching import matches
from medserver.errors import StoreFailure
from medserver.index import Query, StoredInstance
from medserver.log import Event
from medserver.node import Node
from medserver.services.answer import AnswerEncoder, Key
from medserver.services.header_values import dataset_of, element_of, value_of
from medserver.services.identifier import read_identifier
from medserver.services.model import (
    DATE_TIME_MATCHING,
    RELATIONAL,
    InformationModel,
    check_unique_keys_above,
    model_of,
    negotiated,
)
from medserver.services.request import Request, Response

CANCEL_CHECK_EVERY = 32
"""How many answers go out between two looks for a C-CANCEL."""

_NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC", "RetrieveAETitle"})
# What is supported of the further negotiation: relational queries and combined date-time matching for C-FIND
# (PS3.4 C.5.1.1), relational retrieval for C-MOVE and C-GET (PS3.4 C.5.2.1, C.5.3.1).
_EXTENSIONS_OF_FIND = bytes([1, 1, 0, 0, 0])
_EXTENSIONS_OF_RETRIEVE = bytes([1, 0, 0, 0, 0])
_FIND = frozenset({uids.PATIENT_ROOT_FIND, uids.STUDY_ROOT_FIND, uids.PATIENT_STUDY_ONLY_FIND})

logger = logging.getLogger(__name__)


def negotiate_extended(sop_class_uid: str, offered: bytes) -> bytes | None:
    """Answer the SOP Class Extended Negotiation of a Query/Retrieve SOP class (PS3.4 C.5)."""
    try:
        model_of(sop_class_uid)
    except KeyError:
        return None
    supported = _EXTENSIONS_OF_FIND if sop_class_uid in _FIND else _EXTENSIONS_OF_RETRIEVE
    return bytes(int(ours == theirs == 1) for ours, theirs in zip(supported, offered))


@dataclass(frozen=True)
class _Plan:
    """A query that has been taken apart.

    Attributes
    ----------
    conditions : tuple of Condition
        What the index matches.
    header_conditions : tuple of Condition
        What only the stored header can tell.
    keys : tuple of Key
        Everything that was asked for, in the order of tags.
    header_keywords : frozenset of str
        Those that are read from the stored header.
    supported : bool
        False when a key is neither matched nor returned, so that answers are FF01.
    """

    level: str
    conditions: tuple[Condition, ...]
    header_conditions: tuple[Condition, ...]
    keys: tuple[Key, ...]
    header_keywords: frozenset[str]
    supported: bool


def find(request: Request, node: Node) -> Iterator[Response]:
    """Answer a C-FIND: a pending response for each match, then the end.

    Raises
    ------
    IdentifierMismatch
        The identifier does not fit the model.
    CannotUnderstand
        It cannot be read.
    """
    identifier = read_identifier(request, node)
    model = model_of(request.sop_class_uid)
    plan = _make_plan(identifier, model, request.extended)
    encoder = AnswerEncoder(
        plan.keys,
        plan.level,
        request.context.transfer_syntax_uid,
        node.config.current.node.ae_title,
        _requested_character_sets(identifier),
    )
    pending = status.PENDING if plan.supported else status.PENDING_WARNING
    limit = node.config.current.limits.query_results_max
    count = 0
    for count, values in enumerate(_matches(plan, node), start=1):
        if limit and count > limit:
            yield Response(status.OUT_OF_RESOURCES, f"more than {limit} matches")
            return
        yield Response(pending, identifier=encoder.encode(values))
        if count % CANCEL_CHECK_EVERY == 1 and request.cancelled:
            yield Response(status.CANCEL)
            return
    logger.info(Event("C-FIND", level=plan.level, conditions=len(plan.conditions), answers=count))
    yield Response()


def _matches(plan: _Plan, node: Node) -> Iterator[dict]:
    """Yield the values of each match: from the index, and from the stored header where it must be."""
    needs_header = bool(plan.header_keywords)
    return_keys = tuple(key.keyword for key in plan.keys if key.keyword not in plan.header_keywords)
    sequences = [key.keyword for key in plan.keys if key.vr == "SQ" and key.keyword in return_keys]
    query = Query(plan.level, plan.conditions, return_keys, with_location=needs_header)
    for values in node.index.find(query):
        values |= {keyword: [dataset_of(item) for item in values[keyword]] for keyword in sequences if keyword}
        if not needs_header:
            yield values
            continue
        header = _header(node, values["location"])
        elements = {keyword: element_of(header, keyword) for keyword in plan.header_keywords}
        readable = Dataset({element.tag: element for element in elements.values() if element is not None})
        if all(matches(one, value_of(readable, one.keyword)) for one in plan.header_conditions):
            yield values | elements


def _header(node: Node, stored: StoredInstance) -> Dataset:
    """Read a stored header; one that is damaged tells nothing, and does not keep the others from being found."""
    try:
        return archive.read_header(node, stored)
    except StoreFailure as error:
        logger.error(Event("header", sop_instance_uid=stored.sop_instance_uid, problem=str(error)))
        return Dataset()


def _make_plan(identifier: Dataset, model: InformationModel, extended: bytes) -> _Plan:
    """Take an identifier apart into what is matched where and what is returned."""
    level = model.level_of(identifier)
    relational = negotiated(extended, RELATIONAL)
    combined = negotiated(extended, DATE_TIME_MATCHING)
    if not relational:
        check_unique_keys_above(model, level, identifier)
    conditions: list[Condition] = []
    header_conditions: list[Condition] = []
    keys: list[Key] = []
    header_keywords: set[str] = set()
    supported = True
    for element in identifier:
        keyword = element.keyword
        if keyword in _NOT_KEYS or element.tag.element == 0:
            continue
        place = _place(element, level, relational)
        supported = supported and place is not None
        known = attribute(keyword)
        keys.append(Key(int(element.tag), known.vr if known else element.VR, keyword if place else ""))
        condition = None
        if place:
            condition = parse_key(keyword, keys[-1].vr, value_of(identifier, keyword), combined=combined)
        if place == "header":
            header_keywords.add(keyword)
        if condition is not None:
            (header_conditions if place == "header" else conditions).append(condition)
    if combined:
        conditions = list(combine_date_times(conditions))
    return _Plan(
        level, tuple(conditions), tuple(header_conditions), tuple(keys), frozenset(header_keywords), supported
    )


def _place(element: DataElement, level: str, relational: bool) -> str | None:
    """Tell where a key is found: 'index', 'header', or None where it is not supported.

    In a hierarchical query the keys of lower levels do not take part (PS3.4 C.4.1.2.1).
    """
    if not element.keyword:
        return None
    known = attribute(element.keyword)
    if known is None:
        return "header" if level == "IMAGE" and element.keyword else None
    if known.level == EVERY_LEVEL:
        return "index"
    is_below = LEVELS.index(known.level) > LEVELS.index(level)
    if is_below and not (relational and not known.computed):
        return None
    if known.computed and known.level != level and known.keyword not in UNIQUE_KEYS.values():
        return "index" if LEVELS.index(known.level) < LEVELS.index(level) else None
    return "index"


def _requested_character_sets(identifier: Dataset) -> tuple[str, ...]:
    value = identifier.get("SpecificCharacterSet")
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
