"""Frames and other bulk data (WADO-RS, PS3.18 10.4.1.1.5, 10.4.1.1.6): pixels without the data set around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import BinaryIO

from medserver import archive
from medserver.codecs import Transcoded, copy_bulk_data
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import BadRequest, NoSuchFrames, NotAcceptable
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.web.audit import accesses
from medserver.web.multipart import Part, content_type, new_boundary, written
from medserver.web.negotiation import AS_STORED, Offer, Selected
from medserver.web.request import Answer, Request
from medserver.web.retrieve import PIECE_BYTES, possible_syntaxes, selection_of

FRAMES_MAX = 10_000
PIXEL_DATA = 0x7FE00010

MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "image/jpeg": ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51",
                   "1.2.840.10008.1.2.4.57"),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/jls": ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    "image/jp2": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "image/jpx": ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"),
    "image/jphc": ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
    "image/jxl": ("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112"),
}  # fmt: skip
"""Media type of compressed pixels -> its transfer syntaxes, the default first (PS3.18 table 8.7.3-5)."""

OCTETS = Offer("application/octet-stream", is_multipart=True, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)

OFFERS = (
    OCTETS, *(Offer(name, is_multipart=True, transfer_syntax_uid=uids[0]) for name, uids in MEDIA_TYPES.items()),
)  # fmt: skip

VALUE_OFFERS = (Offer("application/octet-stream", is_multipart=True), Offer("application/octet-stream"))
"""What a value that is no pixels is sent as."""

_NUMBERS = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")


def frames(request: Request, node: Node) -> Answer:
    """Send the pixels of frames, each as a part, in the order in which they are named.

    Raises
    ------
    BadRequest
        The list of frames is none.
    NoSuchInstance, NoSuchFrames
        There is no such instance, or it has no such frame.
    NotAcceptable, CannotTranscode
        The pixels can be brought into nothing that is accepted.
    """
    text = request.path["frames"]
    if _NUMBERS.fullmatch(text) is None or text.count(",") >= FRAMES_MAX:
        raise BadRequest(f"{text[:40]} is no list of frame numbers")
    numbers = [int(number) for number in text.split(",")]
    if 0 in numbers:
        raise BadRequest("frames are counted from 1")
    return _pixels(request, node, numbers)


def bulk_data(request: Request, node: Node) -> Answer:
    """Send a value to which metadata refers.

    Raises
    ------
    NoSuchInstance, NoSuchFrames
        There is no such instance, or it has no such value.
    NotAcceptable, CannotTranscode
        It can be sent in nothing that is accepted.
    """
    text = request.path["tag"]
    if _TAG.fullmatch(text) is None:
        raise NoSuchFrames("the object has no such value")
    if int(text, 16) == PIXEL_DATA:
        return _pixels(request, node, [])
    selected = request.select(VALUE_OFFERS)
    copy = _one(request, node)
    with ExitStack() as stack:
        copied, _ = _copied(node, copy, copy.transfer_syntax_uid, int(text, 16), [], stack)
        size_bytes, file = copied.size_bytes, stack.enter_context(closing(copied.open()))
        body = _closing([_piece(file, size_bytes)], stack.pop_all())
        if not selected.offer.is_multipart:
            return Answer(200, _joined(body), OCTETS.media_type, {"content-length": str(size_bytes)})
        boundary = new_boundary()
        parts = (Part(OCTETS.media_type, pieces) for pieces in body)
        return Answer(200, written(parts, boundary), content_type(OCTETS.media_type, boundary))


def _pixels(request: Request, node: Node, numbers: Sequence[int]) -> Answer:
    selected = request.select(OFFERS)
    copy = _one(request, node)
    syntax = _syntax(copy, selected)
    with ExitStack() as stack:
        copied, lengths = _copied(node, copy, syntax, PIXEL_DATA, numbers, stack)
        file = stack.enter_context(closing(copied.open()))
        body = _closing((_piece(file, length) for length in lengths), stack.pop_all())
        kind = f"{selected.offer.media_type}; transfer-syntax={syntax}"
        boundary = new_boundary()
        parts = (Part(kind, pieces) for pieces in body)
        return Answer(200, written(parts, boundary), content_type(selected.offer.media_type, boundary))


def _one(request: Request, node: Node) -> StoredCopy:
    selection = selection_of(request, node)
    accesses.tell(request, node, selection)
    return next(iter(selection))


def _syntax(copy: StoredCopy, selected: Selected) -> str:
    """Return the transfer syntax in which pixels are sent.

    A media type without one stands for its default, or for how they are stored if that is of this type.

    Raises
    ------
    NotAcceptable
        They can be brought into none that is accepted.
    """
    stored, offer = copy.transfer_syntax_uid, selected.offer
    own = MEDIA_TYPES.get(offer.media_type)
    possible = possible_syntaxes(stored)
    wanted = [stored if each == AS_STORED else each for each in selected.transfer_syntaxes]
    if own and stored in own and offer.transfer_syntax_uid in wanted:
        wanted.insert(0, stored)
    for each in wanted:
        if each in possible and (own is None or each in own):
            return each
    raise NotAcceptable("the pixels can be brought into none of the transfer syntaxes that are accepted")


def _copied(
    node: Node, copy: StoredCopy, syntax: str, tag: int, numbers: Sequence[int], stack: ExitStack
) -> tuple[Transcoded, list[int]]:
    """Have values copied out of an object in a transfer syntax; what holds them is left to the stack."""
    size_bytes = copy.size_bytes
    if syntax == copy.transfer_syntax_uid:
        source = stack.enter_context(archive.open_parts(node, copy))
    else:
        instances = stack.enter_context(archive.ReadAhead(node, [copy]))
        transcoded = stack.enter_context(node.transcoder.transcode(instances.outgoing(copy), syntax))
        source, size_bytes = stack.enter_context(closing(transcoded.open())), transcoded.size_bytes
    transcoder = node.transcoder
    how = (source, size_bytes, syntax, tag, numbers, transcoder.workers, transcoder.directory)
    return stack.enter_context(copy_bulk_data(*how))


def _piece(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the next bytes of a file."""
    while length:
        piece = file.read(min(length, PIECE_BYTES))
        if not piece:
            return
        length -= len(piece)
        yield bytes(piece)


def _closing(parts: Iterable[Iterator[bytes]], stack: ExitStack) -> Iterator[Iterator[bytes]]:
    with stack:
        yield from parts


def _joined(parts: Iterator[Iterator[bytes]]) -> Iterator[bytes]:
    for part in parts:
        yield from part
