"""Unified Procedure Step as SCP: C-FIND (PS3.4 CC.2.8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from medserver.dicom import status
from medserver.dicom.conditions import Condition, SequenceMatch
from medserver.dicom.dataset_values import value_of
from medserver.dicom.json_model import data_set_from_json
from medserver.dicom.keys import parse_key
from medserver.dicom.projection import matching_items
from medserver.index import Workitem
from medserver.log import Event
from medserver.node import Node
from medserver.queries.key import UNREADABLE, Key
from medserver.services.answer import AnswerEncoder
from medserver.services.identifier import read_identifier
from medserver.services.query import CANCEL_CHECK_EVERY, requested_character_sets
from medserver.services.request import Request, Response
from medserver.workitems.retrieving import attributes_of
from medserver.workitems.searching import search

_NOT_KEYS = ("SpecificCharacterSet", "TransactionUID")
"""What is no key, and what is never told (PS3.4 CC.2.8.3)."""

logger = logging.getLogger(__name__)


def find(request: Request, node: Node) -> Iterator[Response | None]:
    """Answer a C-FIND: a pending response for each work item that matches, then the end; None while it goes on.

    Each attribute of an item is a matching key and a return key.

    Raises
    ------
    IdentifierMismatch
        A key asks for something that its VR does not allow.
    CannotUnderstand
        The identifier cannot be read.
    """
    identifier = read_identifier(request, node)
    keys, conditions = _plan(identifier)
    encoder = AnswerEncoder(
        keys,
        "",
        request.context.transfer_syntax_uid,
        node.config.current.node.ae_title,
        requested_character_sets(identifier),
    )
    is_supported = all(key.keyword for key in keys)
    limit, count = node.config.current.limits.query_results_max, 0
    for index, row in enumerate(search(node, conditions)):
        if index % CANCEL_CHECK_EVERY == 0 and request.cancelled:
            yield Response(status.CANCEL)
            return
        if row is None:
            yield None
            continue
        count += 1
        if limit and count > limit:
            yield Response(status.OUT_OF_RESOURCES, f"more than {limit} matches")
            return
        answer, is_complete = encoder.encode(_values(row, keys, identifier, conditions))
        code = status.PENDING if is_supported and is_complete else status.PENDING_WARNING
        yield Response(code, identifier=answer)
    logger.info(Event("C-FIND", level="work items", conditions=len(conditions), answers=count))
    yield Response()


def _plan(identifier: Dataset) -> tuple[list[Key], list[Condition]]:
    """Return what is returned, and what has to match."""
    keys: list[Key] = []
    conditions: list[Condition] = []
    for element in identifier:
        if element.keyword in _NOT_KEYS:
            continue
        keys.append(Key(int(element.tag), element.VR, element.keyword))
        if element.keyword:
            condition = parse_key(element.keyword, element.VR, value_of(identifier, element.keyword))
            conditions += [] if condition is None else [condition]
    return keys, conditions


def _values(
    row: Workitem, keys: Sequence[Key], identifier: Dataset, conditions: Sequence[Condition]
) -> Mapping[str, Any]:
    """Return the values of the keys of one item, as the encoder wants them."""
    content = attributes_of(row)
    wanted = {f"{key.tag:08X}": key for key in keys if key.keyword}
    of_sequences = {one.keyword: one for one in conditions if isinstance(one, SequenceMatch)}
    values: dict[str, Any] = {}
    for tag, key in wanted.items():
        if tag not in content:
            continue
        try:
            element = data_set_from_json({tag: content[tag]})[int(tag, 16)]
        except (ValueError, TypeError, KeyError):
            values[key.keyword] = UNREADABLE
            continue
        if element.VR == "SQ":
            requested = identifier[key.tag].value if identifier[key.tag].VR == "SQ" else ()
            values[key.keyword] = matching_items(element.value, requested, of_sequences.get(key.keyword))
        elif not element.is_empty:
            values[key.keyword] = element
    return values
