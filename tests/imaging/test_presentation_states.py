"""Presentation states: which image and frame they are for, and what they show over the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging import Rendering, Window, render
from medserver.imaging.graphics.shapes import ellipse, interpolated
from tests.imaging.images import add_overlay, image, item, lut
from tests.imaging.states import area, reference, state

BLANK = image(np.full((60, 80), 100, "u1"))
RAMP = np.arange(8, dtype="i2").reshape(1, 8)


def pixels(dataset: Dataset, one: Dataset, frame_index: int = 0, **options: object) -> np.ndarray:
    return render(dataset, frame_index, Rendering(presentation_state=one, **options)).pixels


def graphic(kind: str, *data: float, units: str = "PIXEL", filled: str = "N") -> Dataset:
    return item(
        GraphicAnnotationUnits=units,
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(data) // 2,
        GraphicData=list(data),
        GraphicType=kind,
        GraphicFilled=filled,
    )


def annotated(*graphics: Dataset, texts: tuple[Dataset, ...] = (), **attributes: object) -> Dataset:
    one = state(BLANK, **attributes)
    one.GraphicAnnotationSequence = [item(GraphicLayer="A")]
    one.GraphicAnnotationSequence[0].GraphicObjectSequence = list(graphics)
    one.GraphicAnnotationSequence[0].TextObjectSequence = list(texts)
    return one


def extent(drawn: np.ndarray) -> tuple[int, int, int, int]:
    """Return first row, first column, last row and last column of what is drawn."""
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
    return int(top), int(left), int(bottom), int(right)


def changed(shown: np.ndarray) -> np.ndarray:
    return np.argwhere(shown != 100)


def test_a_state_of_another_image_is_refused() -> None:
    one = state(BLANK)
    one.ReferencedSeriesSequence[0].ReferencedImageSequence = [reference(sop_instance_uid="2.25.99")]
    with pytest.raises(CannotRender, match="does not refer"):
        pixels(BLANK, one)


def test_a_state_of_other_frames_is_refused() -> None:
    dataset = image(np.stack([RAMP] * 3))
    one = state(dataset)
    one.ReferencedSeriesSequence[0].ReferencedImageSequence = [reference(frames=[2, 3])]
    assert pixels(dataset, one, 1).shape == (1, 8)
    with pytest.raises(CannotRender, match="does not refer to frame 1"):
        pixels(dataset, one, 0)


def test_what_the_image_says_does_not_count() -> None:
    dataset = image(RAMP, "MONOCHROME1", RescaleSlope=100, WindowCenter=1, WindowWidth=1)
    one = state(dataset, SoftcopyVOILUTSequence=[item(WindowCenter=4, WindowWidth=1)])
    assert pixels(dataset, one)[0].tolist() == [0] * 4 + [255] * 4
    one.PresentationLUTShape = "INVERSE"
    assert pixels(dataset, one)[0].tolist() == [255] * 4 + [0] * 4
    assert pixels(dataset, one, voi=Window(6, 1))[0].tolist() == [255] * 6 + [0] * 2


def test_each_frame_has_its_window() -> None:
    dataset = image(np.stack([RAMP] * 3))
    windows = [item(WindowCenter=center, WindowWidth=1) for center in (2, 4, 6)]
    windows[0].ReferencedImageSequence = [reference(frames=[2])]
    windows[1].ReferencedImageSequence = [reference(sop_instance_uid="2.25.99")]
    one = state(dataset, SoftcopyVOILUTSequence=windows)
    assert [np.count_nonzero(pixels(dataset, one, index) == 0) for index in range(3)] == [6, 2, 6]


def test_a_presentation_table_gives_p_values() -> None:
    dataset = image(np.array([[0, 85, 170, 255]], "u1"))
    one = state(dataset, PresentationLUTSequence=[lut(0, [1023, 512, 100, 0], 10)])
    assert pixels(dataset, one)[0].tolist() == [255, 128, 25, 0]


def test_a_mask_is_subtracted() -> None:
    frames = np.stack([RAMP * 10, RAMP * 20, RAMP * 10 + 200])
    dataset = image(frames)
    operation = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 2], ApplicableFrameRange=[3, 3])
    windows = {"SoftcopyVOILUTSequence": [item(WindowCenter=165, WindowWidth=70, VOILUTFunction="LINEAR_EXACT")]}
    one = state(dataset, MaskSubtractionSequence=[operation], **windows)
    expected = np.clip((200 - 5 * RAMP[0] - 165) / 70 + 0.5, 0, 1) * 255
    assert np.array_equal(pixels(dataset, one, 2)[0], np.rint(expected))
    assert pixels(dataset, one, 1)[0].tolist() == pixels(dataset, state(dataset, **windows), 1)[0].tolist()
    one.RescaleSlope, one.RescaleIntercept = 2, 7  # the intercept goes away, the slope stays
    one.SoftcopyVOILUTSequence[0].WindowCenter, one.SoftcopyVOILUTSequence[0].WindowWidth = 330, 140
    assert np.array_equal(pixels(dataset, one, 2)[0], np.rint(expected))
    for keyword, value in (("MaskOperation", "TID"), ("MaskSubPixelShift", [0.5, 0]), ("MaskFrameNumbers", [9])):
        before = operation.get(keyword)
        setattr(operation, keyword, value)
        with pytest.raises(CannotRender):
            pixels(dataset, one, 2)
        setattr(operation, keyword, before)


def test_other_objects_are_no_presentation_states() -> None:
    one = state(BLANK)
    one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.11.4"  # blending
    with pytest.raises(CannotRender, match="no presentation state that is followed"):
        pixels(BLANK, one)
    with pytest.raises(CannotRender, match="no presentation state"):
        pixels(BLANK, BLANK)


def test_an_area_beyond_the_image_is_black_there() -> None:
    one = state(BLANK, DisplayedAreaSelectionSequence=[area((-9, -4), (90, 70))])
    shown = pixels(BLANK, one)
    assert shown.shape == (75, 100)
    assert (shown[5:65, 10:90] == 100).all() and np.count_nonzero(shown) == 60 * 80
    one.DisplayedAreaSelectionSequence = [area((200, 200), (210, 220))]
    assert pixels(BLANK, one).shape == (21, 11) and not pixels(BLANK, one).any()


def test_magnification_and_aspect_ratio() -> None:
    one = state(BLANK)
    one.DisplayedAreaSelectionSequence = [area((1, 1), (80, 60), "MAGNIFY", PresentationPixelMagnificationRatio=1.5)]
    assert pixels(BLANK, one).shape == (90, 120)
    one.DisplayedAreaSelectionSequence = [area((1, 1), (80, 60), PresentationPixelAspectRatio=[2, 1])]
    assert pixels(BLANK, one).shape == (120, 80)
    assert pixels(BLANK, one, square_pixels=False).shape == (60, 80)
    one.DisplayedAreaSelectionSequence = [area((1, 1), (80, 60), PresentationPixelSpacing=["0.5", "1"])]
    one.ImageRotation = 90
    assert pixels(BLANK, one).shape == (160, 60)


def test_an_area_that_is_huge_or_none_is_refused() -> None:
    for corners in (((1, 1), (2**31 - 1, 2**31 - 1)), ((-(2**31), 1), (5, 5))):
        with pytest.raises(CannotRender, match="too many"):
            pixels(BLANK, state(BLANK, DisplayedAreaSelectionSequence=[area(*corners)]))
    one = state(BLANK, DisplayedAreaSelectionSequence=[item(PresentationSizeMode="SCALE TO FIT")])
    with pytest.raises(CannotRender, match="corners"):
        pixels(BLANK, one)
    tiled = image(np.zeros((60, 80), "u1"), TotalPixelMatrixColumns=800, TotalPixelMatrixRows=600)
    for dataset, is_refused in ((BLANK, False), (tiled, True)):
        one = state(dataset)
        one.DisplayedAreaSelectionSequence[0].PixelOriginInterpretation = "VOLUME"
        if is_refused:
            with pytest.raises(CannotRender, match="Total Pixel Matrix"):
                pixels(dataset, one)
        else:
            assert pixels(dataset, one).shape == (60, 80)
    with pytest.raises(CannotRender, match="no right angle"):
        pixels(BLANK, state(BLANK, ImageRotation=45))


SHUTTER = {"ShutterPresentationValue": 0x8080}


def test_a_rectangular_shutter() -> None:
    edges = dict(zip(("Left", "Right", "Upper", "Lower"), (11, 40, 6, 30), strict=True))
    named = {f"Shutter{k}{'Vertical' if k in ('Left', 'Right') else 'Horizontal'}Edge": v for k, v in edges.items()}
    shown = pixels(BLANK, state(BLANK, ShutterShape="RECTANGULAR", **named, **SHUTTER))
    assert (shown[5:30, 10:40] == 100).all()
    assert np.count_nonzero(shown == 0x80) == 60 * 80 - 25 * 30
    assert (pixels(BLANK, state(BLANK, ShutterShape="RECTANGULAR", **named), shutters=False) == 100).all()


def test_a_circular_shutter() -> None:
    circle = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [30, 41], "RadiusOfCircularShutter": 20}
    shown = pixels(BLANK, state(BLANK, **circle))
    rows, columns = np.indices((60, 80))
    inside = (rows - 29) ** 2 + (columns - 40) ** 2 <= 400
    assert np.array_equal(shown, np.where(inside, 100, 0))


def test_a_polygonal_shutter_and_another() -> None:
    square = {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [11, 11, 11, 31, 31, 31, 31, 11]}
    shown = pixels(BLANK, state(BLANK, **square))
    assert (shown[10:31, 10:31] == 100).all() and np.count_nonzero(shown) == 21 * 21
    square["ShutterShape"] = ["POLYGONAL", "CIRCULAR"]
    both = state(BLANK, **square, CenterOfCircularShutter=[21, 21], RadiusOfCircularShutter=5)
    assert np.count_nonzero(pixels(BLANK, both)) == 81  # the grid points of a circle of radius 5


def test_a_bitmap_shutter_is_no_overlay() -> None:
    mask = np.zeros((60, 80), bool)
    mask[:, :10] = True
    one = state(BLANK, ShutterShape="BITMAP", ShutterOverlayGroup=0x6002, **SHUTTER)
    add_overlay(one, mask, group=0x6002, layer="A")
    shown = pixels(BLANK, one)
    assert (shown[:, :10] == 0x80).all() and (shown[:, 10:] == 100).all()


def test_the_shutter_of_an_image_without_a_state() -> None:
    dataset = image(np.full((60, 80), 100, "u1"), ShutterShape="CIRCULAR")
    dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter = [30, 41], 20
    assert render(dataset).pixels[0, 0] == 0
    assert (pixels(dataset, state(dataset)) == 100).all()


def test_a_circle_is_round_where_pixels_are_not_square() -> None:
    dataset = image(np.full((60, 80), 100, "u1"), ShutterShape="CIRCULAR", PixelAspectRatio=[2, 1])
    dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter = [30, 41], 20
    shown = render(dataset, 0, Rendering(interpolation="nearest")).pixels
    top, left, bottom, right = extent(np.argwhere(shown == 100))
    assert abs((bottom - top) - (right - left)) <= 2


def test_only_activated_overlays_are_shown() -> None:
    dataset = image(np.full((60, 80), 100, "u1"))
    add_overlay(dataset, np.ones((1, 5), bool))
    add_overlay(dataset, np.ones((1, 5), bool), group=0x6002, origin=(11, 11))
    one = state(dataset)
    assert (pixels(dataset, one) == 100).all()
    one.add_new((0x6002, 0x1001), "CS", "A")
    one.GraphicLayerSequence = [item(GraphicLayer="A", GraphicLayerOrder=1)]
    one.GraphicLayerSequence[0].GraphicLayerRecommendedDisplayGrayscaleValue = 0x4040
    assert extent(changed(pixels(dataset, one))) == (10, 10, 10, 14)
    assert pixels(dataset, one)[10, 10] == 0x40
    add_overlay(one, np.ones((2, 2), bool), group=0x6002, origin=(1, 1), layer="A")  # its own
    assert extent(changed(pixels(dataset, one))) == (0, 0, 1, 1)
    assert (pixels(dataset, one, overlays=False) == 100).all()


@pytest.mark.parametrize(
    ("made", "drawn"),
    [
        (graphic("POLYLINE", 10.5, 5.5, 20.5, 5.5), (5, 10, 5, 20)),
        (graphic("POLYLINE", 10.5, 5.5, 10.5, 25.5, 30.5, 25.5, 10.5, 5.5), (5, 10, 25, 30)),
        (graphic("CIRCLE", 40.5, 30.5, 40.5, 10.5), (10, 20, 50, 60)),
        (graphic("ELLIPSE", 10.5, 30.5, 70.5, 30.5, 40.5, 20.5, 40.5, 40.5), (20, 10, 40, 70)),
        (graphic("POINT", 40.5, 30.5), (29, 39, 31, 41)),
        (graphic("INTERPOLATED", 10.5, 10.5, 40.5, 10.5, 70.5, 10.5), (10, 10, 10, 70)),
        (graphic("POLYLINE", 0.25, 0.5, 0.75, 0.5, units="DISPLAY"), (29, 19, 30, 60)),
    ],
)
def test_graphics_lie_where_they_say(made: Dataset, drawn: tuple[int, ...]) -> None:
    shown = pixels(BLANK, annotated(made))
    assert set(np.unique(shown)) <= {100, 255}
    assert extent(changed(shown)) == pytest.approx(drawn, abs=1)
    assert (pixels(BLANK, annotated(made), annotations=False) == 100).all()


def test_graphics_of_pixels_move_with_the_image() -> None:
    made = annotated(graphic("POLYLINE", 10.5, 5.5, 20.5, 5.5), ImageRotation=90, ImageHorizontalFlip="Y")
    # clockwise (row, column) -> (column, 59 - row), then flipped: (column, row)
    assert extent(changed(pixels(BLANK, made))) == (10, 5, 20, 5)
    assert extent(changed(pixels(BLANK, made, size=(160, 120)))) == pytest.approx((21, 11, 41, 11), abs=1)
    made = annotated(graphic("POLYLINE", 0.1, 0.1, 0.9, 0.1, units="DISPLAY"), ImageRotation=90)
    assert extent(changed(pixels(BLANK, made))) == pytest.approx((8, 6, 8, 54), abs=1)


def test_what_is_filled() -> None:
    square = graphic("POLYLINE", 10.5, 10.5, 20.5, 10.5, 20.5, 20.5, 10.5, 20.5, 10.5, 10.5, filled="Y")
    assert len(changed(pixels(BLANK, annotated(square)))) == 121
    square.GraphicFilled = "N"
    assert len(changed(pixels(BLANK, annotated(square)))) == 40
    disc = graphic("CIRCLE", 40.5, 30.5, 40.5, 10.5, filled="Y")
    assert len(changed(pixels(BLANK, annotated(disc)))) == pytest.approx(np.pi * 400, rel=0.06)


def test_layers_lie_in_their_order() -> None:
    one = annotated(graphic("POLYLINE", 0, 30.5, 80, 30.5))
    one.GraphicAnnotationSequence.append(item(GraphicLayer="B"))
    one.GraphicAnnotationSequence[1].GraphicObjectSequence = [graphic("POLYLINE", 40.5, 0, 40.5, 60)]
    one.GraphicLayerSequence = [
        item(GraphicLayer=name, GraphicLayerOrder=order, GraphicLayerRecommendedDisplayGrayscaleValue=gray)
        for name, order, gray in (("A", 2, 0xFFFF), ("B", 1, 0x2020))
    ]
    shown = pixels(BLANK, one)
    assert (shown[30, 40], shown[10, 40], shown[30, 10]) == (255, 0x20, 255)
    one.GraphicLayerSequence[1].GraphicLayerOrder = 3
    assert pixels(BLANK, one)[30, 40] == 0x20


def test_a_curve_goes_through_its_points() -> None:
    points = [(0.0, 0.0), (10.0, 5.0), (20.0, -5.0), (30.0, 0.0)]
    curve = interpolated(points)
    assert set(points) <= set(curve) and len(curve) == 49
    assert curve[8] == pytest.approx((4.375, 2.8125 + 0.3125))  # (-p + 9 q + 9 r - s) / 16, and p is q at an end


def test_an_ellipse_goes_through_the_ends_of_its_axes() -> None:
    curve = ellipse((10.0, 20.0), (6.0, 3.0), (-1.0, 2.0))
    ends = [(16, 23), (9, 22), (4, 17), (11, 18), (16, 23)]
    assert [curve[index] for index in (0, 64, 128, 192, 256)] == [pytest.approx(end) for end in ends]


def test_a_closed_curve_has_no_corner() -> None:
    curve = interpolated([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)])
    middles = [curve[index] for index in (8, 24, 40, 56)]
    assert middles == [(5.0, -1.25), (11.25, 5.0), (5.0, 11.25), (-1.25, 5.0)]


def text_object(value: str, **attributes: object) -> Dataset:
    return item(UnformattedTextValue=value, **attributes)


BOX = {
    "BoundingBoxAnnotationUnits": "PIXEL",
    "BoundingBoxTopLeftHandCorner": [100.0, 40.0],
    "BoundingBoxBottomRightHandCorner": [200.0, 80.0],
}


def test_texts_lie_in_their_boxes() -> None:
    dataset = image(np.full((200, 300), 100, "u1"))
    places = {}
    for justification in ("LEFT", "CENTER", "RIGHT"):
        one = state(dataset)
        made = text_object("III\r\nI", **BOX, BoundingBoxTextHorizontalJustification=justification)
        one.GraphicAnnotationSequence = [item(GraphicLayer="A", TextObjectSequence=[made])]
        places[justification] = extent(changed(pixels(dataset, one)))
    assert all(40 <= top < bottom < 80 and 99 <= left < right <= 200 for top, left, bottom, right in places.values())
    assert places["LEFT"][1] < places["CENTER"][1] < places["RIGHT"][1]
    assert places["LEFT"][1] < 105 and places["RIGHT"][3] > 195


def test_a_text_with_an_anchor() -> None:
    dataset = image(np.full((200, 300), 100, "u1"))
    anchor = {"AnchorPoint": [20.5, 150.5], "AnchorPointAnnotationUnits": "PIXEL"}
    one = state(dataset)
    one.GraphicAnnotationSequence = [item(GraphicLayer="A", TextObjectSequence=[text_object("Text", **anchor)])]
    top, left, bottom, right = extent(changed(pixels(dataset, one)))
    assert 140 <= top < bottom <= 160 and 20 < left < right < 80
    shown = text_object("Text", **BOX, **anchor, AnchorPointVisibility="Y")
    one.GraphicAnnotationSequence[0].TextObjectSequence = [shown]
    assert pixels(dataset, one)[150, 20] == 255
    shown.AnchorPointVisibility = "N"
    assert pixels(dataset, one)[150, 20] == 100


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (annotated(graphic("STAR", 1, 1)), "Graphic Type is 'STAR'"),
        (annotated(graphic("ELLIPSE", 1, 1, 2, 2)), "ELLIPSE has 2 points"),
        (annotated(graphic("POLYLINE", 1, 1, 2)), "3 numbers"),
        (annotated(graphic("POINT")), "POINT has 0 points"),
        (annotated(graphic("CIRCLE", 1, 1)), "CIRCLE has 1 points"),
        (annotated(graphic("POLYLINE", 1, 1)), "POLYLINE has 1 points"),
        (annotated(graphic("INTERPOLATED", 1, 1)), "INTERPOLATED has 1 points"),
        (annotated(graphic("ELLIPSE", 1, 1, 2, 2, 3, 3)), "ELLIPSE has 3 points"),
        (annotated(graphic("POINT", float("nan"), 1)), "not a number"),
        (annotated(graphic("POINT", 1, 1, units="MATRIX")), "Graphic Annotation Units is 'MATRIX'"),
        (annotated(texts=(text_object("x"),)), "neither"),
        (state(BLANK, PresentationLUTShape="CURVED"), "Presentation LUT Shape is 'CURVED'"),
        (state(BLANK, PresentationLUTSequence=[lut(0, [1], 10, count=256)]), "1 of 256 entries"),
        (state(BLANK, SoftcopyVOILUTSequence=[item(WindowCenter=1, WindowWidth=0)]), "width"),
    ],
)
def test_what_lies_is_named(made: Dataset, complaint: str) -> None:
    with pytest.raises(CannotRender, match=complaint):
        pixels(BLANK, made)


def test_graphics_far_away_cost_nothing() -> None:
    far = graphic("POLYLINE", -1e30, -1e30, 1e30, 1e30)
    assert len(changed(pixels(BLANK, annotated(far, graphic("CIRCLE", 0, 0, 1e20, 1e20, filled="Y"))))) > 0
    control = text_object("\x1b[31m" + "x" * 100_000, **BOX)
    assert pixels(BLANK, annotated(texts=(control,))).shape == (60, 80)
