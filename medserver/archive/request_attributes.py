"""The Request Attributes Sequence (0040,0275) as the index keeps it.

That is the text of a DICOM JSON array of items (PS3.18 F.2.2). Only the attributes that people search by are
kept of an item; the whole sequence is in the stored header.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydicom.datadict import keyword_for_tag

from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET, decode_text, read_specific_character_set
from medserver.dicom.elements import scan_elements, split_items
from medserver.dicom.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, transfer_syntax

ITEMS_MAX = 100

_ITEM_ATTRIBUTES = {
    0x00080050: "SH",  # Accession Number
    0x0020000D: "UI",  # Study Instance UID
    0x00321060: "LO",  # Requested Procedure Description
    0x00400007: "LO",  # Scheduled Procedure Step Description
    0x00400009: "SH",  # Scheduled Procedure Step ID
    0x00401001: "SH",  # Requested Procedure ID
    0x00401002: "LO",  # Reason for the Requested Procedure
}
REQUEST_ATTRIBUTES_ITEM_KEYWORDS = frozenset(map(keyword_for_tag, _ITEM_ATTRIBUTES))
"""What the index can match and return of an item."""

_WANTED = frozenset(_ITEM_ATTRIBUTES) | {SPECIFIC_CHARACTER_SET}


def sequence_as_json(raw: bytes, vr: str, character_sets: Sequence[str], syntax: TransferSyntax) -> str | None:
    """Return the items of an encoded sequence.

    Parameters
    ----------
    raw : bytes
        The value of the sequence.
    vr : str
        As encoded: the items of a sequence that is sent as UN are in implicit VR little endian (PS3.5 6.2.2).
    character_sets : sequence of str
        Of the data set; an item may have its own.
    syntax : TransferSyntax
        Of the data set.

    Returns
    -------
    str or None
        None if there is no item that can be read.
    """
    if vr == "UN":
        syntax = transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN)
    items = [_item(item, character_sets, syntax) for item in split_items(raw, syntax).items[:ITEMS_MAX]]
    return json.dumps(items, ensure_ascii=False, separators=(",", ":")) if items else None


def _item(raw: bytes, character_sets: Sequence[str], syntax: TransferSyntax) -> dict[str, dict]:
    values = scan_elements(raw, syntax, _WANTED).values
    if SPECIFIC_CHARACTER_SET in values:
        character_sets = read_specific_character_set(values[SPECIFIC_CHARACTER_SET][1])
    item: dict[str, dict] = {}
    for tag, vr in _ITEM_ATTRIBUTES.items():
        if tag in values:
            text = decode_text(values[tag][1], vr, character_sets).replace("\0", "")
            item[f"{tag:08X}"] = {"vr": vr, "Value": text.split("\\")} if text else {"vr": vr}
    return item
