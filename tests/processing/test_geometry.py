"""Stacks: order, spacing, and everything by which slices are no regular stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver import errors
from medserver.processing.pixels.geometry import Stack, stack_of
from medserver.processing.pixels.images import read_sources
from tests.processing import phantoms

PIXELS = np.zeros((6, 8), np.uint16)
SIDE = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
TURNED = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)


def slices(count: int = 5, step=(0.0, 0.0, 2.0), **others) -> list[Dataset]:
    """Return slices from (1, 2, 3) on."""
    places = [np.array((1.0, 2.0, 3.0)) + index * np.array(step) for index in range(count)]
    return [phantoms.ct_slice(PIXELS, number, position=place, **others) for number, place in enumerate(places, 1)]


@pytest.fixture
def stacked(tmp_path: Path):
    """Return instances as a stack, read from files."""

    def stack(instances: list[Dataset]) -> Stack:
        return stack_of(read_sources(phantoms.write(tmp_path / "in", instances)))

    return stack


def test_a_stack(stacked):
    stack = stacked(slices(spacing=(0.5, 0.25)))
    assert stack.shape == (5, 6, 8)
    np.testing.assert_allclose(stack.spacing, (2, 0.5, 0.25))
    np.testing.assert_allclose(stack.axes, [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
    np.testing.assert_allclose(stack.origin, (1, 2, 3))
    np.testing.assert_allclose(stack.index_of(np.array((1.25, 3.0, 7.0))), (2, 2, 1))
    np.testing.assert_allclose(stack.corners()[-1], (1 + 7 * 0.25, 2 + 5 * 0.5, 3 + 4 * 2))


@pytest.mark.parametrize(
    ("orientation", "normal"), [(phantoms.AXIAL, (0, 0, 1)), (SIDE, (-1, 0, 0)), (TURNED, (-0.6, 0.8, 0))]
)
@pytest.mark.parametrize("is_backwards", [False, True])
def test_order_is_by_place_and_not_by_number(stacked, orientation, normal, is_backwards):
    step = np.array(normal) * (-1.5 if is_backwards else 1.5)
    stack = stacked(slices(step=step, orientation=orientation))
    assert stack.spacing[0] == pytest.approx(1.5)
    np.testing.assert_allclose(stack.normal, normal, atol=1e-12)
    numbers = [source.facts.InstanceNumber for source in stack.sources]
    assert numbers == ([5, 4, 3, 2, 1] if is_backwards else [1, 2, 3, 4, 5])


def test_few_digits_are_no_tilt(stacked):
    cosines = tuple(round(value, 4) for value in (0.99862953, 0.05233596, 0, -0.05233596, 0.99862953, 0))
    places = [round(0.7 * index, 2) for index in range(200)]
    instances = [
        phantoms.ct_slice(PIXELS, number, position=(0, 0, place), orientation=cosines)
        for number, place in enumerate(places, 1)
    ]
    assert stacked(instances).spacing[0] == pytest.approx(0.7)


def test_localizers_are_passed_over(stacked):
    scout = phantoms.ct_slice(PIXELS, 99, orientation=SIDE, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert stacked([scout, *slices()]).shape[0] == 5


def with_one(number: int, **others) -> list[Dataset]:
    instances = slices()
    phantoms.changed(instances[number - 1], others)
    return instances


REFUSED = [
    ("one slice", lambda: slices(1), errors.IncompleteObjectSet, "needs two slices"),
    ("no position", lambda: with_one(3, ImagePositionPatient=None), errors.ObjectNotReadable, "ImagePositionPatient"),
    ("two numbers", lambda: with_one(3, ImagePositionPatient=["1", "2"]), errors.ObjectNotReadable, "no usable"),
    ("no orientation", lambda: with_one(1, ImageOrientationPatient=None), errors.ObjectNotReadable, "Orientation"),
    ("no spacing", lambda: with_one(5, PixelSpacing=None), errors.ObjectNotReadable, "PixelSpacing"),
    ("spacing 0", lambda: slices(spacing=(0, 1)), errors.ObjectNotReadable, "not positive"),
    ("not perpendicular", lambda: slices(orientation=(1, 0, 0, 0.5, 0.5, 0)), errors.ObjectNotReadable, "perpendic"),
    ("no directions", lambda: slices(orientation=(0, 0, 0, 0, 0, 0)), errors.ObjectNotReadable, "perpendicular"),
    ("missing slice", lambda: [*slices(7)[:3], *slices(7)[4:]], errors.IncompleteObjectSet, "4 mm lie between"),
    ("irregular", lambda: with_one(3, ImagePositionPatient=["1", "2", "7.4"]), errors.IrregularStack, "not evenly"),
    ("tilted", lambda: slices(step=(0, 0.5, 2)), errors.IrregularStack, "tilted by 14.0 degrees"),
    ("one aside", lambda: with_one(3, ImagePositionPatient=["2", "2", "7"]), errors.IrregularStack, "not in line"),
    ("same place", lambda: with_one(3, ImagePositionPatient=["1", "2", "5"]), errors.MixedObjectSet, "same place"),
    ("all in one place", lambda: slices(step=(0, 0, 0)), errors.MixedObjectSet, "same place"),
    ("other size", lambda: [*slices(4), phantoms.ct_slice(PIXELS.T.copy(), 5, position=(1, 2, 11))],
     errors.MixedObjectSet, "size"),
    ("other spacing", lambda: with_one(2, PixelSpacing=["2", "1"]), errors.MixedObjectSet, "PixelSpacing"),
    ("other orientation", lambda: with_one(2, ImageOrientationPatient=list(SIDE)),
     errors.MixedObjectSet, "orientation"),
    ("other frame", lambda: with_one(2, FrameOfReferenceUID="2.25.1"), errors.MixedObjectSet, "Frame of Reference"),
    ("frames", lambda: with_one(2, NumberOfFrames=2), errors.ObjectTypeNotSupported, "multi-frame"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("instances", "error", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_no_regular_stack(stacked, instances, error, words):
    with pytest.raises(error, match=words):
        stacked(instances())
