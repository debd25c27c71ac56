"""The images of a film as an imager gets them: P-values in raw pixels, made by a worker process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from medserver.node import Node
from medserver.printing.composing import composed
from medserver.printing.film import Film
from medserver.printing.images import GatheredImage


@contextmanager
def image_boxes(
    node: Node, images_file: IO[bytes], images: Sequence[GatheredImage], film: Film, bits_max: int, is_colour: bool
) -> Iterator[tuple[IO[bytes], tuple[GatheredImage, ...]]]:
    """Give a file without a name with the pixels of each image, and where they lie.

    Polarity and Presentation LUT tables are applied. What people are to know who read the film, and its heading, is
    written into a strip above the first image: an imager composes no sheet for us.

    Parameters
    ----------
    node : Node
        Whose worker processes do it.
    images_file, images
        As `images.gathered_images` gives them.
    film : Film
        What is printed.
    bits_max : int
        8 or 12: of a gray value; it has less where the image has.
    is_colour : bool
        Whether all have colours; else all are gray.

    Raises
    ------
    CannotRender, CannotTranscode, OutOfResources
        They cannot be made.
    """
    with composed(node, "write_image_boxes", film, images_file, images, bits_max, is_colour) as (output, made):
        yield output, tuple(map(_gathered, made))


def _gathered(values: dict[str, object]) -> GatheredImage:
    return GatheredImage(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
