"""Keys of a query that the index has no column for: the conditions of acquisition, and what only headers tell.

At IMAGE level every attribute of the stored header is a key. Conditions of acquisition are taken from the index, where
those of the functional groups are too; they are keys at SERIES level as well, where one instance of the series has to
fulfil them, and all their values are returned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver import archive
from medserver.archive.fetch import HEADER_DEPTH_MAX
from medserver.archive.header_values import SEQUENCE_ELEMENTS_MAX
from medserver.dicom.acquisition import PLAIN_KEYWORDS
from medserver.dicom.data_sets import stored_element
from medserver.dicom.dataset_values import value_of
from medserver.dicom.matching import matches_item
from medserver.dicom.representations import representation_of
from medserver.errors import CannotUnderstand, StoreFailure
from medserver.index import StoredCopy
from medserver.log import Event
from medserver.node import Node
from medserver.queries.key import UNREADABLE
from medserver.queries.plan import Plan

logger = logging.getLogger(__name__)


def further_values(node: Node, plan: Plan, values: dict[str, Any]) -> dict[str, Any] | None:
    """Return the values of the further keys of one match; None if it does not match after all.

    Parameters
    ----------
    values : dict
        What the index has answered.
    """
    if not plan.further_keywords:
        return {}
    if plan.level == "SERIES":
        return _of_series(node, plan, values["SeriesInstanceUID"])
    return _of_image(node, plan, values["location"], values["acquisition"])


def _of_series(node: Node, plan: Plan, series_instance_uid: str) -> dict[str, Any] | None:
    known = node.index.acquisitions.of_series(series_instance_uid)
    if plan.further_conditions and not any(matches_item(plan.further_conditions, one) for one in known):
        return None
    return {keyword: _answer(one.get(keyword) for one in known) for keyword in plan.further_keywords}


def _answer(found: Iterable[str | list | None]) -> list:
    """Return the different values of instances, in their order, as an answer has them."""
    different: list = []
    for value in found:
        for one in value if isinstance(value, list) else [value] if value else []:
            if one not in different:
                different.append(one)
    items = [_item(one) for one in different if isinstance(one, dict)]
    return items or [text for one in different for text in one.split("\\")]


def _item(item: Mapping[str, str]) -> Dataset:
    dataset = Dataset()
    for keyword, text in item.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        dataset.add_new(tag, representation_of(tag), text)
    return dataset


def _of_image(
    node: Node, plan: Plan, stored: StoredCopy, acquisition: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    conditions = plan.further_keywords & PLAIN_KEYWORDS
    known = {keyword: acquisition.get(keyword) for keyword in conditions} if acquisition is not None else {}
    header_keywords = plan.further_keywords - known.keys()
    header = _header(node, stored) if header_keywords else None
    elements = {keyword: _element(header, keyword) for keyword in header_keywords}
    readable = Dataset({element.tag: element for element in elements.values() if isinstance(element, DataElement)})
    comparable = {keyword: value_of(readable, keyword) for keyword in header_keywords}
    if not matches_item(plan.further_conditions, known | comparable):
        return None
    return {keyword: _answer([value]) for keyword, value in known.items()} | elements


def _element(header: Dataset | None, keyword: str) -> Any:
    """Return an element, None if it is absent; `UNREADABLE` if it cannot be read, and is neither matched nor told."""
    if header is None:
        return UNREADABLE
    try:
        return stored_element(header, keyword, elements_max=SEQUENCE_ELEMENTS_MAX, depth_max=HEADER_DEPTH_MAX)
    except CannotUnderstand:
        return UNREADABLE


def _header(node: Node, stored: StoredCopy) -> Dataset | None:
    """Read a stored header; one that is damaged tells nothing, and does not keep the others from being found."""
    try:
        return archive.read_header(node, stored)
    except StoreFailure as error:
        logger.error(Event("header", sop_instance_uid=stored.sop_instance_uid, problem=str(error)))
        return None
