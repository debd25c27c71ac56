"""A quick and tolerant reader of encoded data sets (PS3.5 7).

It takes the values of a few top level elements out of the beginning of a data set that a peer has sent,
without decoding them and without reading the rest. It trusts no length: nothing is allocated by a claimed
length, each step goes forward, nesting is limited, and whatever the bytes are, no exception is raised.

Decoding a value is in `character_sets`; everything that needs whole data sets uses pydicom.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from medserver.dicom.nesting import (
    HEADER_SIZE_BYTES,
    ITEM,
    UNDEFINED_LENGTH,
    Buffer,
    Damaged,
    Layout,
    Nesting,
    check_not_delimiter,
    has_vr,
    layout_of,
)
from medserver.dicom.runs import Element, Run, Runs, Values
from medserver.dicom.transfer_syntaxes import TransferSyntax

BEHIND_ALL = 0xFFFDFFFF
"""Behind all tags but those of delimiters: where it is wanted, the whole data set is read, and damage shows."""


class UpTo(frozenset[int]):
    """All tags up to and including its only member, as what a scan wants."""

    def __contains__(self, tag: object) -> bool:
        return True


_INFLATE_STEP_BYTES, _INFLATED_STEP_BYTES = 4096, 256 * 1024
_ELEMENTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class ScannedElements:
    """What was found at the top level of a data set.

    Parameters
    ----------
    values : dict
        Tag -> (VR, value as encoded) of the wanted elements whose value is all there. The VR is empty where
        the encoding does not tell it, and may be ``UN``. The value of a sequence is its items, without the
        delimiter that ends it.
    complete : bool
        All wanted tags were passed. False means that the bytes came to an end before, or that they are
        damaged.
    end : int
        How many bytes the elements that were read take. If this is more than there were, the last one reaches
        so far.
    problem : str or None
        Why reading stopped within an element. None if `complete`, or if the bytes ended between two elements.
    """

    values: Values
    complete: bool
    end: int
    problem: str | None = None


def scan_elements(
    buffer: Buffer,
    syntax: TransferSyntax,
    wanted: frozenset[int],
    *,
    depth_max: int = 16,
    elements_max: int = _ELEMENTS_MAX,
    runs: Runs | None = None,
) -> ScannedElements:
    """Read the wanted top level elements at the beginning of a data set.

    Parameters
    ----------
    buffer : bytes or memoryview
        The data set, or as much of its beginning as is there. If it is deflated, see `inflate_prefix`.
    syntax : TransferSyntax
        How it is encoded. A data set that is explicit where it should be implicit, or the other way, is read
        as it is.
    wanted : frozenset of int
        Tags, ``group << 16 | element``. The scan ends at the first tag greater than all of them.
    depth_max : int
        How deep items of undefined length may be nested.
    elements_max : int
        How many wanted elements are read; behind them the scan stops as if the next one were damaged.
    runs : Runs, optional
        What is remembered of other data sets of which the same was wanted, to the same depth. The buffer is bytes then.

    Returns
    -------
    ScannedElements
        Of an element that occurs twice, the last one, as in pydicom.
    """
    if not wanted:
        return ScannedElements({}, True, 0)
    layout = layout_of(syntax.little_endian)
    values: Values = {}
    try:
        scan = _scan_implicit if syntax.implicit_vr and not has_vr(buffer, 0) else _scan_explicit
        known, read = ({}, None) if runs is None else (runs.begin((scan, layout)), [])
        position, complete = scan(buffer, layout, wanted, values, depth_max, elements_max, known, read)
    except Damaged as damage:
        return ScannedElements(values, False, damage.position, damage.problem)
    if runs is not None:
        runs.learn(buffer, read)
    if complete or position == len(buffer):
        return ScannedElements(values, complete, position)
    return ScannedElements(values, False, position, f"byte {len(buffer)} is within an element")


@dataclass(frozen=True, slots=True)
class SplitItems:
    """The items of a sequence.

    Parameters
    ----------
    items : list of bytes
        Each as an encoded data set for `scan_elements`, up to the first that is damaged or not all there.
    problem : str or None
        Why these are not all. None if they are.
    """

    items: list[bytes]
    problem: str | None = None


def split_items(value: Buffer, syntax: TransferSyntax, *, depth_max: int = 16) -> SplitItems:
    """Take a sequence apart (PS3.5 7.5).

    Parameters
    ----------
    value : bytes or memoryview
        The value of the sequence as `scan_elements` gives it.
    syntax : TransferSyntax
        Of the data set that the sequence is in.
    depth_max : int
        How deep items of undefined length may be nested.
    """
    layout = layout_of(syntax.little_endian)
    items: list[bytes] = []
    position = 0
    while position < len(value):
        start = position + HEADER_SIZE_BYTES
        if start > len(value):
            return SplitItems(items, f"byte {position} of a sequence is within an item")
        group, element, length = layout.implicit_header(value, position)
        if group << 16 | element != ITEM:
            return SplitItems(items, f"no item at byte {position} of a sequence")
        if length == UNDEFINED_LENGTH:
            try:
                position = _pass_item(value, start, layout, depth_max)
            except Damaged as damage:
                return SplitItems(items, damage.problem)
            items.append(bytes(value[start : position - HEADER_SIZE_BYTES]))
        else:
            position = start + length
            if position > len(value):
                return SplitItems(items, f"an item of {length} bytes at byte {start} of a sequence of {len(value)}")
            items.append(bytes(value[start:position]))
    return SplitItems(items)


def inflate_prefix(raw: Buffer, limit_bytes: int) -> bytes:
    """Return the beginning of a deflated data set (PS3.5 A.5).

    Parameters
    ----------
    raw : bytes or memoryview
        The deflate stream, or as much of its beginning as is there.
    limit_bytes : int
        How much to return at most, however much the stream would give.

    Returns
    -------
    bytes
        What comes before the limit, the end of the stream, or the first damage in it.
    """
    return b"".join(Inflater(limit_bytes).inflate(raw))


class Inflater:
    """Inflates a stream that arrives in pieces (PS3.5 A.5), no further than a limit.

    Parameters
    ----------
    limit_bytes : int
        How much to give at most, however much the stream would give.

    Attributes
    ----------
    is_done : bool
        There will be nothing more: the limit, the end of the stream or damage in it has been reached.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left_bytes = limit_bytes
        self.is_done = limit_bytes <= 0

    def inflate(self, raw: Buffer) -> Iterator[bytes]:
        """Yield what the next piece of the stream gives, a little at a time."""
        for start in range(0, len(raw), _INFLATE_STEP_BYTES):
            step: Buffer = raw[start : start + _INFLATE_STEP_BYTES]
            has_more = True
            while has_more and not self.is_done:
                room = min(self._left_bytes, _INFLATED_STEP_BYTES)
                try:
                    inflated = self._inflater.decompress(step, room)
                except zlib.error:
                    self.is_done = True
                    return
                step = self._inflater.unconsumed_tail
                has_more = len(inflated) == room  # of what has been taken in already, too
                self._left_bytes -= len(inflated)
                self.is_done = self._inflater.eof or not self._left_bytes
                yield inflated


def _scan_explicit(
    buffer: Buffer,
    layout: Layout,
    wanted: frozenset[int],
    values: Values,
    depth_max: int,
    elements_max: int,
    known: dict[int, Run],
    read: list[Element] | None,
) -> tuple[int, bool]:
    """Read explicit VR elements into `values`; return where that ended, and whether all tags were passed.

    Those of `known` runs are compared only; the others are noted in `read`.
    """
    header, short_vr, long_vr = layout.explicit_header, layout.short_vrs.get, layout.long_vrs.get
    last, end, position = max(wanted), len(buffer), 0
    header_last = end - HEADER_SIZE_BYTES
    while position <= header_last:
        group, element, code, length = header(buffer, position)
        tag = group << 16 | element
        if tag in known:
            run = known[tag]
            if buffer.startswith(run.raw, position) and len(run.values) <= elements_max:
                values.update(run.values)
                elements_max -= len(run.values)
                position += len(run.raw)
                continue
        if tag > last:
            check_not_delimiter(group, position)
            return position, True
        start = position + 8
        vr = short_vr(code)
        if vr is not None:
            stop = following = start + length
        else:
            vr = long_vr(code)
            if vr is not None:
                if start + 4 > end:
                    break
                length = layout.length(buffer, start)[0]
                start += 4
            else:
                # Some writers switch to implicit VR in an explicit data set; pydicom reads on like this.
                vr = ""
                length = layout.length(buffer, position + 4)[0]
            stop = following = start + length
            if length == UNDEFINED_LENGTH:
                following = _pass_sequence(buffer, start, layout, vr == "", depth_max)
                stop = following - HEADER_SIZE_BYTES
        if tag in wanted and stop <= end:
            if not elements_max:
                raise Damaged(position, "there are too many elements")
            elements_max -= 1
            values[tag] = (vr, bytes(buffer[start:stop]))
        if read is not None:
            read.append((tag, position, following, values.get(tag)))
        position = following
    return position, False


def _scan_implicit(
    buffer: Buffer,
    layout: Layout,
    wanted: frozenset[int],
    values: Values,
    depth_max: int,
    elements_max: int,
    known: dict[int, Run],
    read: list[Element] | None,
) -> tuple[int, bool]:
    """Do the same with implicit VR elements."""
    header = layout.implicit_header
    last, end, position = max(wanted), len(buffer), 0
    header_last = end - HEADER_SIZE_BYTES
    while position <= header_last:
        group, element, length = header(buffer, position)
        tag = group << 16 | element
        if tag in known:
            run = known[tag]
            if buffer.startswith(run.raw, position) and len(run.values) <= elements_max:
                values.update(run.values)
                elements_max -= len(run.values)
                position += len(run.raw)
                continue
        if tag > last:
            check_not_delimiter(group, position)
            return position, True
        start = position + 8
        if length == UNDEFINED_LENGTH:
            following = _pass_sequence(buffer, start, layout, True, depth_max)
            stop = following - HEADER_SIZE_BYTES
        else:
            stop = following = start + length
        if tag in wanted and stop <= end:
            if not elements_max:
                raise Damaged(position, "there are too many elements")
            elements_max -= 1
            values[tag] = ("", bytes(buffer[start:stop]))
        if read is not None:
            read.append((tag, position, following, values.get(tag)))
        position = following
    return position, False


def _pass_sequence(buffer: Buffer, start: int, layout: Layout, implicit: bool, depth_max: int) -> int:
    """Return where a sequence (or encapsulated pixel data) of undefined length ends, behind its delimiter."""
    return _closed(Nesting(layout, implicit, depth_max), buffer, start)


def _pass_item(buffer: Buffer, start: int, layout: Layout, depth_max: int) -> int:
    """Return where an item of undefined length ends, behind its delimiter."""
    return _closed(Nesting(layout, not has_vr(buffer, start), depth_max, within_item=True), buffer, start)


def _closed(nesting: Nesting, buffer: Buffer, start: int) -> int:
    position, is_closed = nesting.pass_over(buffer, start)
    if not is_closed:
        raise Damaged(position, "the bytes end within a sequence")
    return position
