"""Pictures of what is seen of images, with their window and what is written over them: secondary captures."""

from __future__ import annotations

from itertools import groupby

from medserver.errors import UnusableParameters
from medserver.imaging.options import Rendering, Text, Window
from medserver.processing.parameters import Values
from medserver.processing.pixels.captures import capture_header, describe_picture, picture_of
from medserver.processing.pixels.images import Image, Source, integer_of, open_image, text_of
from medserver.processing.pixels.results import Derivation, derived_capture, reference
from medserver.processing.task import Task


def capture(task: Task) -> None:
    """Write a picture of each frame of each image."""
    frames = frames_of(task.sources)
    window = window_of(task.parameters)
    wanted = task.numbers(len(frames))
    for source, numbers in groupby(wanted, lambda number: frames[number - 1][0]):
        with open_image(source, task.outputs) as image:  # it is decoded once for all of its frames
            for number in numbers:
                _write(task, number, image, frames[number - 1][1], window)


def _write(task: Task, number: int, image: Image, index: int, window: Window | None) -> None:
    rendering = _rendering(task.parameters, image, window)
    picture = picture_of(image, index, rendering)
    dataset = capture_header(image)
    describe_picture(dataset, picture, is_annotated=bool(rendering.texts) or rendering.markers)
    item = reference(image.source, keeps_grid=False, frame_number=index + 1 if image.shape[0] > 1 else 0)
    derivation = Derivation(_description(window), (), "capture")
    derived_capture(task, number, dataset, derivation, [item], image.source.series_instance_uid)
    task.write(number, dataset, picture)


def frames_of(sources: list[Source]) -> list[tuple[Source, int]]:
    """Return all frames, with their index from 0."""
    counts = [(source, max(integer_of(source.facts, "NumberOfFrames", 1), 1)) for source in sources]
    return [(source, index) for source, count in counts for index in range(count)]


def window_of(parameters: dict[str, Values]) -> Window | None:
    """Return the window that is asked for.

    Raises
    ------
    UnusableParameters
        It has no width.
    """
    if "window" not in parameters:
        return None
    center, width = parameters["window"]
    if width < 1:
        raise UnusableParameters(f"the width of the window is {width:g}, and not at least 1")
    return Window(center, width)


def _rendering(parameters: dict[str, Values], image: Image, window: Window | None) -> Rendering:
    size = parameters.get("size")
    return Rendering(
        voi=window,
        markers=parameters["markers"] == "yes",
        texts=tuple(_texts(parameters, image)),
        size=(size, size) if size else None,
    )


def _texts(parameters: dict[str, Values], image: Image) -> list[Text]:
    texts = []
    if parameters["patient"] == "yes":
        about = [text_of(image.dataset, keyword) for keyword in ("PatientName", "PatientID", "PatientBirthDate")]
        study = [text_of(image.dataset, keyword) for keyword in ("StudyDescription", "StudyDate", "SeriesDescription")]
        texts = [Text("top left", tuple(filter(None, about))), Text("top right", tuple(filter(None, study)))]
    if "text" in parameters:
        texts.append(Text("bottom left", tuple(line.strip() for line in str(parameters["text"]).split("|"))))
    return [text for text in texts if text.lines]


def _description(window: Window | None) -> str:
    how = f"window {window.center:g}/{window.width:g}" if window else "as the image says"
    return f"Secondary capture, {how}"
