"""Reading and writing values in the DICOM JSON of a work item (PS3.18 F.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from medserver.index import WorkitemKeys

if TYPE_CHECKING:
    from medserver.dicom.json_model import JSON

TRANSACTION_UID = "00081195"
KEY_LENGTH_MAX = 256


@cache
def tag_of(keyword: str) -> str:
    """Return the tag of an attribute as DICOM JSON names it.

    Raises
    ------
    ValueError
        There is no such attribute.
    """
    from pydicom.datadict import tag_for_keyword  # the dictionary takes a while to load, and some commands do without

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not an attribute")
    return f"{tag:08X}"


def element(keyword: str, *values: Any) -> dict[str, Any]:
    """Return an element, without a value if none is given."""
    vr = _vr_of(keyword)
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


@cache
def _vr_of(keyword: str) -> str:
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(keyword)


def data_set(**values: Any) -> dict[str, Any]:
    """Return a data set by keywords: a list is several values or items, None is no value."""
    return {tag_of(keyword): element(keyword, *_listed(value)) for keyword, value in values.items()}


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def value(content: JSON, keyword: str) -> str:
    """Return the first value of an attribute as a text, empty if there is none, or it is of a sequence."""
    found = content.get(tag_of(keyword)) or {}
    first = (found.get("Value") or [""])[0]
    if isinstance(first, Mapping):
        return str(first.get("Alphabetic", "")) if found.get("vr") == "PN" else ""
    return "" if first is None else str(first).strip()


def items(content: JSON, keyword: str) -> Sequence[JSON]:
    """Return the items of a sequence; none if a peer has sent it as something else."""
    found = content.get(tag_of(keyword)) or {}
    return found.get("Value") or () if found.get("vr") == "SQ" else ()


def has(content: JSON, keyword: str) -> bool:
    """Tell whether an attribute is there, with or without a value."""
    return tag_of(keyword) in content


def has_value(content: JSON, keyword: str) -> bool:
    """Tell whether an attribute has a value, or a sequence an item with anything in it."""
    return any((content.get(tag_of(keyword)) or {}).get("Value") or ())


def first_item(content: JSON, keyword: str) -> dict[str, Any]:
    """Return a copy of the first item of a sequence, an empty one if it has none."""
    return dict(next(iter(items(content, keyword)), {}))


def code(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    """Return the item of a code sequence (PS3.3 table 8.8-1)."""
    return data_set(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def code_of(item: JSON) -> tuple[str, str]:
    """Return the value and the scheme of the item of a code sequence."""
    return value(item, "CodeValue") or value(item, "LongCodeValue"), value(item, "CodingSchemeDesignator")


def moment(at: datetime) -> str:
    """Return a moment as a DT (PS3.5 6.2)."""
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def keys_of(content: JSON) -> WorkitemKeys:
    """Return what an item is searched by."""
    type_code, type_scheme = code_of(first_item(content, "ScheduledWorkitemCodeSequence"))
    return WorkitemKeys(
        priority=key_of(value(content, "ScheduledProcedureStepPriority")),
        start_at=key_of(_start_at(content)),
        label=key_of(value(content, "ProcedureStepLabel")),
        worklist_label=key_of(value(content, "WorklistLabel")),
        type_code=key_of(type_code),
        type_scheme=key_of(type_scheme),
        patient_id=key_of(value(content, "PatientID")),
    )


def key_of(text: str) -> str:
    """Return the text by which a value is searched: one that each database takes into a column, and into its index.

    Several values may have the same one: whoever is found by it is looked at.
    """
    return text.replace("\0", "").encode(errors="replace").decode()[:KEY_LENGTH_MAX]


def _start_at(content: JSON) -> str:
    """Return when an item is to begin, with the offset that the whole data set has (PS3.3 C.12.1.1.8)."""
    start = value(content, "ScheduledProcedureStepStartDateTime")
    has_offset = "+" in start or "-" in start
    return start if has_offset or not start else start + value(content, "TimezoneOffsetFromUTC")


def text_of(content: JSON) -> str:
    """Return a data set as the row keeps it."""
    return json.dumps(content, separators=(",", ":"))


def content_of(text: str) -> dict[str, Any]:
    """Return the data set that a row keeps."""
    return json.loads(text)


def only(content: JSON, keywords: Iterable[str]) -> dict[str, Any]:
    """Return some attributes of a data set, of those that it has."""
    return {tag: content[tag] for tag in map(tag_of, keywords) if tag in content}
