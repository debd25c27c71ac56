"""Values that an administrator writes down for an attribute, checked before they are put into an object."""

from __future__ import annotations

import re
import struct

from medserver.dicom.attributes import value_representation
from medserver.dicom.representations import BINARY_NUMBERS, FLOAT_VRS, MULTIPLE_TEXT_VRS, STRING_VRS

_IS_MIN, _IS_MAX = -(2**31), 2**31 - 1

_LENGTH_MAX = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "LT": 10_240, "PN": 64, "SH": 16,
    "ST": 1024, "TM": 14, "UI": 64,
}  # fmt: skip
"""How many characters a value has at most, and a component group of a name (PS3.5 table 6.2-1)."""

_DATE = r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_TIME = r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?"
_FORMS = {
    vr: re.compile(form, re.ASCII)
    for vr, form in {
        "AE": r"[ -~]*",
        "AS": r"\d{3}[DWMY]",
        "CS": r"[A-Z0-9 _]*",
        "DA": _DATE,
        "DS": r" *[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)? *",
        "DT": rf"(\d{{4}}|\d{{4}}(0[1-9]|1[0-2])|{_DATE}({_TIME})?)([+-]\d{{4}})?",
        "IS": r" *[+-]?\d+ *",
        "TM": _TIME,
        "UI": r"[0-9.]+",
        "UR": r"[!-~]+",
    }.items()
}
"""What a value looks like (PS3.5 table 6.2-1); a range is for queries."""

_NAME_GROUPS_MAX = 3


def new_value(keyword: str, text: str) -> tuple[str, list[str] | list[int] | list[float]]:
    """Return the VR of an attribute, and its values as they are written down.

    Parameters
    ----------
    keyword : str
        The attribute.
    text : str
        Several values have a backslash between them where the VR allows that; empty for an attribute without a value.

    Returns
    -------
    tuple of (str, list)
        The values are texts or numbers; none for an empty text.

    Raises
    ------
    ValueError
        The text is not what the VR allows, or too long for it.

    References
    ----------
    PS3.5 6.2
    """
    vr = value_representation(keyword)
    if not text:
        return vr, []
    if vr in BINARY_NUMBERS:
        return vr, [_number(vr, each) for each in text.split("\\")]
    if vr not in STRING_VRS:
        raise ValueError(f"values of VR {vr} cannot be written down")
    texts = text.split("\\") if vr in MULTIPLE_TEXT_VRS else [text]
    for each in texts:
        _check_text(vr, each)
    return vr, texts


def _number(vr: str, text: str) -> int | float:
    try:
        number = float(text) if vr in FLOAT_VRS else int(text)
        struct.pack(f"<{BINARY_NUMBERS[vr]}", number)
    except (ValueError, OverflowError, struct.error):
        raise ValueError(f"'{text}' is no number of VR {vr}") from None
    return number


def _check_text(vr: str, text: str) -> None:
    if not text:
        return
    if vr == "PN" and text.count("=") >= _NAME_GROUPS_MAX:
        raise ValueError(f"'{text}' has more than {_NAME_GROUPS_MAX} component groups")
    length, length_max = max(map(len, text.split("=") if vr == "PN" else [text])), _LENGTH_MAX.get(vr)
    if length_max is not None and length > length_max:
        raise ValueError(f"it has {length} characters, and VR {vr} allows {length_max}")
    form = _FORMS.get(vr)
    if form is not None and not form.fullmatch(text):
        raise ValueError(f"'{text}' is no value of VR {vr}")
    if vr == "IS" and not _IS_MIN <= int(text) <= _IS_MAX:
        raise ValueError(f"'{text}' is no number of VR IS")
