"""Basic Structured Display objects: a layout and the images in it, which become a film.

Each image box of it is a rectangle in fractions of a display. A film has rows and columns of image boxes: those of the
display are put into the grid that has a row and a column for each of their edges. What is shown besides (text, overlays
of the display) is not printed.

References
----------
PS3.3 A.33.7, PS3.3 C.11.17
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from medserver.config import Printer
from medserver.dicom.dataset_values import value_of
from medserver.errors import ObjectNotReadable
from medserver.node import Node
from medserver.printing.film import Film
from medserver.printing.format import AUTOMATIC, FilmFormat, check_layout
from medserver.printing.layout import COUNT_MAX
from medserver.printing.pictures import (
    Picture,
    StoredImage,
    check_shown,
    frame_numbers_of,
    header_of,
    items_of,
    numbers_of,
    stored_images,
)
from medserver.printing.requests import Placed, film_of_boxes, films_of, headed
from medserver.processing.requests import Reference

TOLERANCE = 0.02
"""Edges that lie so close to each other are one, in fractions of the display."""


def films_of_display(node: Node, display: StoredImage, wanted: FilmFormat, printer: Printer) -> list[Film]:
    """Return the film of a display; with a layout of its own the format has its images paged by that.

    Raises
    ------
    ObjectNotReadable
        It is damaged, has no image boxes, or they are none.
    ObjectTypeNotSupported
        What it shows is no image, or has no such frame.
    UnusableParameters
        Its image boxes have no room on the film.
    IncompleteObjectSet
        An image of it is not stored here.
    StoreFailure
        It cannot be read.
    """
    dataset = header_of(node, display.sop_instance_uid)
    boxes = items_of(dataset, "StructuredDisplayImageBoxSequence")
    named = [_named(box) for box in boxes]
    stored = stored_images(node, [one.sop_instance_uid for one in named if one.sop_instance_uid])
    pictures = [replace(one, stored=stored.get(one.sop_instance_uid)) for one in named]
    for one in pictures:
        if one.stored is not None:
            check_shown(one.stored, one.frame_number)
    if not any(one.sop_instance_uid for one in pictures):
        raise ObjectNotReadable(f"structured display {display.sop_instance_uid} shows no images")
    if wanted.layout != AUTOMATIC:
        return films_of([one for one in pictures if one.sop_instance_uid], wanted, printer)
    layout, positions = _grid([_position(box) for box in boxes])
    check_layout(layout, wanted, printer)
    placed: list[Placed] = sorted(
        (position, one) for position, one in zip(positions, pictures, strict=True) if one.sop_instance_uid
    )
    label = str(value_of(dataset, "ContentDescription") or value_of(dataset, "ContentLabel") or "")
    given = wanted if wanted.annotation or not label else replace(wanted, annotation=label)
    return headed([film_of_boxes(layout, placed, given, printer)], [placed], given)


def references_of_display(dataset: Dataset) -> Iterator[Reference]:
    """Yield what a display refers to: its images, and their presentation states."""
    for box in items_of(dataset, "StructuredDisplayImageBoxSequence"):
        for keyword in ("ReferencedImageSequence", "ReferencedPresentationStateSequence"):
            for item in items_of(box, keyword):
                instances = ((_text(item, "ReferencedSOPClassUID"), _text(item, "ReferencedSOPInstanceUID")),)
                study = _text(item, "StudyInstanceUID") or _text(box, "StudyInstanceUID")
                series = _text(item, "SeriesInstanceUID") or _text(box, "SeriesInstanceUID")
                yield Reference(study, series, instances, _text(item, "RetrieveAETitle"))


def _named(box: Dataset) -> Picture:
    """Return the first image of a box; what scrolls or runs there has its first one printed."""
    for image in items_of(box, "ReferencedImageSequence"):
        frames = frame_numbers_of(image)
        states = items_of(box, "ReferencedPresentationStateSequence")
        state = _text(states[0], "ReferencedSOPInstanceUID") if states else ""
        return Picture(_text(image, "ReferencedSOPInstanceUID"), None, frames[0] if frames else 1, state)
    return Picture("")


def _position(box: Dataset) -> tuple[float, ...]:
    """Return left, top, right and bottom, as Display Environment Spatial Position has them: y counts from below."""
    edges = numbers_of(box, "DisplayEnvironmentSpatialPosition")
    if len(edges) != 4 or not all(-TOLERANCE <= edge <= 1 + TOLERANCE for edge in edges):
        raise ObjectNotReadable("an image box of the structured display has no place on it")
    left, top, right, bottom = edges
    return left, 1 - top, right, 1 - bottom


def _grid(boxes: Sequence[tuple[float, ...]]) -> tuple[str, list[int]]:
    """Return the Image Display Format for rectangles, and the position of each, by where its upper left corner is."""
    lefts, tops = _edges([box[0] for box in boxes]), _edges([box[1] for box in boxes])
    places = [(_place(tops, box[1]), _place(lefts, box[0])) for box in boxes]
    if len(set(places)) < len(places) or len(lefts) * len(tops) > COUNT_MAX:
        raise ObjectNotReadable("image boxes of the structured display lie on each other")
    rows = [sum(1 for row, _ in places if row == index) for index in range(len(tops))]
    if len(set(rows)) > 1 and all(rows):
        # Rows with different counts: each has its images in their order from the left.
        order = sorted(range(len(places)), key=lambda index: places[index])
        return "ROW\\" + ",".join(map(str, rows)), [order.index(index) + 1 for index in range(len(places))]
    return f"STANDARD\\{len(lefts)},{len(tops)}", [row * len(lefts) + column + 1 for row, column in places]


def _edges(values: Sequence[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > TOLERANCE:
            found.append(value)
    return found


def _place(edges: Sequence[float], value: float) -> int:
    return min(range(len(edges)), key=lambda index: abs(edges[index] - value))


def _text(item: Dataset, keyword: str) -> str:
    value = value_of(item, keyword)
    return str(value[0] if isinstance(value, list) and value else value or "")
