"""A query taken apart: what is matched where, and what is returned (PS3.4 C.4.1.2, C.4.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.archive import REQUEST_ATTRIBUTES_ITEM_KEYWORDS
from medserver.dicom.acquisition import ITEM_KEYWORDS, PLAIN_KEYWORDS
from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, UNIQUE_KEYS, attribute
from medserver.dicom.conditions import CombinedRange, Condition, SequenceMatch
from medserver.dicom.dataset_values import value_of
from medserver.dicom.keys import combine_date_times, parse_key
from medserver.dicom.projection import is_returnable
from medserver.queries.key import Key
from medserver.queries.model import (
    DATE_TIME_MATCHING,
    RELATIONAL,
    InformationModel,
    check_patient_keys,
    check_unique_keys_above,
    negotiated,
)

_NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle"})
_BEHIND_HEADERS = 0x7FE00000  # Pixel Data, and what follows it

_ITEM_KEYWORDS = {"RequestAttributesSequence": REQUEST_ATTRIBUTES_ITEM_KEYWORDS, **ITEM_KEYWORDS}
"""What the index keeps of the items of sequences."""


@dataclass(frozen=True)
class Plan:
    """A query that has been taken apart.

    Attributes
    ----------
    model : InformationModel
        The model.
    level : str
        The Query/Retrieve Level.
    conditions : tuple of Condition
        What the index matches.
    further_conditions : tuple of Condition
        What the conditions of acquisition or the stored header have to fulfil.
    keys : tuple of Key
        Everything that was asked for, in the order of tags.
    further_keywords : frozenset of str
        Those that are looked up there: see `acquisition`.
    sequences : mapping of str to (sequence of Dataset, SequenceMatch or None)
        What the keys of VR SQ among them ask for and match, by keyword.
    supported : bool
        False when a key is neither matched nor returned, so that answers are FF01.
    """

    model: InformationModel
    level: str
    conditions: tuple[Condition, ...]
    further_conditions: tuple[Condition, ...]
    keys: tuple[Key, ...]
    further_keywords: frozenset[str]
    sequences: Mapping[str, tuple[Sequence[Dataset], Condition | None]]
    supported: bool


def make_plan(identifier: Dataset, model: InformationModel, extended: bytes) -> Plan:
    """Take an identifier apart.

    Parameters
    ----------
    identifier : Dataset
        All of it decoded.
    model : InformationModel
        That of the SOP class.
    extended : bytes
        What SOP Class Extended Negotiation agreed on.

    Raises
    ------
    IdentifierMismatch
        The identifier does not fit the model, or a key asks for something that its VR does not allow.
    """
    level = model.level_of(identifier)
    relational = negotiated(extended, RELATIONAL)
    combined = negotiated(extended, DATE_TIME_MATCHING)
    check_patient_keys(identifier)
    if not relational:
        check_unique_keys_above(model, level, identifier)
    conditions: list[Condition] = list(model.scope())
    keys: list[Key] = []
    further_keywords: set[str] = set()
    supported = True
    sequences: dict[str, Sequence[Dataset]] = {}
    for element in identifier:
        keyword = element.keyword
        if keyword in _NOT_KEYS:
            continue
        if element.tag.is_private:
            supported = supported and element.tag.is_private_creator
            keys += _private_key(element, identifier)
            continue
        place = _place(element, level, relational) if model.is_of_patients else _place_of_object(element)
        supported = supported and place is not None
        known = attribute(keyword)
        keys.append(Key(int(element.tag), known.vr if known else element.VR, keyword if place else ""))
        if place is None:
            continue
        value = value_of(identifier, keyword)
        if _has_keys_beyond_index(element):
            if level == "IMAGE":
                place = "further"
            else:
                supported = False
                value = _without_keys_beyond_index(keyword, value)
        if place == "further":
            further_keywords.add(keyword)
        if keys[-1].vr == "SQ":
            sequences[keyword] = element.value if element.VR == "SQ" else ()
        condition = parse_key(keyword, keys[-1].vr, value, combined=combined)
        if condition is not None:
            conditions.append(condition)
    if combined:
        conditions = list(combine_date_times(conditions))
    matched = {condition.keyword: condition for condition in conditions if isinstance(condition, SequenceMatch)}
    asked = {keyword: (items, matched.get(keyword)) for keyword, items in sequences.items()}
    of_index, of_header = _divided(conditions, further_keywords)
    return Plan(model, level, of_index, of_header, tuple(keys), frozenset(further_keywords), asked, supported)


def _private_key(element: DataElement, identifier: Dataset) -> Iterator[Key]:
    """Yield the key that a private attribute is: never matched, and returned with its creator or not at all."""
    if is_returnable(element.tag, identifier):
        constant = str(element.value) if element.tag.is_private_creator else ""
        yield Key(int(element.tag), element.VR, "", constant)


def _divided(
    conditions: Iterable[Condition], further_keywords: set[str]
) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """Divide the conditions between the index and the header."""
    of_index: list[Condition] = []
    of_header: list[Condition] = []
    for condition in conditions:
        keywords = _keywords_of(condition)
        if further_keywords.isdisjoint(keywords):
            of_index.append(condition)
        else:
            # Of a date and its time, both are read where the one of them is that the index does not have.
            further_keywords |= keywords
            of_header.append(condition)
    return tuple(of_index), tuple(of_header)


def _keywords_of(condition: Condition) -> set[str]:
    if isinstance(condition, CombinedRange):
        return {condition.date_keyword, condition.time_keyword}
    return {condition.keyword}


def _place(element: DataElement, level: str, relational: bool) -> str | None:
    """Tell where a key is found: 'index', 'further', or None where it is not supported.

    In a hierarchical query the keys of lower levels do not take part (PS3.4 C.4.1.2.1).
    """
    if not element.keyword or element.tag >= _BEHIND_HEADERS:
        return None
    known = attribute(element.keyword)
    if known is None:
        is_condition = element.keyword in PLAIN_KEYWORDS or element.keyword in ITEM_KEYWORDS
        return "further" if level == "IMAGE" or (level == "SERIES" and is_condition) else None
    if known.level == EVERY_LEVEL:
        return "index"
    is_below = LEVELS.index(known.level) > LEVELS.index(level)
    if is_below and not (relational and not known.computed):
        return None
    if known.computed and known.level != level and known.keyword not in UNIQUE_KEYS.values():
        return "index" if LEVELS.index(known.level) < LEVELS.index(level) else None
    return "index"


def _place_of_object(element: DataElement) -> str | None:
    """Tell where a key of an object is found that belongs to no patient: mostly in its header."""
    if not element.keyword or element.tag >= _BEHIND_HEADERS:
        return None
    return "index" if element.keyword in ("SOPInstanceUID", "SOPClassUID") else "further"


def _has_keys_beyond_index(element: DataElement) -> bool:
    """Tell whether the items of a sequence in the index ask for what that does not keep of them."""
    kept = _ITEM_KEYWORDS.get(element.keyword)
    return kept is not None and element.VR == "SQ" and any(
        inner.keyword not in kept for item in element.value for inner in item
    )


def _without_keys_beyond_index(keyword: str, items: Iterable[dict]) -> list[dict]:
    """Return what can be matched: a key that is not supported takes no part in it (PS3.4 C.2.2.1.3)."""
    kept = _ITEM_KEYWORDS[keyword]
    return [{inner: value for inner, value in item.items() if inner in kept} for item in items]
