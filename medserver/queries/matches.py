"""The matches of a query, in the index and, for what that does not keep, in the headers."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.archive.header_values import dataset_of
from medserver.dicom.attributes import UNIQUE_KEYS
from medserver.dicom.projection import matching_items
from medserver.index import Query
from medserver.node import Node
from medserver.queries.further import further_values
from medserver.queries.plan import Plan


def matches(plan: Plan, node: Node, *, newest_first: bool = False) -> Iterator[dict | None]:
    """Yield the values of each match, from the index and where it must be from elsewhere.

    Parameters
    ----------
    plan : Plan
        What is asked for.
    newest_first : bool
        Whether what was registered last comes first, in an order that stays; else the order is any.

    Yields
    ------
    dict or None
        Keyword -> value; None stands for an entity that does not match, so that the caller can look up from a long
        search.

    Raises
    ------
    IndexFailure
        The database fails.
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
        newest_first=newest_first,
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
