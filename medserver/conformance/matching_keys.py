"""The keys of queries: a row for each attribute of the index, with the matching that its VR allows."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, tag_for_keyword

from medserver.conformance.document import Table
from medserver.dicom.acquisition import units
from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, Attribute, at_level, attribute
from medserver.dicom.representations import NUMBER_VRS, RANGE_VRS, WILD_CARD_VRS

_KEY_TYPES = {"U": "unique", "R": "required", "O": "optional"}


def kinds_of_matching(row: Attribute) -> str:
    """Return the kinds of matching of PS3.4 C.2.2.2 for an attribute, besides universal matching."""
    if row.level == EVERY_LEVEL:
        return "none, return key only"
    if row.vr == "UI":
        return "single value, list of UID"
    if row.vr == "SQ":
        return "sequence"
    if row.vr in RANGE_VRS:
        return "single value, range"
    if row.vr == "PN":
        return "single value, wild card; without regard to case and accents"
    if row.vr in WILD_CARD_VRS:
        return "single value, wild card"
    if row.vr in NUMBER_VRS:
        return "single value, as a number"
    return "single value"


def tag_text(tag: int) -> str:
    """Return a tag as the standard writes it: ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def keys_table(level: str) -> Table:
    """Return the keys of one level, or those of every level."""
    rows = tuple(
        (
            row.keyword,
            tag_text(row.tag),
            row.vr,
            _KEY_TYPES[row.key_type],
            kinds_of_matching(row),
            "computed" if row.computed else "received",
        )
        for row in at_level(level)
    )
    title = "Keys at every level" if level == EVERY_LEVEL else f"Keys of the {level} level"
    return Table(title, ("Attribute", "Tag", "VR", "Key type", "Matching", "Value"), rows)


def keys_tables() -> tuple[Table, ...]:
    """Return the tables of all levels, from the top down, and that of the conditions of acquisition."""
    return (*(keys_table(level) for level in (*LEVELS, EVERY_LEVEL)), acquisition_keys_table())


@dataclass(frozen=True, slots=True)
class AcquisitionKey:
    """A condition of acquisition as a key.

    Parameters
    ----------
    keyword : str
        Its keyword; for one in a sequence with that before a dot.
    tag : int
        Group and element.
    vr, unit : str
        Its VR, and its unit, empty if it has none.
    """

    keyword: str
    tag: int
    vr: str
    unit: str


def acquisition_keys() -> tuple[AcquisitionKey, ...]:
    """Return the conditions of acquisition that are keys at the SERIES and IMAGE level, in the order of keywords."""
    found = []
    for keyword, unit in sorted(units().items()):
        tag = tag_for_keyword(keyword.rpartition(".")[2])
        if attribute(keyword) is None and tag is not None:
            found.append(AcquisitionKey(keyword, int(tag), dictionary_VR(tag), unit))
    return tuple(found)


def acquisition_keys_table() -> Table:
    """Return the conditions of acquisition with their units."""
    rows = tuple((key.keyword, tag_text(key.tag), key.vr, key.unit or "none") for key in acquisition_keys())
    title = "Conditions of acquisition, keys of the SERIES and IMAGE level"
    return Table(title, ("Attribute", "Tag", "VR", "Unit"), rows)
