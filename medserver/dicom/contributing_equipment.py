"""The names of this software in what it makes, and in its Contributing Equipment Sequence (PS3.3 C.12.1.1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER = "medserver"

CODING_SCHEME = "99MEDSERVER"
"""The Coding Scheme Designator of its own codes (PS3.3 8.2): types of processing, their parameters, some reasons."""


def processing_type_of(item: Dataset) -> str | None:
    """Return the type of processing that an item names, None if it is of other equipment."""
    if str(item.get("Manufacturer") or "") != MANUFACTURER:
        return None
    return str(item.get("ContributionDescription") or "").partition(" ")[0] or None
