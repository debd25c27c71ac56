"""What an answer holds of the items of a sequence: the matching ones, with what was asked for (PS3.4 C.2.2.2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medserver.dicom.conditions import Condition, SequenceMatch
from medserver.dicom.data_sets import unambiguous_element
from medserver.dicom.dataset_values import values_of
from medserver.dicom.matching import matches_item


def matching_items(
    items: Iterable[Dataset], requested: Sequence[Dataset], condition: Condition | None
) -> list[Dataset]:
    """Return the items of a sequence that match a key, each with what the key asks for.

    Parameters
    ----------
    items : iterable of Dataset
        The sequence.
    requested : sequence of Dataset
        The value of the key: its one item. Without one, or with one that is empty, whole items are returned.
    condition : SequenceMatch or None
        What `parse_key` made of the key.
    """
    conditions = condition.conditions if isinstance(condition, SequenceMatch) else ()
    matching = [item for item in items if matches_item(conditions, values_of(item))]
    if not requested or not len(requested[0]):
        return matching
    return [project(item, requested[0], conditions) for item in matching]


def project(item: Dataset, requested: Dataset, conditions: Sequence[Condition] = ()) -> Dataset:
    """Return of an item what the item of a key asks for, at every level.

    Parameters
    ----------
    item : Dataset
        An item that matches.
    requested : Dataset
        The keys. One that the item does not have is returned empty.
    conditions : sequence of Condition
        What the keys have to match, for the sequences among them.

    Returns
    -------
    Dataset
        The texts of an item that has a Specific Character Set of its own are for that of the answer.
    """
    of_sequences = {condition.keyword: condition for condition in conditions if isinstance(condition, SequenceMatch)}
    found = Dataset()
    for key in requested:
        if key.keyword == "SpecificCharacterSet" or not is_returnable(key.tag, requested):
            continue
        element = item.get(key.tag)
        if key.tag.is_private_creator:
            element = key
        elif key.tag.is_private and _creator(key.tag, item) != _creator(key.tag, requested):
            element = None
        if element is None:
            element = DataElement(key.tag, key.VR, [] if key.VR == "SQ" else None)
        elif key.VR == "SQ" and element.VR == "SQ":
            items = matching_items(element.value, key.value, of_sequences.get(key.keyword))
            element = DataElement(key.tag, "SQ", items)
        # What tells an unsigned number from a signed one is perhaps not asked for.
        found.add(unambiguous_element(element, item))
    return found


def is_returnable(tag: BaseTag, requested: Dataset) -> bool:
    """Tell whether an answer may hold an attribute: a private one only with its creator (PS3.5 7.8.1).

    Parameters
    ----------
    tag : BaseTag
        The attribute.
    requested : Dataset
        The keys among which it is.
    """
    return not tag.is_private or bool(_creator(tag, requested))


def _creator(tag: BaseTag, dataset: Dataset) -> str:
    """Return who has reserved the block of a private attribute, or of a private creator; empty if nobody has."""
    element = dataset.get(tag if tag.is_private_creator else Tag(tag.group, tag.element >> 8))
    value = element.value if element is not None else None
    return value if isinstance(value, str) and value.isascii() else ""
