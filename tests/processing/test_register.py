"""`register`: a known motion is found, and the result lies where the fixed series does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("SimpleITK")

from medserver import errors  # noqa: E402
from medserver.processing.task import perform  # noqa: E402
from tests.processing import phantoms  # noqa: E402
from tests.processing.conftest import WORKITEM, Process  # noqa: E402

BLOBS = (((0, 0, 0), (20, 14, 16), 900), ((8, -4, 5), (5, 4, 6), 700), ((-9, 5, -4), (4, 6, 4), -500),
         ((2, 7, 8), (3, 3, 4), 600))  # fmt: skip
"""Centre, radii [mm] (x, y, z) and value of ellipsoids."""

ANGLE, MOTION = np.radians(6.0), np.array([3.0, -2.0, 2.5])
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 0], [np.sin(ANGLE), np.cos(ANGLE), 0], [0, 0, 1]])


def body(places: np.ndarray) -> np.ndarray:
    """Return the value at places, shape (..., 3), which falls smoothly at the rims."""
    values = np.full(places.shape[:-1], 100.0)
    for centre, radii, value in BLOBS:
        distance = np.sqrt((((places - centre) / radii) ** 2).sum(-1))
        values += value / (1 + np.exp(12 * (distance - 1)))
    return values


def series(shape, spacing, origin, number: int, motion=lambda places: places, frame: str = "2.25.1700.9"):
    """Return CT slices of the body, looked at after a motion."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)[..., ::-1]
    places = origin + indices * np.array(spacing[::-1])
    pixels = np.rint(body(motion(places)) + 1024).astype(np.uint16)
    return [
        phantoms.ct_slice(
            one, index + 1, position=(*origin[:2], origin[2] + index * spacing[0]), spacing=spacing[1:],
            thickness=spacing[0], series=number, FrameOfReferenceUID=frame,
        )
        for index, one in enumerate(pixels)
    ]  # fmt: skip


FIXED = ((24, 40, 44), (2.0, 1.25, 1.25), np.array([-27.0, -25.0, -24.0]))
MOVING = ((30, 32, 36), (1.8, 1.6, 1.6), np.array([-28.0, -26.0, -27.0]))


def moved(places: np.ndarray) -> np.ndarray:
    return (places - MOTION) @ TURN  # the body is turned, then moved


def inputs():
    return series(*FIXED, 1), series(*MOVING, 2, moved, "2.25.1700.8")


def test_a_known_motion_is_found(process: Process):
    fixed, moving = inputs()
    made = process("register", [*fixed, *moving])
    assert len(made) == len(fixed)
    before = np.array([phantoms.values(one) for one in series(*FIXED, 1, moved)])
    wanted, found = (np.array([phantoms.values(one) for one in ones]) for ones in (fixed, made))
    inner = (slice(3, -3), slice(4, -4), slice(4, -4))
    assert np.abs(found - wanted)[inner].mean() < 0.15 * np.abs(before - wanted)[inner].mean()
    for one, other in zip(made, fixed, strict=True):
        assert one.ImagePositionPatient == other.ImagePositionPatient and one.PixelSpacing == other.PixelSpacing
        assert one.FrameOfReferenceUID == other.FrameOfReferenceUID == "2.25.1700.9"
    assert made[0].SeriesDescription == "Series 2, registered"
    assert {item.ReferencedSOPInstanceUID for item in made[0].SourceImageSequence} == {
        one.SOPInstanceUID for one in moving
    }
    assert [code.CodeValue for code in made[0].DerivationCodeSequence] == ["113085", "125027"]


def test_a_repeat_makes_the_same_bytes(tmp_path: Path):
    fixed, moving = inputs()
    folder = phantoms.write(tmp_path / "in", [*fixed, *moving])
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        perform("register", os.fspath(folder), os.fspath(tmp_path / name), {}, WORKITEM)
        made.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert made[0] == made[1]


def test_what_is_refused(process: Process):
    fixed, moving = inputs()
    with pytest.raises(errors.IncompleteObjectSet, match="two series"):
        process("register", fixed)
    with pytest.raises(errors.UnusableParameters, match="none of the two"):
        process("register", [*fixed, *moving], fixed="1.2.3")
    with pytest.raises(errors.IncompleteObjectSet, match="missing"):
        process("register", [*fixed[:5], *fixed[6:], *moving])
