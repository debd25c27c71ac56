"""What this server writes into Contributing Equipment Sequence of what it makes (PS3.3 C.12.1), and reads from it."""

from __future__ import annotations

from pydicom.dataset import Dataset

SCHEME = "99MEDSERVER"
"""The Coding Scheme Designator of the types of processing and of their parameters."""


def processing_type_of(item: Dataset) -> str | None:
    """Return the type of processing that an item names, None if it is of something else."""
    purposes = item.get("PurposeOfReferenceCodeSequence") or ()
    for code in purposes:
        if code.get("CodingSchemeDesignator") == SCHEME:
            return str(code.get("CodeValue") or "") or None
    return None
