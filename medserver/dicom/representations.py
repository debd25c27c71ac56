"""Value representations: the one table of what each is (PS3.5 6.2, 7.1.2), and which an element has.

Who reads, writes, decodes or compares values asks this table.
"""

from __future__ import annotations

from functools import lru_cache

# VR, bytes of a unit, letter that `struct` has for a binary number, and flags: L for a length of 32 bits; t for text in
# Specific Character Set, d for text in the default repertoire; m for several values with a backslash between them; s
# for significant leading spaces; w for wild cards, r for ranges, n for numbers, b for bytes that no query can ask for.
_TABLE = tuple(line.split() for line in """
    AE 1 - dmw
    AS 1 - dm
    AT 2 - -
    CS 1 - dmw
    DA 1 - dmr
    DS 1 - dmn
    DT 1 - dmr
    FD 8 d n
    FL 4 f n
    IS 1 - dmn
    LO 1 - tmw
    LT 1 - tsw
    OB 1 - Lb
    OD 8 - Lb
    OF 4 - Lb
    OL 4 - Lb
    OV 8 - Lb
    OW 2 - Lb
    PN 1 - tmw
    SH 1 - tmw
    SL 4 i n
    SQ 1 - L
    SS 2 h n
    ST 1 - tsw
    SV 8 q Ln
    TM 1 - dmr
    UC 1 - Ltmsw
    UI 1 - dm
    UL 4 I n
    UN 1 - Lb
    UR 1 - Ldsw
    US 2 H n
    UT 1 - Ltsw
    UV 8 Q Ln
""".strip().splitlines())


def _having(flag: str) -> frozenset[str]:
    return frozenset(vr for vr, _, _, flags in _TABLE if flag in flags)


VALID = frozenset(vr for vr, *_ in _TABLE)
"""Every VR of the standard."""

LONG_LENGTH = _having("L")
"""VRs whose length has 32 bits and stands after two reserved bytes in explicit VR (PS3.5 7.1.2)."""

UNIT_SIZES_BYTES = {vr: int(unit) for vr, unit, _, _ in _TABLE if unit != "1"}
"""The VRs whose bytes are swapped when the byte order changes (PS3.5 7.3), and what is swapped; AT is a pair of 16-bit
numbers (PS3.5 6.2)."""

BINARY_NUMBERS = {vr: letter for vr, _, letter, _ in _TABLE if letter != "-"}
"""The VRs that are binary numbers, and the letter that `struct` has for each."""

FLOAT_VRS = frozenset(vr for vr, letter in BINARY_NUMBERS.items() if letter in "fd")
"""Those of them that need not be whole."""

TEXT_VRS = _having("t")
"""VRs that Specific Character Set has an effect on (PS3.5 6.1.2.3)."""

DEFAULT_REPERTOIRE_VRS = _having("d")
"""VRs of text that Specific Character Set has no effect on (PS3.5 6.1.2.3)."""

STRING_VRS = TEXT_VRS | DEFAULT_REPERTOIRE_VRS
"""VRs of text in either."""

MULTIPLE_TEXT_VRS = _having("m")
"""Texts of which there may be several; in the others a backslash is a character like others (PS3.5 6.4)."""

UNDIVIDED_VRS = STRING_VRS - MULTIPLE_TEXT_VRS
"""Texts of a single value."""

LEADING_SPACE_VRS = _having("s")
"""Texts in which spaces are padding only at the end (PS3.5 6.2)."""

WILD_CARD_VRS = _having("w")
"""Only in keys of these VRs are ``*`` and ``?`` wild cards (PS3.4 C.2.2.2.4)."""

RANGE_VRS = _having("r")
"""Only keys of these VRs can be ranges (PS3.4 C.2.2.2.5)."""

NUMBER_VRS = _having("n") | {"US or SS"}
"""Values of these VRs are compared as numbers."""

BULK_VRS = _having("b") | {"OB or OW"}
"""Values of these VRs are bytes, and no query can ask for one."""


@lru_cache(maxsize=8192)
def representation_of(tag: int) -> str:
    """Return the VR that the data dictionary (PS3.6) gives `tag`.

    Returns
    -------
    str
        A VR, several joined by " or " where other elements decide, or "UN" for an unknown tag.
    """
    from pydicom.datadict import dictionary_VR  # takes a while, and who only looks into the index does without

    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:  # PS3.5 7.8.1: the private creators of a private group
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    if element == 0:
        return "UL"
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"
