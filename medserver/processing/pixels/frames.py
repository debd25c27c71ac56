"""Filters that change one frame after the other: what they have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medserver.errors import ObjectTypeNotSupported
from medserver.processing.pixels.images import Image, open_image, text_of
from medserver.processing.pixels.padding import Padding
from medserver.processing.pixels.results import Derivation, derived_image
from medserver.processing.task import Task

Filter = Callable[[np.ndarray], np.ndarray]
"""From the stored values of a frame to other ones: of the same type, or float32."""


def filter_frames(task: Task, filter_of: Callable[[Image], Filter], derivation: Derivation) -> None:
    """Write each image with its frames filtered; padding stays, and nothing of it flows into what is beside it.

    Parameters
    ----------
    task : Task
        The task.
    filter_of : callable
        Gives the filter for an image.
    derivation : Derivation
        What is said of it.
    """
    padding = Padding()
    for number in task.numbers(len(task.sources)):
        with open_image(task.sources[number - 1], task.outputs) as image:
            check_grayscale(image, task.kind.name)
            pixels = np.empty(image.shape[:3], image.dtype)
            change = filter_of(image)
            for index in range(image.shape[0]):
                frame = image.frame(index)
                pixels[index] = padding.kept(
                    image.dataset, frame, lambda one, change=change, image=image: rounded(change(one), image)
                )
                task.reached((index + 1) / image.shape[0])
            task.write(number, derived_image(task, number, image, derivation), pixels)


def check_grayscale(image: Image, name: str) -> None:
    """Refuse colours, and indices of a palette.

    Raises
    ------
    ObjectTypeNotSupported
        It has such.
    """
    interpretation = text_of(image.dataset, "PhotometricInterpretation")
    if image.shape[3] != 1 or interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise ObjectTypeNotSupported(f"{name} takes grayscale images, and {image.source.name} is {interpretation}")


def rounded(values: np.ndarray, image: Image) -> np.ndarray:
    """Return values as they are stored: whole numbers within Bits Stored."""
    if values.dtype == image.dtype:
        return values
    return np.clip(np.rint(values, out=values), *image.limits, out=values).astype(image.dtype)
