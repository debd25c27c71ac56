"""Size, pixels that are not square, markers and texts."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver.imaging import Rendering, Text, render
from medserver.imaging.graphics.orientation import Edges, edges_of, letters
from medserver.imaging.view import Area, View, view_of
from tests.imaging.images import image, item

CHECKERS = image(np.array([[0, 255], [255, 0]], "u1"))


def shape(dataset: Dataset, **options: object) -> tuple[int, ...]:
    return render(dataset, 0, Rendering(**options)).pixels.shape


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({}, (20, 30)),
        ({"PixelSpacing": ["0.5", "0.5"]}, (20, 30)),
        ({"PixelSpacing": ["1.0", "0.5"]}, (40, 30)),
        ({"PixelSpacing": ["0.5", "1.0"]}, (20, 60)),
        ({"PixelAspectRatio": ["3", "2"]}, (30, 30)),
        ({"ImagerPixelSpacing": ["2", "1"]}, (40, 30)),
        ({"PixelSpacing": ["0", "1"], "PixelAspectRatio": ["2", "1"]}, (40, 30)),
        ({"PixelSpacing": ["0.40000", "0.400001"]}, (20, 30)),
    ],
)
def test_pixels_are_made_square(attributes: dict[str, object], size: tuple[int, int]) -> None:
    dataset = image(np.zeros((20, 30), "u1"), **attributes)
    assert shape(dataset) == size
    assert shape(dataset, square_pixels=False) == (20, 30)


def test_the_spacing_of_an_enhanced_image() -> None:
    dataset = image(np.zeros((20, 30), "u1"))
    dataset.SharedFunctionalGroupsSequence = [item(PixelMeasuresSequence=[item(PixelSpacing=["2", "1"])])]
    assert shape(dataset) == (40, 30)


@pytest.mark.parametrize(
    ("size", "expected"), [((40, 60), (40, 60)), ((40, 1000), (40, 60)), ((1000, 15), (10, 15)), ((1, 1), (1, 1))]
)
def test_the_image_fits_in_the_size_in_its_proportions(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shape(image(np.zeros((20, 30), "u1")), size=size) == expected
    assert shape(image(np.zeros((20, 30, 3), "u1"), "RGB"), size=size) == (*expected, 3)


def test_nearest_repeats_pixels() -> None:
    shown = render(CHECKERS, 0, Rendering(size=(4, 4), interpolation="nearest")).pixels
    assert np.array_equal(shown, np.kron([[0, 255], [255, 0]], np.ones((2, 2))))


def test_linear_lies_between() -> None:
    shown = render(image(np.array([[0, 100]], "u1")), 0, Rendering(size=(100, 4))).pixels
    assert shown.tolist() == [[0, 25, 75, 100]] * 2  # centers of pixels at 0.25, 0.75, 1.25, 1.75 of 0.5 and 1.5


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("is_colour", [False, True])
def test_an_even_image_stays_even(interpolation: str, bits: int, is_colour: bool) -> None:
    cells = np.full((10, 12, 3) if is_colour else (10, 12), 77, "u1")
    dataset = image(cells, "RGB" if is_colour else "MONOCHROME2")
    for size in ((33, 40), (5, 5)):
        shown = render(dataset, 0, Rendering(size=size, interpolation=interpolation, bits=bits)).pixels
        assert shown.shape == ((33, 40) if size == (33, 40) else (4, 5)) + (3,) * is_colour
        assert shown.dtype == f"u{bits // 8}" and (shown == (77 if bits == 8 else 77 * 257)).all()


@pytest.mark.parametrize("is_flipped", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_points_go_where_pixels_go(rotation: int, is_flipped: bool) -> None:
    cells = np.zeros((6, 9), "u1")
    cells[2, 5] = 255
    rows, columns = (9, 6) if rotation % 180 else (6, 9)
    view = View(Area(0, 0, 6, 9), rotation, is_flipped, rows * 3, columns * 3)
    column, row = view.position(5.5, 2.5)
    place = np.argwhere(view.apply(cells, "nearest") == 255).mean(axis=0) + 0.5
    assert (row, column) == pytest.approx(tuple(place))


@pytest.mark.parametrize(
    ("cosines", "edges"),
    [
        ([1, 0, 0, 0, 1, 0], Edges("R", "A", "L", "P")),  # axial
        ([0, 1, 0, 0, 0, -1], Edges("A", "H", "P", "F")),  # sagittal
        ([1, 0, 0, 0, 0, -1], Edges("R", "H", "L", "F")),  # coronal
        ([0.8, 0.6, 0, 0, 0, -1], Edges("RA", "H", "LP", "F")),
        ([0.99, 0.14, 0, -0.14, 0.99, 0], Edges("R", "A", "L", "P")),
    ],
)
def test_markers(cosines: list[float], edges: Edges) -> None:
    dataset = image(np.zeros((4, 4), "u1"), ImageOrientationPatient=cosines)
    assert edges_of(dataset, 0, view_of(dataset, 0, (4, 4), Rendering())) == edges


def test_markers_turn_with_the_image() -> None:
    dataset = image(np.zeros((4, 4), "u1"), PatientOrientation=["L", "P"])
    whole = Area(0, 0, 4, 4)
    assert edges_of(dataset, 0, View(whole, 0, False, 4, 4)) == Edges("R", "A", "L", "P")
    assert edges_of(dataset, 0, View(whole, 90, False, 4, 4)) == Edges("P", "R", "A", "L")
    assert edges_of(dataset, 0, View(whole, 90, True, 4, 4)) == Edges("A", "R", "P", "L")
    assert edges_of(dataset, 0, View(whole, 180, False, 4, 4)) == Edges("L", "P", "R", "A")
    assert edges_of(image(np.zeros((4, 4), "u1")), 0, View(whole, 0, False, 4, 4)) is None


def test_letters() -> None:
    assert [letters(d) for d in ((0, 0, 1), (0, 0, -1), (-1, 0, 0), (0.5, -0.6, 0.6))] == ["H", "F", "R", "AHL"]


def test_markers_and_texts_are_drawn_where_they_belong() -> None:
    dataset = image(np.full((200, 300), 100, "u1"), ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shown = render(dataset, 0, Rendering(markers=True)).pixels != 100
    thirds = [[bool(part.any()) for part in np.array_split(row, 3, axis=1)] for row in np.array_split(shown, 3)]
    assert thirds == [[False, True, False], [True, False, True], [False, True, False]]
    rows, columns = np.nonzero(shown)
    assert abs(rows.min() - (199 - rows.max())) < 8 and abs(columns.min() - (299 - columns.max())) < 8
    for half in (shown[:60, 100:200], shown[-60:, 100:200]):  # A and P are in the middle
        assert abs(np.nonzero(half)[1].mean() - 49.5) < 3
    texts = (Text("top left", ("Doe^Jane", "1")), Text("bottom right", ("W 400",)))
    shown = render(dataset, 0, Rendering(texts=texts)).pixels
    drawn = [[bool(part.any()) for part in np.array_split(row, 2, axis=1)] for row in np.array_split(shown != 100, 2)]
    assert drawn == [[True, False], [False, True]]
    assert shown.min() < 10 and shown.max() > 200  # white with a black rim


def test_the_four_corners_are_alike() -> None:
    dataset = image(np.full((300, 400), 100, "u1"))
    sizes, margins = set(), {}
    for corner in ("top left", "top right", "bottom left", "bottom right"):
        drawn = np.argwhere(render(dataset, 0, Rendering(texts=(Text(corner, ("HIH", "HOH")),))).pixels != 100)
        (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
        sizes.add((int(bottom - top), int(right - left)))
        margins[corner] = int(top if "top" in corner else 299 - bottom), int(left if "left" in corner else 399 - right)
    assert len(sizes) == 1
    assert all(1 <= margin <= 10 for pair in margins.values() for margin in pair), margins


def test_texts_over_sixteen_bits_and_colours() -> None:
    texts = (Text("top right", ("HTML",)),)
    assert render(image(np.full((400, 400), 9, "u2")), 0, Rendering(texts=texts, bits=16)).pixels.max() == 65535
    shown = render(image(np.full((400, 400, 3), 9, "u1"), "RGB"), 0, Rendering(texts=texts)).pixels
    assert shown.max() == 255 and shown.shape == (400, 400, 3)
