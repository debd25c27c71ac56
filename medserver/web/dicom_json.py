"""The DICOM JSON and the Native DICOM Model (PS3.18 F, PS3.19 A.1): of matches, and of data sets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.representations import BINARY_NUMBERS, FLOAT_VRS
from medserver.queries.key import UNREADABLE, Key

UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
"""Specific Character Set (0008,0005): both forms are in UTF-8 (PS3.18 F.2.4)."""

CHARACTER_SET_TAG = "00080005"

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no characters for."""

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def element(vr: str, value: Any) -> dict[str, Any]:
    """Return an attribute of a match.

    Parameters
    ----------
    vr : str
        Its VR.
    value : object
        None, text, a number, a list of these, a list of `Dataset`, a `DataElement`, or `UNREADABLE`, which is told as
        one without a value.
    """
    if value is None or value is UNREADABLE or value in ("", []):
        return {"vr": vr}
    if isinstance(value, DataElement):
        return stored(value)
    values = value if isinstance(value, (list, tuple)) else [value]
    if vr == "SQ":
        return {"vr": vr, "Value": [data_set(item) for item in values]}
    return {"vr": vr, "Value": [_value(vr, each) for each in values]}


def match(keys: Iterable[Key], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a match: every key with its value, or without one, in the order of tags."""
    found = {f"{key.tag:08X}": element(key.vr, values.get(key.keyword) if key.keyword else None) for key in keys}
    found[CHARACTER_SET_TAG] = UTF_8
    return dict(sorted(found.items()))


def data_set(dataset: Dataset) -> dict[str, Any]:
    """Return a data set, whole."""
    found = {f"{each.tag:08X}": stored(each) for each in dataset}
    if CHARACTER_SET_TAG in found:
        found[CHARACTER_SET_TAG] = UTF_8
    return found


def stored(one: DataElement) -> dict[str, Any]:
    """Return an element of a data set; without a value if that cannot be told in its VR."""
    try:
        if one.VR == "SQ":
            return {"vr": "SQ", "Value": [data_set(item) for item in one.value]} if one.value else {"vr": "SQ"}
        return one.to_json_dict(None, 0)
    except PYDICOM_ERRORS:
        return {"vr": one.VR}


def _value(vr: str, value: Any) -> Any:
    text = str(value)
    if vr == "PN":
        groups = {name: group for name, group in zip(_GROUPS, text.split("="), strict=False) if group}
        return groups or None
    if vr == "IS" or (vr in BINARY_NUMBERS and vr not in FLOAT_VRS):
        return int(text) if _INTEGER.fullmatch(text.strip()) else text
    if vr == "DS" or vr in FLOAT_VRS:
        return float(text) if _DECIMAL.fullmatch(text.strip()) else text
    return text or None


def native_model(content: Mapping[str, Any]) -> bytes:
    """Return a data set in DICOM JSON as a document of the Native DICOM Model (PS3.19 A.1)."""
    body = "".join(_attributes(content))
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">{body}</NativeDicomModel>'.encode()


def _attributes(content: Mapping[str, Any]) -> Iterator[str]:
    for tag, each in content.items():
        keyword = keyword_for_tag(int(tag, 16))
        named = f' keyword="{escape(keyword)}"' if keyword else ""
        inner = "".join(_inner(each))
        yield f'<DicomAttribute tag="{tag}" vr="{each["vr"]}"{named}>{inner}</DicomAttribute>'


def _inner(each: Mapping[str, Any]) -> Iterator[str]:
    if "BulkDataURI" in each:
        yield f'<BulkData uri="{escape(each["BulkDataURI"])}"/>'
    if "InlineBinary" in each:
        yield f"<InlineBinary>{each['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(each.get("Value", ()), start=1):
        if each["vr"] == "SQ":
            yield f'<Item number="{number}">{"".join(_attributes(value or {}))}</Item>'
        elif each["vr"] == "PN":
            yield f'<PersonName number="{number}">{"".join(_person(value or {}))}</PersonName>'
        elif value is not None:
            yield f'<Value number="{number}">{_text(value)}</Value>'


def _person(groups: Mapping[str, str]) -> Iterator[str]:
    parts = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
    for name in _GROUPS:
        if group := groups.get(name):
            named = zip(parts, group.split("^"), strict=False)
            inner = "".join(f"<{part}>{_text(text)}</{part}>" for part, text in named if text)
            yield f"<{name}>{inner}</{name}>"


def _text(value: Any) -> str:
    return escape(_NO_XML.sub("\ufffd", str(value)))
