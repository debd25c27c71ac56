"""Presentation states that other programs make: DCMTK's dcmpsmk, and highdicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medserver.imaging import Rendering, render
from tests.imaging.images import add_overlay, by_dcmp2pgm, image, lut
from tests.imaging.states import state
from tests.peers import requires
from tests.peers.process import run
from tests.samples import paths

RANDOM = np.random.default_rng(20)
CELLS = RANDOM.integers(0, 4096, (40, 56)).astype("u2")
TWELVE = {"BitsStored": 12, "PixelSpacing": ["0.5", "0.5"], "SeriesInstanceUID": "2.25.2"}
IMAGES = {
    "window": image(CELLS, WindowCenter=2000, WindowWidth=1000, **TWELVE),
    "two windows": image(CELLS, WindowCenter=[2000, 100], WindowWidth=[1000, 100], **TWELVE),
    "MONOCHROME1": image(CELLS, "MONOCHROME1", WindowCenter=2000, WindowWidth=1000, **TWELVE),
    "inverse": image(CELLS, "MONOCHROME1", PresentationLUTShape="INVERSE", **TWELVE),
    "VOI table": image(CELLS, VOILUTSequence=[lut(0, [n // 16 for n in range(4096)], 8)], **TWELVE),
    "slope": image(CELLS, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=2000, WindowWidth=1000, **TWELVE),
    "nothing": image(CELLS, **TWELVE),
}


def made_by_dcmpsmk(dataset: Dataset, folder: Path, *options: str) -> Dataset:
    """Return the presentation state that dcmpsmk makes of an image."""
    requires("dcmtk")
    dataset.save_as(folder / "image.dcm", enforce_file_format=True)
    run(["dcmpsmk", *options, folder / "image.dcm", folder / "made.dcm"]).check()
    return pydicom.dcmread(folder / "made.dcm")


@pytest.mark.parametrize("name", IMAGES)
def test_states_of_dcmtk(name: str, tmp_path: Path) -> None:
    one = made_by_dcmpsmk(IMAGES[name], tmp_path)
    theirs = by_dcmp2pgm(IMAGES[name], one, tmp_path).astype(int)
    ours = render(IMAGES[name], 0, Rendering(presentation_state=one)).pixels
    assert theirs.min() < theirs.max()
    assert np.abs(ours - theirs).max() <= 1
    if name != "nothing":  # the state keeps what the image says; without a window the whole range is shown
        assert np.abs(ours.astype(int) - render(IMAGES[name]).pixels).max() <= (0 if name != "inverse" else 1)


def test_a_state_of_dcmtk_has_the_overlays(tmp_path: Path) -> None:
    dataset = image(CELLS, WindowCenter=2000, WindowWidth=1000, **TWELVE)
    add_overlay(dataset, RANDOM.random((40, 56)) < 0.1)
    for how in ("+oc", "+oa"):  # copied into the state, or those of the image activated
        one = made_by_dcmpsmk(dataset, tmp_path, how)
        assert np.array_equal(render(dataset, 0, Rendering(presentation_state=one)).pixels, render(dataset).pixels)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_states_of_the_samples(name: str, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(next(path for path in paths() if path.name == name))
    one = made_by_dcmpsmk(dataset, tmp_path)
    theirs = by_dcmp2pgm(dataset, one, tmp_path).astype(int)
    assert np.abs(render(dataset, 0, Rendering(presentation_state=one)).pixels - theirs).max() <= 1


def test_the_states_of_these_tests_are_valid(tmp_path: Path) -> None:
    requires("dcmtk")
    one = state(IMAGES["window"], ImageRotation=90, ImageHorizontalFlip="Y")
    one.save_as(tmp_path / "state.dcm", enforce_file_format=True)
    assert "Test passed" in run(["dcmpschk", tmp_path / "state.dcm"]).check().output


def test_a_state_of_highdicom() -> None:
    highdicom = pytest.importorskip("highdicom")
    dataset = image(np.full((60, 80), 100, "u1"), InstanceNumber=1, StudyDate="20261129", StudyTime="120000")
    for keyword in ("AccessionNumber", "PatientBirthDate", "PatientSex", "StudyID", "ReferringPhysicianName"):
        setattr(dataset, keyword, "")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    line = highdicom.pr.GraphicObject(
        graphic_type=highdicom.pr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array([[10.5, 5.5], [20.5, 5.5]]),
        units=highdicom.pr.AnnotationUnitsValues.PIXEL,
    )
    text = highdicom.pr.TextObject(
        text_value="II",
        units=highdicom.pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.5, 0.5, 0.9, 0.9),
    )
    layer = highdicom.pr.GraphicLayer("LINES", order=1, display_color=None)
    one = highdicom.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[dataset],
        series_instance_uid="2.25.31",
        series_number=2,
        sop_instance_uid="2.25.32",
        instance_number=1,
        manufacturer="Maker",
        manufacturer_model_name="Model",
        software_versions="1",
        device_serial_number="1",
        content_label="TEST",
        graphic_annotations=[
            highdicom.pr.GraphicAnnotation([dataset], layer, graphic_objects=[line], text_objects=[text])
        ],
        graphic_layers=[layer],
        voi_lut_transformations=[highdicom.pr.SoftcopyVOILUTTransformation(window_center=100, window_width=101)],
    )
    shown = render(dataset, 0, Rendering(presentation_state=one)).pixels
    drawn = shown != shown[59, 0]
    assert shown[59, 0] == round(0.505 * 255)
    assert drawn[5, 10:21].all() and not drawn[:5].any()
    assert drawn[30:, 40:].any() and not drawn[6:30].any()
