"""Objects between the uncompressed transfer syntaxes, read by pydicom and by DCMTK."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom.filewriter import correct_ambiguous_vr

from medserver.codecs import Workers, targets
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from tests.codecs.stored import StoredObject, data_set_offset, flattened, uncompressed
from tests.peers import requires
from tests.peers.process import run

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files

OBJECTS = [pytest.param(each, id=each.name) for each in uncompressed()]
LITTLE_ENDIAN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


def _of(syntaxes: tuple[str, ...]) -> list:
    return [each for each in OBJECTS if each.values[0].transfer_syntax_uid in syntaxes]


def _with_pixels() -> list:
    """Return the objects with pixels of up to 16 bits.

    For longer ones pydicom and DCMTK differ in big endian: pydicom swaps the whole sample, DCMTK and PS3.5 6.2
    the 16-bit words of OW.
    """
    return [each for each in OBJECTS if 0 < _bits_allocated(each.values[0]) <= 16]


def _bits_allocated(stored: StoredObject) -> int:
    dataset = stored.read()
    return dataset.get("BitsAllocated", 0) if "PixelData" in dataset else 0


@pytest.mark.parametrize("stored", _of((*LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)))
def test_little_endian_values_stay_what_pydicom_reads(
    stored: StoredObject, workers: Workers, tmp_path: Path
) -> None:
    """In big endian pydicom does not swap OW; `test_dcmtk_reads_the_same_values` covers that."""
    expected = [(path, value) for path, _, value in flattened(stored.read())]
    for uid in LITTLE_ENDIAN:
        if uid in targets(stored.transfer_syntax_uid):
            found = flattened(stored.transcoded(uid, workers, tmp_path).read())
            assert [(path, value) for path, _, value in found] == expected


@pytest.mark.parametrize("stored", _of((IMPLICIT_VR_LITTLE_ENDIAN,)))
def test_explicit_vrs_are_those_that_pydicom_writes(
    stored: StoredObject, workers: Workers, tmp_path: Path
) -> None:
    dataset = stored.read()
    correct_ambiguous_vr(dataset, True)
    # A private VR that only pydicom's private dictionary knows is written as UN, which is always right
    expected = {path: vr for path, vr, _ in flattened(dataset) if not path[-1] >> 16 & 1}
    found = flattened(stored.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path).read())
    assert {path: vr for path, vr, _ in found if not path[-1] >> 16 & 1} == expected


@pytest.mark.parametrize("stored", OBJECTS)
def test_big_endian_there_and_back(stored: StoredObject, workers: Workers, tmp_path: Path) -> None:
    """The way through the others returns to the same bytes, once sequences have undefined length."""
    first, *others = _cycle(stored)
    normal = stored.transcoded(first, workers, tmp_path)
    there = normal
    for uid in others:
        there = there.transcoded(uid, workers, tmp_path)
        if uid != first:
            assert there.data_set != normal.data_set
    assert there.data_set == normal.data_set


def _cycle(stored: StoredObject) -> tuple[str, str, str]:
    if stored.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN
    return EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize("stored", OBJECTS)
def test_dcmtk_reads_the_same_values(stored: StoredObject, workers: Workers, tmp_path: Path) -> None:
    requires("dcmtk")
    expected = _normalised_by_dcmtk(stored, tmp_path)
    for uid in targets(stored.transfer_syntax_uid):
        transcoded = stored.transcoded(uid, workers, tmp_path)
        assert _normalised_by_dcmtk(transcoded, tmp_path) == expected, uid


def _normalised_by_dcmtk(stored: StoredObject, directory: Path) -> bytes:
    """Return the data set as DCMTK writes it in Implicit VR Little Endian.

    There VRs have no say any more, and values are as DCMTK has read them.
    """
    source, normal = directory / "source.dcm", directory / "normal.dcm"
    source.write_bytes(stored.part10())
    run(
        ["dcmconv", "--write-xfer-implicit", "--group-length-remove", "--length-undefined", source, normal]
    ).check()
    file = io.BytesIO(normal.read_bytes())
    return file.getvalue()[data_set_offset(file) :]


@pytest.mark.parametrize("stored", _with_pixels())
def test_big_endian_pixels_are_those_that_pydicom_decodes(
    stored: StoredObject, workers: Workers, tmp_path: Path
) -> None:
    dataset = stored.read()
    if stored.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
        found = stored.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    else:
        found = stored.transcoded(EXPLICIT_VR_BIG_ENDIAN, workers, tmp_path)
    assert transfer_syntax(found.transfer_syntax_uid).native
    np.testing.assert_array_equal(found.read().pixel_array, dataset.pixel_array)


def test_there_are_enough_objects() -> None:
    syntaxes = {each.transfer_syntax_uid for each in uncompressed()}
    assert len(uncompressed()) > 60
    assert len(syntaxes) == 4, "implicit, explicit, big endian, deflated"
