"""Values of a data set in the form that matching compares: text, lists of text, lists of mappings."""

from __future__ import annotations

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from medserver.dicom.data_sets import convert_element
from medserver.dicom.representations import TEXT_VRS, representation_of

Value = "None | str | list[str] | list[dict]"


def value_of(dataset: Dataset, keyword: str) -> None | str | list[str] | list[dict]:
    """Return the value of an attribute.

    Parameters
    ----------
    dataset : Dataset
        An identifier or a stored header.
    keyword : str
        The attribute.

    Returns
    -------
    None, str, list of str, or list of dict
        None when it is absent or empty; a list when it has several values; for a sequence one mapping of keyword to
        value for each item.
    """
    if keyword not in dataset:
        return None
    element = _element(dataset, keyword)
    if element.VR == "SQ":
        return [values_of(item) for item in element.value]
    if element.value is None or element.value == "":
        return None
    if isinstance(element.value, (MultiValue, list)):
        return [_text(one, element.VR) for one in element.value]
    if isinstance(element.value, bytes):
        return None
    return _text(element.value, element.VR)


def values_of(item: Dataset) -> dict:
    """Return the values of all attributes of a data set but private ones: keyword -> value, see `value_of`."""
    return {element.keyword: value_of(item, element.keyword) for element in item if element.keyword}


def _element(dataset: Dataset, keyword: str) -> DataElement:
    """Return an element; a text that pydicom has not decoded yet is decoded as everywhere."""
    stored = dataset.get_item(keyword)
    if isinstance(stored, RawDataElement):
        vr = representation_of(stored.tag) if stored.VR in (None, "UN") else stored.VR
        if vr in TEXT_VRS:
            return convert_element(stored, dataset.original_character_set)
    return dataset[keyword]


def _text(value: object, vr: str) -> str:
    """Return a single value as text, without the nulls that the index leaves out as well.

    A UID with one in its midst is none, and must not become another one.
    """
    return str(value) if vr == "UI" else str(value).replace("\0", "")
