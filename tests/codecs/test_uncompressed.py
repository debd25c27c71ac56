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
)
from tests.codecs.stored import StoredObject, data_set_offset, flattened, uncompressed
from tests.failures import Failures
from tests.peers import requires
from tests.peers.process import run

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files

LITTLE_ENDIAN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
Transcoded = dict[StoredObject, dict[str, StoredObject]]


@pytest.fixture(scope="module")
def transcoded(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Transcoded:
    """Give every uncompressed object in every transfer syntax that it can be brought into."""
    directory = tmp_path_factory.mktemp("transcoded")
    return {
        one: {uid: one.transcoded(uid, workers, directory) for uid in targets(one.transfer_syntax_uid)}
        for one in uncompressed()
    }


def test_there_are_enough_objects() -> None:
    assert len(uncompressed()) > 130
    assert {each.transfer_syntax_uid for each in uncompressed()} == {
        *LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    }  # fmt: skip


def test_little_endian_values_stay_what_pydicom_reads(transcoded: Transcoded) -> None:
    """In big endian pydicom does not swap OW; `test_dcmtk_reads_the_same_values` covers that."""
    with Failures() as failures:
        for one, others in transcoded.items():
            if one.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN:
                continue
            expected = [(path, value) for path, _, value in flattened(one.read())]
            for uid in LITTLE_ENDIAN:
                if uid in others:
                    with failures.of(f"{one.name} in {uid}"):
                        assert [(path, value) for path, _, value in flattened(others[uid].read())] == expected


def test_explicit_vrs_are_those_that_pydicom_writes(transcoded: Transcoded) -> None:
    with Failures() as failures:
        for one, others in transcoded.items():
            if one.transfer_syntax_uid != IMPLICIT_VR_LITTLE_ENDIAN:
                continue
            with failures.of(one.name):
                dataset = one.read()
                correct_ambiguous_vr(dataset, True)
                # A private VR that only pydicom's private dictionary knows is written as UN, which is always right
                expected = {path: vr for path, vr, _ in flattened(dataset) if not path[-1] >> 16 & 1}
                found = flattened(others[EXPLICIT_VR_LITTLE_ENDIAN].read())
                assert {path: vr for path, vr, _ in found if not path[-1] >> 16 & 1} == expected


def test_big_endian_there_and_back(transcoded: Transcoded, workers: Workers, tmp_path: Path) -> None:
    """The way through the others returns to the same bytes, once sequences have undefined length."""
    with Failures() as failures:
        for one, others in transcoded.items():
            with failures.of(one.name):
                first, second, last = _cycle(one)
                normal = others[first]
                there = normal.transcoded(second, workers, tmp_path)
                assert there.data_set != normal.data_set
                assert there.transcoded(last, workers, tmp_path).data_set == normal.data_set


def _cycle(one: StoredObject) -> tuple[str, str, str]:
    if one.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
        return EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN
    return EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN


def test_dcmtk_reads_the_same_values(transcoded: Transcoded, tmp_path: Path) -> None:
    requires("dcmtk")
    objects = [one for original, others in transcoded.items() for one in (original, *others.values())]
    normalised = iter(_normalised_by_dcmtk(objects, tmp_path))
    with Failures() as failures:
        for original, others in transcoded.items():
            expected = next(normalised)
            for uid in others:
                with failures.of(f"{original.name} in {uid}"):
                    assert next(normalised) == expected


def _normalised_by_dcmtk(objects: list[StoredObject], directory: Path) -> list[bytes]:
    """Return the data sets as DCMTK writes them in Implicit VR Little Endian.

    There VRs have no say any more, and values are as DCMTK has read them. dcmodify takes many files at a time, and
    erases an element that none of them has.
    """
    paths = [directory / f"{number}.dcm" for number in range(len(objects))]
    for path, one in zip(paths, objects, strict=True):
        path.write_bytes(one.part10())
    options = ["--no-backup", "--write-xfer-implicit", "--group-length-remove", "--length-undefined"]
    run(["dcmodify", *options, "--ignore-missing-tags", "--erase", "(0009,ff77)", *paths]).check()
    return [path.read_bytes()[data_set_offset(io.BytesIO(path.read_bytes())) :] for path in paths]


def test_big_endian_pixels_are_those_that_pydicom_decodes(transcoded: Transcoded) -> None:
    """Those of up to 16 bits.

    For longer ones pydicom and DCMTK differ in big endian: pydicom swaps the whole sample, DCMTK and PS3.5 6.2
    the 16-bit words of OW.
    """
    with Failures() as failures:
        for one, others in transcoded.items():
            dataset = one.read()
            if "PixelData" not in dataset or not 0 < dataset.get("BitsAllocated", 0) <= 16:
                continue
            with failures.of(one.name):
                big = one.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN
                found = others[EXPLICIT_VR_LITTLE_ENDIAN if big else EXPLICIT_VR_BIG_ENDIAN]
                np.testing.assert_array_equal(found.read().pixel_array, dataset.pixel_array)
