"""The keys of queries: a row for each attribute of the index, with the matching that its VR allows."""

from __future__ import annotations

from medserver.conformance.document import Table
from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, Attribute, at_level
from medserver.dicom.values import NUMBER_VRS, RANGE_VRS, WILD_CARD_VRS

_KEY_TYPES = {"U": "unique", "R": "required", "O": "optional"}


def kinds_of_matching(attribute: Attribute) -> str:
    """Return the kinds of matching of PS3.4 C.2.2.2 for an attribute, besides universal matching."""
    if attribute.level == EVERY_LEVEL:
        return "none, return key only"
    if attribute.vr == "UI":
        return "single value, list of UID"
    if attribute.vr == "SQ":
        return "sequence"
    if attribute.vr in RANGE_VRS:
        return "single value, range"
    if attribute.vr == "PN":
        return "single value, wild card; without regard to case and accents"
    if attribute.vr in WILD_CARD_VRS:
        return "single value, wild card"
    if attribute.vr in NUMBER_VRS:
        return "single value, as a number"
    return "single value"


def tag_text(tag: int) -> str:
    """Return a tag as the standard writes it: ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def keys_table(level: str) -> Table:
    """Return the keys of one level, or those of every level."""
    rows = tuple(
        (
            attribute.keyword,
            tag_text(attribute.tag),
            attribute.vr,
            _KEY_TYPES[attribute.key_type],
            kinds_of_matching(attribute),
            "computed" if attribute.computed else "received",
        )
        for attribute in at_level(level)
    )
    title = "Keys at every level" if level == EVERY_LEVEL else f"Keys of the {level} level"
    return Table(title, ("Attribute", "Tag", "VR", "Key type", "Matching", "Value"), rows)


def keys_tables() -> tuple[Table, ...]:
    """Return the tables of all levels, from the top down."""
    return tuple(keys_table(level) for level in (*LEVELS, EVERY_LEVEL))
