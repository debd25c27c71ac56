"""Geometry: where the edges of images are on the printed sheet, in all layouts."""

from __future__ import annotations

import itertools
from contextlib import nullcontext

import numpy as np
import pytest

from medserver.errors import CannotRender, InvalidAttributeValue
from medserver.printing.composition import Press, SourceImage, compose
from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.layout import COUNT_MAX, GAP_MM, area_of, boxes_of, check_boxes, count_of, sheet_size_mm
from tests.printing.pages import PIXEL_MM, as_pdf, composed, film_of_boxes, seen

STANDARDS = [f"STANDARD\\{columns},{rows}" for columns, rows in itertools.product(range(1, 7), range(1, 9))]
OTHERS = ["ROW\\1", "ROW\\2,1,3", "ROW\\1,2", "COL\\1,2", "COL\\3,1,2", "COL\\8,1", "ROW\\12,1"]
WHITE = SourceImage(np.full((8, 8), 255, np.uint8))


def edges(line: np.ndarray) -> list[tuple[float, float]]:
    """Return where white begins and ends in a line of pixels [mm], to parts of a pixel by the gray of its edges."""
    value = line.astype(float) / 255
    rises = np.flatnonzero((value[:-1] < 0.5) & (value[1:] >= 0.5))
    falls = np.flatnonzero((value[:-1] >= 0.5) & (value[1:] < 0.5))
    return [((one + 1) * PIXEL_MM, (other + 1) * PIXEL_MM) for one, other in zip(rises, falls, strict=True)]


def counts(image_display_format: str) -> tuple[str, list[int]]:
    """Read a format in another way than `layout` does."""
    kind, numbers = image_display_format.split("\\")
    parsed = [int(number) for number in numbers.split(",")]
    return ("ROW", [parsed[0]] * parsed[1]) if kind == "STANDARD" else (kind, parsed)


def expected(image_display_format: str, width_mm: float, height_mm: float) -> list[tuple[float, float, float]]:
    """Return the middles of the boxes and their shorter sides, in order."""
    kind, parsed = counts(image_display_format)
    area = area_of(width_mm, height_mm)
    across, along = (area.height_mm, area.width_mm) if kind == "ROW" else (area.width_mm, area.height_mm)
    places = []
    for line, count in enumerate(parsed):
        thick, long = (across - GAP_MM * (len(parsed) - 1)) / len(parsed), (along - GAP_MM * (count - 1)) / count
        for index in range(count):
            one, other = (line + 0.5) * thick + line * GAP_MM, (index + 0.5) * long + index * GAP_MM
            x, y = (other, one) if kind == "ROW" else (one, other)
            places.append((area.left_mm + x, area.top_mm + y, min(thick, long)))
    return places


@pytest.mark.parametrize("orientation", ["PORTRAIT", "LANDSCAPE"])
@pytest.mark.parametrize("image_display_format", [*STANDARDS, *OTHERS])
def test_the_edges_of_images_are_where_they_should_be(image_display_format: str, orientation: str) -> None:
    """Within 0.2 mm, on the rendered sheet: square white images on black."""
    size = sheet_size_mm("8INX10IN", orientation)
    places = expected(image_display_format, *size)
    film = film_of_boxes(image_display_format, len(places), film_size_id="8INX10IN", film_orientation=orientation)
    sheet = seen(as_pdf(composed(film, WHITE, Press("FILM", resolution_dpi=100))))
    assert (sheet.shape[1] * PIXEL_MM, sheet.shape[0] * PIXEL_MM) == pytest.approx(size, abs=PIXEL_MM)
    for x, y, side in places:
        row, column = (min(int(middle / PIXEL_MM), end - 1) for middle, end in zip((y, x), sheet.shape, strict=True))
        for line, middle in ((sheet[row], x), (sheet[:, column], y)):
            [(start, end)] = [each for each in edges(line) if each[0] < middle < each[1]]
            assert (start, end) == pytest.approx((middle - side / 2, middle + side / 2), abs=0.2)


@pytest.mark.parametrize("image_display_format", ["STANDARD\\3,2", "ROW\\2,1,3", "COL\\3,1,2"])
def test_image_box_positions_are_in_order(image_display_format: str) -> None:
    count = count_of(image_display_format)
    film = film_of_boxes(image_display_format, count, film_size_id="8INX10IN", border_density="WHITE")
    images = {position: SourceImage(np.full((4, 4), position * 20, np.uint8)) for position in range(1, count + 1)}
    sheet = seen(as_pdf(compose(film, images, Press("FILM"))), 100)
    found = [int(sheet[int(y / 0.254), int(x / 0.254)]) for x, y, _ in expected(image_display_format, 203.2, 254.0)]
    assert found == [position * 20 for position in range(1, count + 1)]


@pytest.mark.parametrize("width_mm", [37.0, 80.0, 120.5, 180.0])
def test_requested_image_size_is_the_width(width_mm: float) -> None:
    """Within 0.5 %, also of pixels that are not square."""
    box = ImageBox(1, ReceivedImage("1", 1, 1), requested_image_size_mm=width_mm)
    image = SourceImage(np.full((30, 60), 255, np.uint8), pixel_aspect_ratio=(3, 2))
    sheet = seen(as_pdf(compose(Film(boxes=(box,)), {1: image}, Press("FILM"))))
    [(left, right)] = edges(sheet[sheet.shape[0] // 2])
    rows = sheet[:, sheet.shape[1] // 2]
    [(top, bottom)] = [each for each in edges(rows) if each[1] - each[0] > 15]
    assert right - left == pytest.approx(width_mm, rel=0.005)
    assert bottom - top == pytest.approx(width_mm * 0.75, rel=0.005)


def test_what_is_too_large_is_decimated_cropped_or_refused() -> None:
    image = SourceImage(np.arange(200, dtype=np.uint8)[None, :].repeat(100, 0))

    def printed(behavior: str) -> tuple[float, int, int]:
        box = ImageBox(1, ReceivedImage("1", 1, 1), requested_image_size_mm=500.0,
                       requested_decimate_crop_behavior=behavior)  # fmt: skip
        page = compose(Film(magnification_type="REPLICATE", boxes=(box,)), {1: image}, Press("FILM"))
        [placed] = page.images
        said = " ".join(text.text for text in page.texts)
        assert ("smaller than asked for" in said) == (behavior == "DECIMATE")
        assert ("cropped" in said) == (behavior == "CROP")
        return placed.width_mm, int(placed.pixels.min()), int(placed.pixels.max())

    assert printed("DECIMATE") == (pytest.approx(347.6), 0, 199)
    width_mm, least, greatest = printed("CROP")
    assert width_mm == pytest.approx(139 * 2.5)  # whole pixels of 2.5 mm, the middle ones
    assert (least, greatest) == (30, 168)
    with pytest.raises(CannotRender, match="larger than its box"):
        printed("FAIL")


@pytest.mark.parametrize(
    "image_display_format",
    ["", "STANDARD", "STANDARD\\0,1", "STANDARD\\1", "STANDARD\\1,2,3", "STANDARD\\17,16", "standard\\1,1", "SLIDE",
     "ROW\\", "ROW\\1,0", "COL\\-1", "CUSTOM\\1", "STANDARD\\1,1\\", "ROW\\" + ",".join(["9"] * 40), "STANDARD\\1,1\n",
     "STANDARD\\999,999", "STANDARD\\\u0662,1"],
)  # fmt: skip
def test_formats_that_are_none(image_display_format: str) -> None:
    with pytest.raises(InvalidAttributeValue):
        count_of(image_display_format)
    with pytest.raises(InvalidAttributeValue):
        boxes_of(image_display_format, 200, 250)


def test_limits() -> None:
    assert count_of("STANDARD\\16,16") == COUNT_MAX
    assert min(box.width_mm for box in boxes_of("STANDARD\\16,16", 203.2, 254.0)) > 5
    with pytest.raises(InvalidAttributeValue):
        sheet_size_mm("5INX5IN", "PORTRAIT")


@pytest.mark.parametrize("behavior", ["DECIMATE", "CROP"])
@pytest.mark.parametrize("shape", [(4000, 1), (1, 4000)])
@pytest.mark.parametrize("aspect", [(9999, 1), (1, 9999)])
def test_images_of_any_proportions_are_printed(
    behavior: str, shape: tuple[int, int], aspect: tuple[int, int]
) -> None:
    """Who has been told that such a film is printed is not told later that it cannot be."""
    image = SourceImage(np.full(shape, 255, np.uint8), pixel_aspect_ratio=aspect)
    box = ImageBox(1, ReceivedImage("1", 1, 1), requested_image_size_mm=10_000.0,
                   requested_decimate_crop_behavior=behavior)  # fmt: skip
    [placed] = composed(Film(boxes=(box,)), image).images
    assert min(placed.pixels.shape[:2]) >= 1


@pytest.mark.parametrize(
    "image_display_format, film_size_id, orientation, has_room",
    [
        ("STANDARD\\16,16", "8INX10IN", "PORTRAIT", True),
        ("STANDARD\\101,1", "A4", "PORTRAIT", True),
        ("STANDARD\\102,1", "A4", "PORTRAIT", False),
        ("STANDARD\\102,1", "A4", "LANDSCAPE", True),
        ("STANDARD\\1,137", "A4", "PORTRAIT", True),
        ("STANDARD\\1,256", "A4", "LANDSCAPE", False),
        ("ROW\\1,203", "A4", "PORTRAIT", False),
        ("COL\\1,255", "A4", "LANDSCAPE", False),
    ],
)
def test_image_boxes_need_room(
    image_display_format: str, film_size_id: str, orientation: str, has_room: bool
) -> None:
    with nullcontext() if has_room else pytest.raises(InvalidAttributeValue):
        check_boxes(image_display_format, film_size_id, orientation)
