"""Options that are named as attributes are: what ``Modality = CT`` in ``[route NAME]`` or ``[poll NAME]`` means.

The data dictionary takes a while to load: it is asked only for the attributes that the index does not keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from medserver.config.route import CALLING_AE_TITLE
from medserver.dicom.attributes import ATTRIBUTES, attribute, value_representation
from medserver.dicom.conditions import Condition
from medserver.dicom.keys import parse_key
from medserver.dicom.representations import STRING_VRS, TEXT_VRS
from medserver.errors import IdentifierMismatch

_USUAL_KEYWORDS: Mapping[str, str] = {row.keyword.lower(): row.keyword for row in ATTRIBUTES}

_AT_STUDY_LEVEL = {"Modality": "ModalitiesInStudy", "SOPClassUID": "SOPClassesInStudy", "SeriesDate": "StudyDate"}


def keyword_named(name: str) -> str | None:
    """Return the keyword of PS3.6 that is spelled so, whatever the case; None if there is none."""
    lowered = name.lower()
    return _USUAL_KEYWORDS.get(lowered) or _all_keywords().get(lowered)


@cache
def _all_keywords() -> Mapping[str, str]:
    from pydicom.datadict import DicomDictionary

    return {row[4].lower(): row[4] for row in DicomDictionary.values() if row[4]}


def check_study_key(keyword: str, text: str) -> None:
    """Check that an attribute can be a key at STUDY level, with this value (PS3.4 C.6.2.1.2).

    What the index does not keep is left to the AE that is asked: it may have it as an optional key.

    Raises
    ------
    ValueError
        The attribute belongs to a series or an image, its VR has no text for a value, or not for these characters.
    """
    row, vr = attribute(keyword), value_representation(keyword)
    if row is not None and row.level in ("SERIES", "IMAGE"):
        instead = _AT_STUDY_LEVEL.get(keyword)
        raise ValueError(f"no key at STUDY level{f'; did you mean {instead}?' if instead else ''}")
    if vr not in STRING_VRS:
        raise ValueError(f"no key of a query: its VR is {vr}")
    if vr not in TEXT_VRS and not text.isascii():
        raise ValueError(f"a value of VR {vr} has ASCII characters only")


def condition_of(keyword: str, text: str) -> Condition | None:
    """Return what is asked of an attribute; None if any value will do.

    Raises
    ------
    ValueError
        The text is no value for it.
    """
    # Who sent it is no attribute of the instance; it is compared as one that is an AE title.
    is_caller = keyword == CALLING_AE_TITLE
    compared = "SourceApplicationEntityTitle" if is_caller else keyword
    try:
        return parse_key(compared, "AE" if is_caller else value_representation(keyword), text)
    except IdentifierMismatch as error:
        raise ValueError(str(error)) from None
