"""Values of a data set in the form that matching compares: text, lists of text, lists of mappings."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr_element
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from medserver.dicom.decoding import decode_element
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotUnderstand

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
    element = dataset[keyword]
    if element.VR == "SQ":
        return [_mapping(item) for item in element.value]
    if element.value is None or element.value == "":
        return None
    if isinstance(element.value, (MultiValue, list)):
        return [str(one) for one in element.value]
    if isinstance(element.value, bytes):
        return None
    return str(element.value)


def element_of(header: Dataset, keyword: str) -> DataElement | None:
    """Return an element of a stored header, decoded, with a VR that can be written.

    Returns
    -------
    DataElement or None
        None when it is absent, or when it cannot be read: such a value is neither matched nor returned.
    """
    if keyword not in header:
        return None
    try:
        element = decode_element(header, Tag(keyword))
        if element.VR == "SQ":
            return element
        # In implicit VR some attributes are unsigned or signed by Pixel Representation (PS3.5 A.1).
        little_endian = header.original_encoding[1] is not False
        return correct_ambiguous_vr_element(element, header, little_endian)
    except (CannotUnderstand, *PYDICOM_ERRORS):
        return None


def dataset_of(item: Mapping[str, Mapping]) -> Dataset:
    """Return an item of DICOM JSON (PS3.18 F.2) with text values, as the index keeps it, as a data set."""
    dataset = Dataset()
    for tag, element in item.items():
        dataset.add_new(int(tag, 16), element["vr"], "\\".join(element.get("Value", ())) or None)
    return dataset


def _mapping(item: Dataset) -> dict:
    return {element.keyword: value_of(item, element.keyword) for element in item if element.keyword}
