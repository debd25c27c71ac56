"""The data set of the N-SET of an image box: kept in a file, read without its pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from medserver.dicom.json_model import JSON, read_json_beside_pixels
from medserver.errors import InvalidAttributeValue, MissingAttributeValue, NoPrintMemory
from medserver.node import Node
from medserver.printing.pixels import PIXELS_BYTES_MAX, ReceivedPixels, check_space
from medserver.services.identifier import DEPTH_MAX
from medserver.services.request import Request
from medserver.workitems.content import has, items, tag_of

VALUES_MAX_BYTES, ELEMENTS_MAX = 1 << 20, 10_000
"""What an image box may have beside pixels, which is in memory: a hundredth of that is common."""

SPACE_EVERY_BYTES = 1 << 24
"""After so much is looked again whether there is space."""


@contextmanager
def received_image_list(
    request: Request, node: Node, keyword: str
) -> Iterator[tuple[JSON, ReceivedPixels | None, bool]]:
    """Give the attributes of an image box, its image, and whether the image was erased (a sequence without items).

    Parameters
    ----------
    request : Request
        The request.
    node : Node
        Where.
    keyword : str
        The image sequence of the SOP class.

    Raises
    ------
    CannotUnderstand, DataSetTooLarge
        It cannot be read.
    InvalidAttributeValue, MissingAttributeValue
        There are several images, or one without pixels.
    NoPrintMemory
        It is too long, or there is no room.
    """
    config = node.config.current
    with tempfile.TemporaryFile(dir=config.node.data) as file:
        size_bytes = looked_at_bytes = 0
        try:
            for fragment in request.message.fragments():
                size_bytes += len(fragment)
                if size_bytes > PIXELS_BYTES_MAX:
                    raise NoPrintMemory(f"an image of more than {PIXELS_BYTES_MAX} bytes")
                if size_bytes >= looked_at_bytes:
                    check_space(config.node.data, SPACE_EVERY_BYTES, config.primary_volume.free_min_bytes)
                    looked_at_bytes = size_bytes + SPACE_EVERY_BYTES
                file.write(fragment)
        except OSError as error:
            raise NoPrintMemory(f"an image cannot be kept: {error.strerror}") from None
        limits = {"elements_max": ELEMENTS_MAX, "depth_max": DEPTH_MAX, "values_max_bytes": VALUES_MAX_BYTES}
        attributes, places = read_json_beside_pixels(
            file, size_bytes, request.context.transfer_syntax_uid, **limits
        )
        images = items(attributes, keyword)
        if len(images) > 1 or len(places) > len(images):
            raise InvalidAttributeValue("an image box has one image")
        if images and not places:
            raise MissingAttributeValue("PixelData of the image is missing")
        image = ReceivedPixels(images[0], file, *places[0]) if images else None
        others = {tag: element for tag, element in attributes.items() if tag != tag_of(keyword)}
        yield others, image, has(attributes, keyword) and not images
