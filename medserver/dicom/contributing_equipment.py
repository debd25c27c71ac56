"""What this software writes into Contributing Equipment Sequence of the images that it makes (PS3.3 C.12.1.1.5)."""

from __future__ import annotations

from pydicom.dataset import Dataset

MANUFACTURER = "medserver"


def processing_type_of(item: Dataset) -> str | None:
    """Return the type of processing that an item names, None if it is of other equipment."""
    if str(item.get("Manufacturer") or "") != MANUFACTURER:
        return None
    return str(item.get("ContributionDescription") or "").partition(" ")[0] or None
