"""The table of VRs, beside pydicom's."""

from __future__ import annotations

from struct import calcsize

import pytest
from pydicom import valuerep

from medserver.dicom import representations


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (representations.VALID, valuerep.STANDARD_VR),
        (representations.LONG_LENGTH, valuerep.EXPLICIT_VR_LENGTH_32),
        (representations.TEXT_VRS, valuerep.CUSTOMIZABLE_CHARSET_VR),
        (representations.DEFAULT_REPERTOIRE_VRS, valuerep.DEFAULT_CHARSET_VR),
        (representations.MULTIPLE_TEXT_VRS, valuerep.STR_VR - valuerep.ALLOW_BACKSLASH - {"UR"}),
    ],
    ids=["valid", "length", "text", "default repertoire", "multiple"],
)
def test_sets_of_vrs_are_pydicoms(ours: frozenset[str], theirs: set[str]) -> None:
    assert set(ours) == set(map(str, theirs))


def test_numbers_have_the_size_of_their_unit() -> None:
    for vr, letter in representations.BINARY_NUMBERS.items():
        assert calcsize("<" + letter) == representations.UNIT_SIZES_BYTES[vr]
        assert vr in representations.NUMBER_VRS


@pytest.mark.parametrize(
    ("tag", "vr"),
    [(0x00100010, "PN"), (0x00090010, "LO"), (0x00091001, "UN"), (0x00280106, "US or SS"), (0x00080000, "UL")],
)
def test_vr_of_a_tag(tag: int, vr: str) -> None:
    assert representations.representation_of(tag) == vr
