"""Objects to put into an index."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from medserver.dicom.attributes import value_representation
from medserver.dicom.matching import Condition, parse_key
from medserver.dicom.part10 import Original
from medserver.index import Index, InstanceRecord, Query

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
J2K = "1.2.840.10008.1.2.4.90"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

_FIELDS = (
    "sop_class_uid",
    "transfer_syntax_uid",
    "digest",
    "path",
    "duplicates",
    "calling_ae_title",
    "received_at",
)


def record(study: int = 1, series: int = 1, number: int = 1, **changes: Any) -> InstanceRecord:
    """Make an object.

    Parameters
    ----------
    study, series, number : int
        Which study, which series of it, which instance of that: they make the UIDs.
    **changes
        Columns of attributes, or parameters of `InstanceRecord`, that are to differ.
    """
    values: dict[str, str | None] = {
        "patient_id": f"P{study}",
        "patient_name": f"Doe^John{study}",
        "study_instance_uid": f"1.2.{study}",
        "series_instance_uid": f"1.2.{study}.{series}",
        "sop_instance_uid": f"1.2.{study}.{series}.{number}",
        "modality": "CT",
        "instance_number": str(number),
    }
    content = changes.pop("content", "")
    fields = {name: changes.pop(name) for name in _FIELDS if name in changes}
    values |= changes
    uid = str(values["sop_instance_uid"])
    digest = sha256(f"{uid}{content}".encode()).hexdigest()
    defaults = {
        "sop_class_uid": CT,
        "transfer_syntax_uid": EXPLICIT,
        "received_at": NOON,
        "calling_ae_title": "CT1",
        "digest": digest,
        "path": f"2026/{digest}.dcm",
    }
    return InstanceRecord(
        sop_instance_uid=uid,
        values=values,
        volume="main",
        data_set_offset=300,
        size_bytes=1000,
        meta_digest=sha256(b"meta").hexdigest(),
        **(defaults | fields),
    )


def compressed(original: InstanceRecord) -> InstanceRecord:
    """Return the compressed form of an object."""
    was = Original(original.transfer_syntax_uid, original.digest, original.size_bytes, "9" * 64)
    changes = {"digest": "c" * 64, "path": "compressed.dcm", "transfer_syntax_uid": J2K, "size_bytes": 300}
    return replace(original, **changes, duplicates="replace", original=was)


def conditions(**keys: Any) -> tuple[Condition, ...]:
    """Parse the keys of an identifier, given as keyword = value."""
    parsed = (parse_key(keyword, value_representation(keyword), value) for keyword, value in keys.items())
    return tuple(condition for condition in parsed if condition is not None)


def find(index: Index, level: str, *return_keys: str, **keys: Any) -> list[Any]:
    """Query an index, and return the answers in a stable order.

    With one return key the values themselves are returned, with several one tuple an answer.
    """
    answers = index.find(Query(level, conditions(**keys), return_keys))
    rows = [tuple(answer[keyword] for keyword in return_keys) for answer in answers]
    return sorted((row[0] if len(row) == 1 else row for row in rows), key=repr)


def forget(index: Index, volume: str, path: str) -> bool:
    """Take the row of a file from an index, as a power cut can; tell whether it was there."""
    copy = index.location(volume, path)
    if copy is None:
        return False
    index.release([copy])
    return True
