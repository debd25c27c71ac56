"""`capture` and `montage`: what is seen, what is written in it, and what the header says of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medserver import errors
from tests.processing import phantoms
from tests.processing.conftest import Process

RNG = np.random.default_rng(11)
RAMP = np.arange(0, 4096, 4).reshape(32, 32).astype(np.uint16)


def test_a_window(process: Process):
    [made] = process("capture", [phantoms.ct_slice(RAMP)], window="100,200")
    hounsfield = RAMP.astype(float) - 1024
    expected = np.clip((hounsfield - 99.5) / 199 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(made.pixel_array - expected).max() <= 1
    assert made.SOPClassUID == phantoms.SECONDARY_CAPTURE and made.PhotometricInterpretation == "MONOCHROME2"
    assert (made.BitsStored, made.ConversionType, made.Modality) == (8, "WSD", "CT")
    assert list(made.ImageType) == ["DERIVED", "SECONDARY"]
    assert made.DerivationDescription == "Secondary capture, window 100/200"
    assert "BurnedInAnnotation" not in made and "PixelSpacing" not in made and "RescaleSlope" not in made
    assert str(made.PatientName) == "Müller^Jörg" and made.StudyDescription == "Abdömen"


def test_the_window_of_the_image_is_the_default(process: Process):
    [own] = process("capture", [phantoms.ct_slice(RAMP)])
    [said] = process("capture", [phantoms.ct_slice(RAMP)], window=[40, 400])
    np.testing.assert_array_equal(own.pixel_array, said.pixel_array)


def test_polarity_is_seen(process: Process):
    [made] = process("capture", [phantoms.radiograph(RAMP, interpretation="MONOCHROME1")], window="2048,4096")
    assert made.PhotometricInterpretation == "MONOCHROME2"
    assert made.pixel_array[0, 0] > 250 and made.pixel_array[-1, -1] < 5


@pytest.mark.parametrize("parameters", [{"patient": "yes"}, {"text": "for the board|M. 3"}, {"markers": "yes"}])
def test_what_is_written_in_is_said(process: Process, parameters: dict):
    source = phantoms.ct_slice(np.zeros((128, 128), np.uint16))
    [plain] = process("capture", [source])
    [made] = process("capture", [source], **parameters)
    assert made.BurnedInAnnotation == "YES"
    assert plain.pixel_array.max() == 0 and (made.pixel_array > 100).sum() > 20


def test_texts_stand_where_they_belong(process: Process):
    source = phantoms.ct_slice(np.zeros((128, 128), np.uint16))
    [left] = process("capture", [source], text="x")
    assert left.pixel_array[96:, :32].max() > 100 and left.pixel_array[:64].max() == 0
    [both] = process("capture", [source], text="x", patient="yes")
    assert both.pixel_array[:32, :64].max() > 100 and both.pixel_array[:32, 64:].max() > 100


def test_what_was_burned_in_stays_burned_in(process: Process):
    [made] = process("capture", [phantoms.ct_slice(RAMP, BurnedInAnnotation="YES")])
    assert made.BurnedInAnnotation == "YES"


def test_size(process: Process):
    [made] = process("capture", [phantoms.ct_slice(np.zeros((40, 20), np.uint16))], size=80)
    assert made.pixel_array.shape == (80, 40)


def test_colours_and_frames(process: Process):
    frames = RNG.integers(0, 255, (3, 16, 24)).astype(np.uint8)
    source = phantoms.with_pixels(phantoms.common("1.2.840.10008.5.1.4.1.1.7.2", "US"), frames)
    made = process("capture", [source], window="128,256")
    assert len(made) == 3
    for number, one in enumerate(made, 1):
        assert np.abs(one.pixel_array.astype(int) - frames[number - 1]).max() <= 1
        assert one.SourceImageSequence[0].ReferencedFrameNumber == number
    [second] = process("capture", [source], selection=[2])
    np.testing.assert_array_equal(second.pixel_array, made[1].pixel_array)
    colours = RNG.integers(0, 255, (16, 24, 3)).astype(np.uint8)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "US"), colours, interpretation="RGB")
    [made] = process("capture", [source])
    np.testing.assert_array_equal(made.pixel_array, colours)
    assert made.PhotometricInterpretation == "RGB"


def test_compressed_colours(process: Process, tmp_path: Path):
    colours = RNG.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "US"), colours, interpretation="RGB")
    [made] = process("capture", phantoms.write(tmp_path / "encoded", [source], "1.2.840.10008.1.2.4.90"))
    np.testing.assert_array_equal(made.pixel_array, colours)


@pytest.mark.parametrize("parameters", [{"window": "40,0.5"}, {"window": "40"}, {"size": 4}, {"patient": "perhaps"}])
def test_what_is_refused(process: Process, parameters: dict):
    with pytest.raises(errors.UnusableParameters):
        process("capture", [phantoms.ct_slice(RAMP)], **parameters)


def test_what_cannot_be_shown_is_refused(process: Process):
    with pytest.raises(errors.ObjectNotReadable):
        process("capture", [phantoms.ct_slice(RAMP, PhotometricInterpretation="NONSENSE")])


def test_pages_of_a_montage(process: Process):
    grays = (20, 60, 100, 140, 180, 220, 250)
    slices = phantoms.ct_series(np.array([np.full((32, 16), gray, np.uint16) for gray in grays]), intercept=0.0)
    made = process("montage", slices, down=2, across=2, size=32, window="128,256")
    assert [one.pixel_array.shape for one in made] == [(64, 64)] * 2
    first = made[0].pixel_array.astype(int)
    for place, gray in enumerate(grays[:4]):
        row, column = divmod(place, 2)
        tile = first[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        assert (np.abs(tile[:, 8:24] - gray) <= 1).all() and (tile[:, :8] == 0).all() and (tile[:, 24:] == 0).all()
    assert (made[1].pixel_array[32:, 32:] == 0).all()
    references = [item.ReferencedSOPInstanceUID for item in made[0].SourceImageSequence]
    assert references == [one.SOPInstanceUID for one in slices[:4]]
    assert made[0].SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121329"
    assert process("montage", slices, selection=[2], down=2, across=2, size=32, window="128,256") == made[1:]


def test_every_third_frame(process: Process):
    slices = phantoms.ct_series(np.zeros((7, 32, 32), np.uint16))
    [made] = process("montage", slices, step=3, down=1, across=5, size=32)
    assert len(made.SourceImageSequence) == 3
