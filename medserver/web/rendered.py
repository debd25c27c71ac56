"""Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 8.3.5): pictures, made by worker processes."""

from __future__ import annotations

import os
import re
from contextlib import closing

from medserver import archive
from medserver.errors import BadRequest, NoSuchFrames
from medserver.imaging.options import FUNCTIONS, Rendering, Window
from medserver.imaging.pictures import render_picture
from medserver.node import Node
from medserver.region import open_region
from medserver.web.audit import accesses
from medserver.web.negotiation import Offer
from medserver.web.request import Answer, Request
from medserver.web.retrieve import selection_of

OFFERS = (Offer("image/jpeg"), Offer("image/png"))
FORMATS = {"image/jpeg": "jpeg", "image/png": "png"}

QUALITY_DEFAULT = 90
SIDE_MAX = 8192
THUMBNAIL_SIZE = (128, 128)

_NUMBER = r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_WINDOW = re.compile(rf"({_NUMBER}),({_NUMBER}),(linear|linear-exact|sigmoid)")
_VIEWPORT = re.compile(r"([0-9]{1,5}),([0-9]{1,5})(,.*)?")
_FRAME = re.compile(r"[0-9]{1,9}")


def rendered(request: Request, node: Node) -> Answer:
    """Send a picture of an instance or a frame.

    Raises
    ------
    BadRequest
        A parameter has a value that is not one of it.
    NoSuchInstance, NoSuchFrames
        There is nothing of this UID, or no such frame.
    CannotRender
        It cannot be shown.
    """
    return _picture(request, node, _size(request))


def thumbnail(request: Request, node: Node) -> Answer:
    """Send a small picture of what is named, or of the first instance in it; otherwise as `rendered`."""
    return _picture(request, node, _size(request) or THUMBNAIL_SIZE)


def _picture(request: Request, node: Node, size: tuple[int, int] | None) -> Answer:
    selected = request.select(OFFERS)
    options = Rendering(voi=_window(request), size=size)
    quality = _quality(request)
    selection = selection_of(request, node)
    accesses.tell(request, node, selection)
    copy = next(iter(selection))
    frame_index = _frame_index(request)
    transcoder = node.transcoder
    with archive.ReadAhead(node, [copy]) as instances, render_picture(
        instances.outgoing(copy), frame_index, options, node.processors, transcoder.directory,
        name=FORMATS[selected.offer.media_type], quality=quality,
    ) as picture:  # fmt: skip
        size_bytes = os.fstat(picture.descriptor).st_size
        with closing(open_region(picture.descriptor, 0, size_bytes)) as file:
            body = file.read()
    return Answer(200, body, selected.offer.media_type, {"cache-control": "private, no-cache"})


def _frame_index(request: Request) -> int:
    text = request.path.get("frames", "1")
    if _FRAME.fullmatch(text) is None:
        raise BadRequest("one frame is rendered at a time")
    if int(text) < 1:
        raise NoSuchFrames("frames are counted from 1")
    return int(text) - 1


def _window(request: Request) -> Window | None:
    """Read ``window`` (PS3.18 8.3.5.1.4): all three values."""
    text = request.parameter("window")
    if text is None:
        return None
    found = _WINDOW.fullmatch(text)
    if found is None or float(found[2]) <= 0:
        raise BadRequest("window is center,width,function: function is linear, linear-exact or sigmoid")
    function = next(each for each in FUNCTIONS if each.lower().replace("_", "-") == found[3])
    return Window(float(found[1]), float(found[2]), function)


def _size(request: Request) -> tuple[int, int] | None:
    """Read ``viewport`` (PS3.18 8.3.5.1.3): width and height."""
    text = request.parameter("viewport")
    if text is None:
        return None
    found = _VIEWPORT.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= SIDE_MAX or not 0 < int(found[2]) <= SIDE_MAX:
        raise BadRequest(f"viewport is width,height: from 1 to {SIDE_MAX}")
    if found[3]:
        raise BadRequest("a region of the image cannot be chosen: viewport is width,height")
    return int(found[2]), int(found[1])


def _quality(request: Request) -> int:
    text = request.parameter("quality")
    if text is None:
        return QUALITY_DEFAULT
    if _FRAME.fullmatch(text) is None or not 1 <= int(text) <= 100:
        raise BadRequest("quality is a number from 1 to 100")
    return int(text)
