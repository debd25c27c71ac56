"""Data sets of what the index keeps of stored headers."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.dataset import Dataset

SEQUENCE_ELEMENTS_MAX = 20_000
"""How many elements and items a sequence of a stored header may have."""


def dataset_of(item: Mapping[str, Mapping]) -> Dataset:
    """Return an item of DICOM JSON (PS3.18 F.2) with text values, as the index keeps it, as a data set."""
    dataset = Dataset()
    for tag, element in item.items():
        dataset.add_new(int(tag, 16), element["vr"], "\\".join(element.get("Value", ())) or None)
    return dataset
