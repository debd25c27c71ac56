"""Render a frame of a data set in a file, and write the picture. The job that worker processes do."""

from __future__ import annotations

import io
import os
from typing import Any

from medserver.errors import CannotRender
from medserver.imaging.extra import need_pillow
from medserver.imaging.image import Image
from medserver.imaging.messages import from_json
from medserver.imaging.reading import read_object
from medserver.imaging.rendering import render

_FORMATS = {"png": "PNG", "jpeg": "JPEG"}


def write_picture(
    source_descriptor: int,
    output_descriptor: int,
    *more: Any,
) -> list[int]:
    """Render a frame, and write it as PNG or JPEG.

    Parameters
    ----------
    source_descriptor, output_descriptor : int
        Open files.
    *more
        The descriptor of a presentation state, if there is one; where the image lies in its file, where the
        presentation state does (offset, length, Transfer Syntax UID each, None without it), the number of the frame
        from 0, what `messages.as_json` gives, ``png`` or ``jpeg``, and the quality of a JPEG.

    Returns
    -------
    list of int
        Rows, columns, samples per pixel, and bits of a sample.

    Raises
    ------
    CannotRender
        See `rendering.render`; or the format cannot hold the picture.
    """
    *state_descriptor, image_at, state_at, frame_index, options, name, quality = more
    dataset = read_object(source_descriptor, *image_at)
    state = read_object(state_descriptor[0], *state_at) if state_descriptor else None
    picture = render(dataset, frame_index, from_json(options, state))
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        output.write(encoded(picture, name, quality))
    return [picture.rows, picture.columns, 3 if picture.is_colour else 1, picture.bits]


def encoded(picture: Image, name: str, quality: int = 90) -> bytes:
    """Return a picture in a format that everybody reads.

    Parameters
    ----------
    picture : Image
        What was rendered.
    name : str
        ``png`` or ``jpeg``.
    quality : int
        Of a JPEG, 1 to 100.

    Raises
    ------
    CannotRender
        The format is none of these, or cannot hold so many bits.
    """
    need_pillow("writing of pictures")
    from PIL import Image as Pillow

    if name not in _FORMATS:
        raise CannotRender(f"pictures are not written as {name}")
    if picture.bits == 16 and (picture.is_colour or name == "jpeg"):
        raise CannotRender(f"16 bits of {'colour' if picture.is_colour else 'gray'} are not written as {name}")
    file = io.BytesIO()
    options = {"quality": quality, "subsampling": 0} if name == "jpeg" else {}  # text over colours stays readable
    Pillow.fromarray(picture.pixels).save(file, _FORMATS[name], **options)
    return file.getvalue()
