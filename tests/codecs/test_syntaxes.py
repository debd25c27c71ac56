"""Which transfer syntaxes an object can be brought into."""

from __future__ import annotations

import pytest

from medserver.codecs import targets
from medserver.dicom.encodings import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, encoding_of
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.errors import TransferSyntaxNotSupported

ALL = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
MPEG4 = "1.2.840.10008.1.2.4.102"


def test_targets_leave_out_the_syntax_itself() -> None:
    assert targets(EXPLICIT_VR_LITTLE_ENDIAN) == (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert targets(IMPLICIT_VR_LITTLE_ENDIAN) == (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert targets(EXPLICIT_VR_BIG_ENDIAN) == (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("uid", [DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000_LOSSLESS, HTJ2K, RLE_LOSSLESS])
def test_what_can_be_decoded_goes_into_all_uncompressed_syntaxes(uid: str) -> None:
    assert targets(uid) == ALL


@pytest.mark.parametrize("uid", [MPEG4, "1.2.840.10008.1.2.4.94", "1.2.3", ""])
def test_what_cannot_be_decoded_goes_nowhere(uid: str) -> None:
    assert targets(uid) == ()


def test_encodings() -> None:
    assert encoding_of(IMPLICIT_VR_LITTLE_ENDIAN) == IMPLICIT_LITTLE
    assert encoding_of(EXPLICIT_VR_BIG_ENDIAN) == EXPLICIT_BIG
    assert encoding_of(RLE_LOSSLESS) == EXPLICIT_LITTLE
    with pytest.raises(TransferSyntaxNotSupported):
        encoding_of("1.2.3")
