"""Matching as PS3.4 C.2.2.2 tells it, by brute force over the data sets that were stored.

Written apart from `medserver.dicom.matching`, in the plainest way: it knows nothing but the VRs, the keys and
the values of the test corpus.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


def matching(datasets: Iterable[Dataset], level: str, keys: Mapping[str, str]) -> list[str]:
    """Return the unique keys of the entities of a level that match, sorted."""
    found = (one for one in datasets if all(matches(one, keyword, key) for keyword, key in keys.items()))
    return sorted({str(one[UNIQUE_KEYS[level]].value) for one in found})


def matches(dataset: Dataset, keyword: str, key: str) -> bool:
    """Tell whether an attribute of a data set matches a key."""
    if key in ("", "*"):
        return True
    element = dataset.get(keyword)
    if element is None:
        return False
    values = [str(one) for one in element] if isinstance(element, MultiValue) else [str(element)]
    vr = dictionary_VR(keyword)
    compare = {"UI": _uid_list, "DA": _date_range, "TM": _time_range, "PN": _person_name, "IS": _number}
    return any(value and compare.get(vr, _wild_card)(key, value.strip()) for value in values)


def _uid_list(key: str, value: str) -> bool:
    return value in key.split("\\")


def _number(key: str, value: str) -> bool:
    return int(key) == int(value)


def _wild_card(key: str, value: str) -> bool:
    pattern = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in key)
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _date_range(key: str, value: str) -> bool:
    first, dash, last = key.partition("-")
    if not dash:
        return value == key
    return (not first or first <= value) and (not last or value <= last)


def _time_range(key: str, value: str) -> bool:
    first, dash, last = key.partition("-")
    if not dash:
        last = first
    moment = _microseconds(value, 0)
    return (not first or _microseconds(first, 0) <= moment) and (not last or moment <= _microseconds(last, 1))


def _microseconds(text: str, end: int) -> int:
    """Return a time of any precision in microseconds: the first or the last of the period that it names."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    unit = {2: 3_600_000_000, 4: 60_000_000, 6: 1_000_000}.get(len(digits), 10 ** (12 - len(digits)))
    hours, minutes, seconds = (int(digits[start : start + 2] or 0) for start in (0, 2, 4))
    start = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + int((fraction + "000000")[:6])
    return start + (unit - 1) * end


def _person_name(key: str, value: str) -> bool:
    groups = [_plain(group) for group in value.split("=")] + ["", "", ""]
    if "=" not in key:
        return any(group and _name_component(_plain(key), group) for group in groups)
    patterns = [_plain(pattern) for pattern in key.split("=")]
    return all(
        pattern in ("", "*") or (group and _name_component(pattern, group))
        for pattern, group in zip(patterns, groups, strict=False)
    )


def _name_component(key: str, value: str) -> bool:
    # Trailing empty components are not significant: SMITH^* asks for Smith, with or without a given name.
    return _wild_card(key, value) or (key.endswith("^*") and _wild_card(key, value + "^"))


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold().replace("ø", "o"))
    plain = "".join(sign for sign in decomposed if not 0x300 <= ord(sign) < 0x370)
    return unicodedata.normalize("NFKC", plain).strip().rstrip("^")
