"""`reformat`: places and values of planes against known ones and SimpleITK, headers, parts of a result, memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver import errors
from tests.processing import phantoms
from tests.processing.conftest import Process, complaints

RNG = np.random.default_rng(5)
SHAPE = (9, 14, 20)
NOISE = RNG.integers(0, 4096, SHAPE).astype(np.uint16)
SPACING = (2.0, 1.5, 1.0)
ORIGIN = (-10.0, -20.0, 0.0)

OBLIQUE = "0.8,0.6,0,0,0,-1"


def gradient(slices: int = 9) -> list[Dataset]:
    """Return CT slices in which each voxel has its place as its value: 10 x + 20 y + 30 z HU."""
    z, y, x = np.meshgrid(*(np.arange(count) * step for count, step in zip((slices, 14, 20), SPACING)), indexing="ij")
    values = 10 * (x + ORIGIN[0]) + 20 * (y + ORIGIN[1]) + 30 * (z + ORIGIN[2])
    return volume((values + 1024).astype(np.uint16))


def volume(pixels: np.ndarray, **others) -> list[Dataset]:
    return phantoms.ct_series(pixels, SPACING[0], spacing=SPACING[1:], **others)


def places(one: Dataset) -> np.ndarray:
    """Return where the pixels of an image lie, shape (rows, columns, 3), by PS3.3 equation C.7.6.2.1-1."""
    along_row, along_column = np.reshape(one.ImageOrientationPatient, (2, 3)).astype(float)
    row_mm, column_mm = map(float, one.PixelSpacing)
    rows, columns = np.mgrid[: one.Rows, : one.Columns]
    start = np.array(one.ImagePositionPatient, float)
    return start + columns[..., None] * column_mm * along_row + rows[..., None] * row_mm * along_column


def resampled(made: list[Dataset], pixels: np.ndarray, interpolator: str) -> np.ndarray:
    """Return what SimpleITK makes of a volume in the places of the images; NaN where it has nothing."""
    itk = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(pixels.astype(np.float64))
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(ORIGIN)
    first = made[0]
    along_row, along_column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
    directions = np.column_stack([along_row, along_column, np.cross(along_row, along_column)])
    size = [first.Columns, first.Rows, len(made)]
    spacing = [float(first.PixelSpacing[1]), float(first.PixelSpacing[0]), float(first.SpacingBetweenSlices)]
    origin = [float(value) for value in first.ImagePositionPatient]
    how = getattr(itk, interpolator)
    result = itk.Resample(
        image, size, itk.Transform(), how, origin, spacing, directions.ravel().tolist(), float("nan"), itk.sitkFloat64
    )
    return itk.GetArrayFromImage(result)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("others", [{}, {"interval": 0.7, "pixel_spacing": 0.9}, {"thickness": 1.4, "interval": 1}])
def test_each_pixel_has_the_value_of_its_place(process: Process, plane: str, others: dict):
    made = process("reformat", gradient(), orientation=plane, **others)
    assert len(made) > 5
    for number, one in enumerate(made):
        where = places(one)
        expected = where @ (10, 20, 30)
        is_inner = "thickness" not in others or 1 <= number < len(made) - 1  # at the ends half a slab is outside
        if is_inner:
            np.testing.assert_allclose(phantoms.values(one), expected, atol=0.51)
        assert where.min() >= -20.01 and one.InstanceNumber == number + 1


def test_planes_are_seen_as_people_look_at_them(process: Process):
    coronal = process("reformat", gradient(), orientation="coronal")
    assert list(coronal[0].ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]
    assert list(coronal[0].ImagePositionPatient) == [-10, -20, 16]  # the head is above, what is in front comes first
    assert coronal[1].ImagePositionPatient[1] == -19
    assert (coronal[0].Rows, coronal[0].Columns, len(coronal)) == (17, 20, 20)
    sagittal = process("reformat", gradient(), orientation="sagittal")
    assert list(sagittal[0].ImageOrientationPatient) == [0, 1, 0, 0, 0, -1]
    assert list(sagittal[0].ImagePositionPatient) == [9, -20, 16]
    assert sagittal[1].ImagePositionPatient[0] == 8


def test_original_planes_come_back(process: Process):
    made = process("reformat", volume(NOISE), orientation="axial", interval=2, pixel_spacing=1.5)
    np.testing.assert_array_equal(
        [one.pixel_array[:, ::2] for one in made], NOISE[..., :: 3][..., : made[0].pixel_array[:, ::2].shape[1]]
    )
    [first, *_] = made
    assert first.SliceThickness == 2 and first.SpacingBetweenSlices == 2


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "oblique"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("spacing", [0.93, 1.7])
def test_values_against_simpleitk(process: Process, plane: str, interpolation: str, spacing: float):
    others = {"directions": OBLIQUE} if plane == "oblique" else {}
    others |= {"orientation": plane, "interpolation": interpolation, "pixel_spacing": spacing, "interval": 1.3}
    made = process("reformat", volume(NOISE), **others)
    expected = resampled(made, NOISE, {"linear": "sitkLinear", "nearest": "sitkNearestNeighbor"}[interpolation])
    found = np.array([one.pixel_array for one in made]).astype(float)
    is_inside = np.isfinite(expected)
    assert is_inside.mean() > 0.4
    difference = np.abs(found - expected)[is_inside]
    if interpolation == "linear":
        # at the rim of oblique planes, within half a voxel, ITK and we extend the volume each in its way
        assert np.quantile(difference, 0.97) <= 0.51 if plane == "oblique" else difference.max() <= 0.51
    else:
        assert (difference > 0.5).mean() < 0.02  # where two voxels are as near
    outside = ~is_inside
    if plane == "oblique":
        assert outside.any() and np.mean(found[outside] == 24) > 0.8  # -1000 HU


@pytest.mark.parametrize(("projection", "function"), [("mean", np.mean), ("max", np.max), ("min", np.min)])
def test_slabs(process: Process, projection: str, function):
    made = process(
        "reformat", volume(NOISE), orientation="coronal", interval=3, thickness=4.5, projection=projection,
        pixel_spacing=1,
    )
    assert len(made) == 7
    one = made[2]
    assert one.SliceThickness == 4.5 and one.SpacingBetweenSlices == 3
    rows = NOISE[::-1, 3:6, :].astype(float)  # 6 mm behind the first row: row 4, and one more on either side
    np.testing.assert_allclose(one.pixel_array[::2], function(rows, axis=1), atol=0.51)
    codes = [code.CodeValue for code in one.DerivationCodeSequence]
    assert codes == ["113072", {"mean": "113049", "max": "113078", "min": "113079"}[projection]]
    assert one.ImageType[2] == {"mean": "MEAN", "max": "MAX_IP", "min": "MIN_IP"}[projection]
    first = NOISE[::-1, :2, :].astype(float)  # a third of the first slab is in front of the volume
    np.testing.assert_allclose(made[0].pixel_array[::2], function(first, axis=1), atol=0.51)


@pytest.mark.parametrize("plane", ["coronal", "oblique"])
def test_only_the_planes_that_are_asked_for_and_the_same_ones(process: Process, plane: str):
    others = {"orientation": plane, "thickness": 2, "projection": "max"}
    others |= {"directions": OBLIQUE} if plane == "oblique" else {}
    whole = process("reformat", volume(NOISE), **others)
    some = process("reformat", volume(NOISE), selection=[3, 7, 8], window="100,300", **others)
    assert [one.InstanceNumber for one in some] == [3, 7, 8]
    for one in some:
        other = whole[one.InstanceNumber - 1]
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)
        assert one.ImagePositionPatient == other.ImagePositionPatient
        assert (one.WindowCenter, one.WindowWidth) == (100, 300) and other.WindowWidth == 400
    parts = [process("reformat", volume(NOISE), part=[index, 2], **others) for index in range(2)]
    assert sum(parts, []) == whole and all(parts)


def test_blocks_that_fit_in_memory_make_the_same(process: Process, monkeypatch: pytest.MonkeyPatch):
    whole = process("reformat", volume(NOISE))
    for module in ("pixels.volume", "pixels.planes"):
        monkeypatch.setattr(f"medserver.processing.{module}.VOXELS_MAX", 3 * SHAPE[0] * SHAPE[2])
    assert process("reformat", volume(NOISE)) == whole
    with pytest.raises(errors.TooLargeToProcess, match="voxels"):
        process("reformat", volume(NOISE), orientation="sagittal")  # each needs all rows


def test_header(process: Process):
    source = volume(NOISE, ImageComments="a", SliceLocation="3", PatientOrientation=["L", "P"])
    for index, one in enumerate(source):
        one.XRayTubeCurrent, one.Exposure = 100 + index, 7
        one.add_new((0x0009, 0x0010), "LO", "VENDOR")
    made = process("reformat", source, thickness=3, interval=2)
    one = made[4]
    assert list(one.ImageType) == ["DERIVED", "SECONDARY", "MEAN"]
    assert one.FrameOfReferenceUID == source[0].FrameOfReferenceUID
    assert one.SeriesDescription == "Series 1, coronal mean 3/2 mm"
    assert one.Exposure == 7 and not one.get("XRayTubeCurrent") and one.KVP == 120
    for gone in ("ImageComments", "SliceLocation", "PatientOrientation", (0x0009, 0x0010)):
        assert gone not in one
    references = [item.ReferencedSOPInstanceUID for item in one.SourceImageSequence]
    assert references == [each.SOPInstanceUID for each in source]
    assert len({each.SOPInstanceUID for each in made}) == len(made)
    assert len({each.SeriesInstanceUID for each in made}) == 1
    assert str(one.PatientName) == "Müller^Jörg"


def test_mr_with_a_window_of_each_slice(process: Process):
    slices = [phantoms.mr_slice(pixels, number, 2.0 * number) for number, pixels in enumerate(NOISE, 1)]
    made = process("reformat", slices, orientation="sagittal", pixel_spacing=2)
    assert made[0].Modality == "MR" and made[0].WindowCenter == 205
    assert made[0].EchoTime == 15


def test_pet_with_a_slope_of_each_slice(process: Process):
    slopes = np.linspace(0.5, 7, 5)
    pixels = RNG.integers(0, 32767, (5, 6, 7)).astype(np.int16)
    slices = [
        phantoms.pet_slice(one, number, 4.0 * number, slope)
        for number, (one, slope) in enumerate(zip(pixels, slopes, strict=True), 1)
    ]
    made = process("reformat", slices, orientation="coronal", interval=4, pixel_spacing=4)
    expected = (pixels * slopes[:, None, None])[::-1]
    assert {one.RescaleIntercept for one in made} == {0} and len({one.RescaleSlope for one in made}) == 1
    found = np.array([phantoms.values(one) for one in made])
    np.testing.assert_allclose(found, expected.transpose(1, 0, 2), atol=float(made[0].RescaleSlope))
    assert [one.ImageIndex for one in made] == [1, 2, 3, 4, 5, 6] and made[0].NumberOfSlices == 6
    assert made[0].Units == "BQML" and made[0].RadiopharmaceuticalInformationSequence


def test_padding_is_air(process: Process):
    pixels = (NOISE // 4).astype(np.int16)
    pixels[:, :, :5] = -2000
    made = process("reformat", volume(pixels, PixelPaddingValue=-2000, intercept=0.0))
    assert all((one.pixel_array[:, :5] == -1000).all() for one in made)
    assert "PixelPaddingValue" not in made[0]


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", phantoms.IMPLICIT])
def test_compressed_slices(process: Process, tmp_path: Path, uid: str):
    pixels = RNG.integers(0, 4096, (4, 40, 40)).astype(np.uint16)
    folder = phantoms.write(tmp_path / "encoded", volume(pixels), uid)
    plain = process("reformat", volume(pixels), interval=9)
    found = process("reformat", folder, interval=9)
    for one, other in zip(plain, found, strict=True):
        np.testing.assert_array_equal(one.pixel_array, other.pixel_array)


REFUSED = [
    ({"orientation": "oblique"}, errors.UnusableParameters, "give both or neither"),
    ({"directions": OBLIQUE}, errors.UnusableParameters, "give both or neither"),
    ({"orientation": "oblique", "directions": "1,0,0,1,0,0"}, errors.UnusableParameters, "perpendicular"),
    ({"orientation": "oblique", "directions": "0,0,0,0,0,0"}, errors.UnusableParameters, "perpendicular"),
    ({"interval": 0}, errors.UnusableParameters, "interval is 0"),
    ({"window": "100"}, errors.UnusableParameters, "instead of 2"),
    ({"orientation": "coronal", "interval": 0.05}, errors.IncompleteObjectSet, "there is no output 999"),
]


@pytest.mark.parametrize(("parameters", "error", "words"), REFUSED)
def test_what_is_refused(process: Process, parameters: dict, error, words: str):
    with pytest.raises(error, match=words):
        process("reformat", volume(NOISE), selection=[999], **parameters)


def test_other_objects_are_refused(process: Process):
    with pytest.raises(errors.ObjectTypeNotSupported, match="CT, MR, PT, and not of DX"):
        process("reformat", volume(NOISE, Modality="DX"))
    with pytest.raises(errors.MixedObjectSet, match="one series at a time"):
        process("reformat", [*volume(NOISE), *volume(NOISE, series=2)])
    with pytest.raises(errors.MixedObjectSet, match="pixels of different kinds"):
        process("reformat", [*volume(NOISE)[:-1], volume(NOISE.astype(np.int16))[-1]])
    far = [phantoms.ct_slice(NOISE[0], number, 1e5 * number) for number in (1, 2)]
    with pytest.raises(errors.TooLargeToProcess, match="rows"):
        process("reformat", far)
    with pytest.raises(errors.TooLargeToProcess, match="20000"):
        process("reformat", far, orientation="axial", interval=0.5)


MEASURE = """
import sys, json
from medserver.processing.task import perform

made = perform("reformat", sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), "2.25.1")
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(made["written"], peak // 1024)
"""


@pytest.mark.parametrize(
    "parameters",
    ['{"interval": 60}', '{"orientation": "oblique", "directions": [0.8, 0.6, 0, 0, 0, -1], "interval": 60}'],
    ids=["coronal", "oblique"],
)
def test_memory_of_a_thousand_slices(tmp_path: Path, parameters: str):
    """Slow: 500 MB are written and read."""
    [path] = phantoms.write(tmp_path / "in", [phantoms.ct_slice(np.zeros((512, 512), np.uint16), 1000, 1000)]).iterdir()
    whole = path.read_bytes()
    path.unlink()
    for number in range(1000, 2000):
        other = whole.replace(b"-20\\1000", b"-20\\%d" % number).replace(b".1.1000", b".1.%d" % number)
        (path.parent / f"{number}.dcm").write_bytes(other)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", MEASURE, os.fspath(path.parent), os.fspath(tmp_path / "out"), parameters]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    written, peak_mb = map(int, done.stdout.split())
    assert written > 5 and peak_mb < 1500
    assert complaints(tmp_path / "out" / "000002.dcm") == []


def test_resampled_to_cubes(process: Process):
    made = process("resample", gradient())
    assert (made[0].Rows, made[0].Columns, len(made)) == (20, 20, 17)
    assert list(made[0].PixelSpacing) == [1, 1] and made[0].SpacingBetweenSlices == 1 and made[0].SliceThickness == 2
    for one in made:
        np.testing.assert_allclose(phantoms.values(one), places(one) @ (10, 20, 30), atol=0.51)
    assert made[0].ImageType[2] == "RESAMPLED"
    assert [code.CodeValue for code in made[0].DerivationCodeSequence] == ["113085"]


def test_resampled_as_asked_for_against_simpleitk(process: Process):
    made = process("resample", volume(NOISE), spacing=1.2, interval=3, selection=[1, 2, 3, 4, 5])
    found = np.array([one.pixel_array for one in made]).astype(float)
    assert np.abs(found - resampled(made, NOISE, "sitkLinear")).max() <= 0.51
    sagittal = process("reformat", volume(NOISE), orientation="sagittal", interval=2, pixel_spacing=1)
    for one in sagittal:
        one.file_meta = None
    again = process("resample", sagittal, spacing=1, interval=2)  # what was made here is taken again
    assert [list(one.ImageOrientationPatient) for one in again[:1]] == [[0, 1, 0, 0, 0, -1]]
    np.testing.assert_array_equal([one.pixel_array for one in again], [one.pixel_array for one in sagittal])
