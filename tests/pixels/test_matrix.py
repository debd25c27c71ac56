"""Every kind of pixels comes back equal from every encoder, whoever decodes it, or is refused as the table says."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medserver.codecs import Workers, compress_with_loss
from medserver.dicom.syntax_names import SHORT_NAMES, short_name
from medserver.dicom.transfer_syntaxes import JPEG_2000, JPEG_2000_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests.codecs.images import stored
from tests.codecs.stored import StoredObject
from tests.failures import Failures
from tests.peers import requires
from tests.pixels.kinds import Kind, kinds
from tests.pixels.matrix import ENCODED, EQUAL, Matrix, refusal

HELD = {"j2k": 108, "htj2k": 104, "jpegls": 63, "rle": 108, "deflated": 153}
"""How many of the kinds are encoded: a table that refuses more would pass as well."""

COLOURS = Kind("RGB", 3, 8, 8, shape=(2, 33, 40), fill="slope")


@pytest.mark.parametrize("name", HELD)
def test_every_kind_of_pixels(name: str, workers: Workers, tmp_path: Path) -> None:
    """Slow: a thousand images, each of which three programs decode."""
    requires("gdcm", "dcmtk", "openjpeg")
    uid, matrix = SHORT_NAMES[name], Matrix(workers, tmp_path)
    with Failures() as failures, ThreadPoolExecutor(workers.count) as threads:
        outcomes = [(kind, threads.submit(matrix.outcome, kind, uid)) for kind in kinds()]
        for kind, outcome in outcomes:
            with failures.of(kind):
                assert outcome.result() == (refusal(kind, uid) or EQUAL)
    assert sum(outcome.result() == EQUAL for _, outcome in outcomes) == HELD[name]


def transformed(interpretation: str, workers: Workers, directory: Path) -> StoredObject:
    """Return colours as JPEG 2000 has them: reversibly transformed, or with loss."""
    one = stored(COLOURS.dataset())
    if interpretation == "YBR_RCT":
        return one.transcoded(JPEG_2000_LOSSLESS, workers, directory)
    how = (len(one.data_set), one.transfer_syntax_uid, 4.0, workers, directory)
    with compress_with_loss(io.BytesIO(one.data_set), *how) as (derived, _), derived.open() as data_set:
        return StoredObject("made", JPEG_2000, data_set.read())


@pytest.mark.parametrize("uid", ENCODED, ids=short_name)
@pytest.mark.parametrize("interpretation", ["YBR_RCT", "YBR_ICT"])
def test_colours_that_were_transformed(interpretation: str, uid: str, workers: Workers, tmp_path: Path) -> None:
    """They become RGB again, whose pixels no further encoder changes."""
    before = transformed(interpretation, workers, tmp_path)
    assert before.read().PhotometricInterpretation == interpretation
    native = before.transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert native.read().PhotometricInterpretation == "RGB"
    assert (native.read().PixelData == COLOURS.native()) == (interpretation == "YBR_RCT")
    if uid == before.transfer_syntax_uid:
        return
    back = before.transcoded(uid, workers, tmp_path).transcoded(EXPLICIT_VR_LITTLE_ENDIAN, workers, tmp_path)
    assert back.read() == native.read()
