"""Elements of a stored header, decoded with care, and data sets of what the index keeps of them."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr_element

from medserver.archive.fetch import HEADER_DEPTH_MAX
from medserver.codecs.data_sets import is_too_long, read_sequence
from medserver.codecs.representations import representation_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotUnderstand

SEQUENCE_ELEMENTS_MAX = 20_000
"""How many elements and items a sequence of a stored header may have."""


def element_of(header: Dataset, keyword: str) -> DataElement | None:
    """Return an element of a stored header, decoded, with a VR that can be written.

    Parameters
    ----------
    header : Dataset
        As `archive.read_header` gives it.
    keyword : str
        The attribute.

    Returns
    -------
    DataElement or None
        None when it is absent, or when it cannot be read: such a value is neither matched nor returned.
    """
    if keyword not in header:
        return None
    try:
        stored = header.get_item(keyword)
        vr = _vr_of(stored)
        if isinstance(stored, RawDataElement) and is_too_long(vr, len(stored.value or b"")):
            return None
        if isinstance(stored, RawDataElement) and vr == "SQ":
            return read_sequence(
                stored,
                header.original_character_set,
                elements_max=SEQUENCE_ELEMENTS_MAX,
                depth_max=HEADER_DEPTH_MAX,
            )
        # In implicit VR some attributes are unsigned or signed by Pixel Representation (PS3.5 A.1).
        little_endian = header.original_encoding[1] is not False
        return correct_ambiguous_vr_element(header[keyword], header, little_endian)
    except (CannotUnderstand, *PYDICOM_ERRORS):
        return None


def _vr_of(stored: DataElement | RawDataElement) -> str:
    """Return the VR as which pydicom would convert an element."""
    return representation_of(stored.tag) if stored.VR in (None, "UN") else stored.VR


def dataset_of(item: Mapping[str, Mapping]) -> Dataset:
    """Return an item of DICOM JSON (PS3.18 F.2) with text values, as the index keeps it, as a data set."""
    dataset = Dataset()
    for tag, element in item.items():
        dataset.add_new(int(tag, 16), element["vr"], "\\".join(element.get("Value", ())) or None)
    return dataset
