"""Pictures of many images beside each other: secondary captures."""

from __future__ import annotations

import numpy as np

from medserver.imaging.options import Rendering
from medserver.processing.codes import SOURCE_OF_MONTAGE
from medserver.processing.pixels.captures import capture_header, describe_picture, picture_of
from medserver.processing.pixels.images import Source, open_image
from medserver.processing.pixels.results import Derivation, derived_capture, reference
from medserver.processing.task import Task
from medserver.processing.types.capture import frames_of, window_of


def montage(task: Task) -> None:
    """Write pages of `rows` x `columns` frames, every `step`-th, in the order of Instance Number."""
    rows, columns, size, step = (int(task.parameters[name]) for name in ("down", "across", "size", "step"))
    window = window_of(task.parameters)
    frames = frames_of(task.sources)[::step]
    per_page = rows * columns
    rendering = Rendering(voi=window, size=(size, size), markers=task.parameters["markers"] == "yes")
    shown = f"{rows} x {columns} frames" + (f", window {window.center:g}/{window.width:g}" if window else "")
    derivation = Derivation(f"Montage of {shown}", (), f"montage {rows}x{columns}")
    for number in task.numbers(-(-len(frames) // per_page)):
        page = frames[(number - 1) * per_page : number * per_page]
        pictures = [_picture(task, source, index, rendering) for source, index in page]
        picture = _page(pictures, rows, columns, size)
        with open_image(page[0][0], task.outputs) as image:
            dataset = capture_header(image)
        describe_picture(dataset, picture, is_annotated=rendering.markers)
        items = [reference(source, SOURCE_OF_MONTAGE, keeps_grid=False) for source in _sources(page)]
        derived_capture(task, number, dataset, derivation, items, page[0][0].series_instance_uid)
        task.write(number, dataset, picture)


def _picture(task: Task, source: Source, index: int, rendering: Rendering) -> np.ndarray:
    with open_image(source, task.outputs) as image:
        return picture_of(image, index, rendering)


def _page(pictures: list[np.ndarray], rows: int, columns: int, size: int) -> np.ndarray:
    """Return pictures in the middle of their places, on black; in colour if one of them is."""
    colours = max(picture.ndim for picture in pictures) == 3
    page = np.zeros((rows * size, columns * size, 3)[: 3 if colours else 2], np.uint8)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        top = row * size + (size - picture.shape[0]) // 2
        left = column * size + (size - picture.shape[1]) // 2
        if colours and picture.ndim == 2:
            picture = picture[..., None]
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return page


def _sources(page: list[tuple[Source, int]]) -> list[Source]:
    """Return the images of a page, each once."""
    return list({source.sop_instance_uid: source for source, _ in page}.values())
