"""Copies of images as a new series."""

from __future__ import annotations

from medserver.processing.pixels.images import open_image
from medserver.processing.pixels.results import Derivation, derived_image
from medserver.processing.task import Task

_COPY = Derivation("Copy", (), "copy")


def copy(task: Task) -> None:
    """Write each image again, decoded, as a new instance in a new series."""
    for number in task.numbers(len(task.sources)):
        with open_image(task.sources[number - 1], task.outputs) as image:
            pixels = image.pixels()
            task.write(number, derived_image(task, number, image, _COPY), pixels)
