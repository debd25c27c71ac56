"""`compress`: what is lost, what is said of it, and what is refused."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from medserver import errors
from tests.processing import phantoms
from tests.processing.conftest import Process

SMOOTH = np.rint(2000 + 900 * np.sin(np.arange(128) / 9)[:, None] * np.cos(np.arange(96) / 7)).astype(np.uint16)
NOISY = SMOOTH + np.random.default_rng(53).integers(0, 60, SMOOTH.shape).astype(np.uint16)


def test_it_is_shorter_and_nearly_the_same(process: Process):
    [made] = process("compress", [phantoms.ct_slice(NOISY)], ratio=8)
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.91"
    assert len(made.PixelData) < NOISY.nbytes / 6
    difference = pydicom.pixels.pixel_array(made, raw=True).astype(int) - NOISY
    assert 0 < np.abs(difference).max() < 80
    assert made.LossyImageCompression == "01" and made.LossyImageCompressionMethod == "ISO_15444_1"
    assert float(made.LossyImageCompressionRatio) == pytest.approx(NOISY.nbytes / len(made.PixelData), rel=0.01)
    assert [code.CodeValue for code in made.DerivationCodeSequence] == ["113040"]
    assert made.SOPClassUID == phantoms.CT and made.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert str(made.PatientName) == "Müller^Jörg"


def test_each_loss_is_told(process: Process, tmp_path):
    [once] = process("compress", [phantoms.ct_slice(NOISY)], ratio=4)
    folder = tmp_path / "again"
    folder.mkdir()
    once.save_as(folder / "1.dcm", enforce_file_format=True)
    [twice] = process("compress", folder, ratio=10)
    assert len(twice.LossyImageCompressionRatio) == len(twice.LossyImageCompressionMethod) == 2


def test_a_repeat_makes_the_same(process: Process):
    instances = phantoms.ct_series(np.array([NOISY, SMOOTH]))
    whole = process("compress", instances)
    assert process("compress", instances, selection=[2]) == whole[1:] and len(whole) == 2


def test_colours(process: Process):
    colours = np.stack([NOISY // 16] * 3, axis=-1).astype(np.uint8)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "US"), colours, interpretation="RGB")
    source.ConversionType, source.PatientOrientation = "WSD", ""
    [made] = process("compress", [source])
    assert made.PhotometricInterpretation == "YBR_ICT"
    assert np.abs(made.pixel_array.astype(int) - colours).mean() < 10


def test_what_is_refused(process: Process):
    indices = (SMOOTH // 16).astype(np.uint16)
    palette = phantoms.ct_slice(indices, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(errors.ObjectTypeNotSupported, match="cannot be compressed"):
        process("compress", [palette])
    with pytest.raises(errors.UnusableParameters, match="ratio is 1"):
        process("compress", [phantoms.ct_slice(NOISY)], ratio=1)
