"""Presentation LUTs as a Print SCU makes them.

References
----------
PS3.3 C.11.4, PS3.4 H.4.9.2.1
"""

from __future__ import annotations

import struct
from base64 import b64decode

from medserver.dicom.json_model import JSON
from medserver.errors import InvalidAttributeValue, MissingAttribute, MissingAttributeValue
from medserver.printing.attributes import text_of
from medserver.printing.film import PresentationLut
from medserver.workitems.content import first_item, has, tag_of, value

SHAPES = ("IDENTITY", "LIN OD")

ENTRIES = {8: 256, 12: 4096}
"""Bits Stored -> how many entries the table of an image has (PS3.4 H.4.9.2.1.1.1)."""

ENTRY_BITS = range(10, 17)


def presentation_lut_of(attributes: JSON) -> PresentationLut:
    """Return the Presentation LUT that attributes describe.

    Raises
    ------
    MissingAttribute, MissingAttributeValue
        There is neither a shape nor a table.
    InvalidAttributeValue
        There are both, or one that cannot be.
    """
    shape = value(attributes, "PresentationLUTShape")
    item = first_item(attributes, "PresentationLUTSequence")
    if shape and item:
        raise InvalidAttributeValue("Presentation LUT Shape and Presentation LUT Sequence exclude each other")
    if shape:
        if shape not in SHAPES:
            raise InvalidAttributeValue(f"PresentationLUTShape {shape[:16]!r} is none of {', '.join(SHAPES)}")
        return PresentationLut(shape)
    if not item:
        is_empty = has(attributes, "PresentationLUTShape") or has(attributes, "PresentationLUTSequence")
        missing = MissingAttributeValue if is_empty else MissingAttribute
        raise missing("Presentation LUT Shape or Presentation LUT Sequence is missing")
    return _table_of(item)


def _table_of(item: JSON) -> PresentationLut:
    for keyword in ("LUTDescriptor", "LUTData"):
        if not has(item, keyword):
            raise MissingAttributeValue(f"{keyword} of the Presentation LUT is missing")
    try:
        length, first, bits = (int(part) for part in text_of(item, "LUTDescriptor").split("\\"))
        table = _entries(item)
    except (ValueError, struct.error):
        raise InvalidAttributeValue("the LUT Descriptor or the LUT Data is none") from None
    if length not in ENTRIES.values() or first != 0 or bits not in ENTRY_BITS or len(table) != length:
        raise InvalidAttributeValue("a Presentation LUT has 256 or 4096 entries of 10 to 16 bits, from 0")
    if max(table) >= 1 << bits:
        raise InvalidAttributeValue("the LUT Data has entries beyond its bits")
    return PresentationLut("", first, bits, table)


def _entries(item: JSON) -> tuple[int, ...]:
    """Return LUT Data, which travels as numbers or as words."""
    inline = item[tag_of("LUTData")].get("InlineBinary")
    if inline is None:
        return tuple(int(part) & 0xFFFF for part in text_of(item, "LUTData").split("\\"))
    words = b64decode(inline)
    return struct.unpack(f"<{len(words) // 2}H", words)


def fits(lut: PresentationLut, bits_stored: int) -> bool:
    """Tell whether a Presentation LUT is for images of so many bits: a shape is for all."""
    return not lut.table or len(lut.table) == ENTRIES.get(bits_stored)
