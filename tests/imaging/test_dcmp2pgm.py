"""What DCMTK's dcmp2pgm makes of the same image and presentation state: no more than one gray value of 255 apart.

It gives the pixels alone, without shutters, overlays and annotations, and those outside of the displayed area too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver.imaging import Rendering, render
from tests.imaging.images import by_dcmp2pgm, image, item, lut
from tests.imaging.states import area, state
from tests.peers import requires

RANDOM = np.random.default_rng(18)
SHAPE = (40, 56)
CELLS = RANDOM.integers(0, 4096, SHAPE).astype("u2")
WINDOW = item(WindowCenter=1800, WindowWidth=2500)


@pytest.fixture(autouse=True)
def dcmtk_is_there() -> None:
    requires("dcmtk")


def difference(dataset: Dataset, one: Dataset, folder: Path) -> int:
    """Return the greatest difference of a pixel."""
    theirs = by_dcmp2pgm(dataset, one, folder).astype(int)
    ours = render(dataset, 0, Rendering(presentation_state=one)).pixels
    assert ours.shape == theirs.shape
    assert theirs.min() < theirs.max()
    return int(np.abs(theirs - ours).max())


def twelve_bits(photometric_interpretation: str = "MONOCHROME2", **attributes: object) -> Dataset:
    return image(CELLS, photometric_interpretation, BitsStored=12, **attributes)


STATES = {
    "nothing": {},
    "window": {"SoftcopyVOILUTSequence": [WINDOW]},
    "modality": {
        "RescaleSlope": "2",
        "RescaleIntercept": "-1000",
        "RescaleType": "US",
        "SoftcopyVOILUTSequence": [WINDOW],
    },
    "modality table": {
        "ModalityLUTSequence": [lut(0, [n // 2 for n in range(4096)], 16)],
        "SoftcopyVOILUTSequence": [item(WindowCenter=1000, WindowWidth=900)],
    },
    "VOI table": {
        "SoftcopyVOILUTSequence": [item(VOILUTSequence=[lut(100, [n * n // 3000 for n in range(3000)], 12)])],
    },
    "inverse": {"SoftcopyVOILUTSequence": [WINDOW], "PresentationLUTShape": "INVERSE"},
    "presentation table": {
        "SoftcopyVOILUTSequence": [WINDOW],
        "PresentationLUTSequence": [lut(0, [n * n // 16 for n in range(256)], 12)],
    },
    "presentation table of 4096": {"PresentationLUTSequence": [lut(0, [n * n // 256 for n in range(4096)], 16)]},
}
for _entry in STATES["modality table"]["ModalityLUTSequence"]:
    _entry.ModalityLUTType = "US"


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME2", "MONOCHROME1"])
def test_gray_values(name: str, photometric_interpretation: str, tmp_path: Path) -> None:
    dataset = twelve_bits(photometric_interpretation, WindowCenter=1, WindowWidth=1)
    assert difference(dataset, state(dataset, **STATES[name]), tmp_path) <= 1


@pytest.mark.parametrize("flip", ["Y", "N"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_and_flip(rotation: int, flip: str, tmp_path: Path) -> None:
    dataset = twelve_bits()
    one = state(dataset, SoftcopyVOILUTSequence=[WINDOW], ImageRotation=rotation, ImageHorizontalFlip=flip)
    assert difference(dataset, one, tmp_path) <= 1


@pytest.mark.parametrize("flip", ["Y", "N"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_displayed_area_is_rotated_like_an_image_of_its_pixels(rotation: int, flip: str, tmp_path: Path) -> None:
    spatial = {"ImageRotation": rotation, "ImageHorizontalFlip": flip}
    whole, part = twelve_bits(), image(CELLS[5:25, 10:40], BitsStored=12)
    one, other = (state(each, SoftcopyVOILUTSequence=[WINDOW], **spatial) for each in (whole, part))
    theirs = by_dcmp2pgm(part, other, tmp_path).astype(int)
    # The corners are those of what is shown: rotated, the first is another corner of the image (PS3.3 C.10.4).
    for corners in (((11, 6), (40, 25)), ((11, 25), (40, 6)), ((40, 25), (11, 6)), ((40, 6), (11, 25))):
        one.DisplayedAreaSelectionSequence = [area(*corners)]
        ours = render(whole, 0, Rendering(presentation_state=one)).pixels
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() <= 1


def test_of_two_frames(tmp_path: Path) -> None:
    dataset = image(np.stack([CELLS, CELLS[::-1]]), BitsStored=12)
    one = state(dataset, SoftcopyVOILUTSequence=[WINDOW])
    theirs = by_dcmp2pgm(dataset, one, tmp_path, "--frame", "2").astype(int)
    assert np.abs(render(dataset, 1, Rendering(presentation_state=one)).pixels - theirs).max() <= 1
