"""A quick and tolerant reader of encoded data sets (PS3.5 7).

It takes the values of a few top level elements out of the beginning of a data set that a peer has sent,
without decoding them and without reading the rest. It trusts no length: nothing is allocated by a claimed
length, each step goes forward, nesting is limited, and whatever the bytes are, no exception is raised.

Decoding a value is in `character_sets`; everything that needs whole data sets uses pydicom.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from string import ascii_uppercase
from struct import Struct

from medserver.dicom.transfer_syntaxes import TransferSyntax

Buffer = bytes | memoryview
Values = dict[int, tuple[str, bytes]]

_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITER_GROUP = 0xFFFE
_HEADER_SIZE = 8
_INFLATE_STEP_BYTES = 4096
LONG_FORM_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose length has 32 bits and stands after two reserved bytes (PS3.5 7.1.2)."""


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


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How the fixed parts of an element are laid out in one byte order.

    The VR is read as a number, which is quicker to look up than bytes: `short_vrs` and `long_vrs` give its
    name. Two capitals that are no VR of the standard count as short, which is how pydicom takes them.
    """

    explicit_header: Callable[[Buffer, int], tuple[int, int, int, int]]
    implicit_header: Callable[[Buffer, int], tuple[int, int, int]]
    length: Callable[[Buffer, int], tuple[int]]
    short_vrs: dict[int, str]
    long_vrs: dict[int, str]


def _encoding(order: str) -> _Encoding:
    number = Struct(order + "H").unpack
    vrs = {number(vr.encode("ascii"))[0]: vr for vr in map("".join, product(ascii_uppercase, repeat=2))}
    return _Encoding(
        explicit_header=Struct(order + "HHHH").unpack_from,
        implicit_header=Struct(order + "HHL").unpack_from,
        length=Struct(order + "L").unpack_from,
        short_vrs={code: vr for code, vr in vrs.items() if vr not in LONG_FORM_VRS},
        long_vrs={code: vr for code, vr in vrs.items() if vr in LONG_FORM_VRS},
    )


_LITTLE_ENDIAN, _BIG_ENDIAN = _encoding("<"), _encoding(">")


class _Damaged(Exception):
    """The bytes cannot be read beyond a position."""

    def __init__(self, position: int, problem: str) -> None:
        self.position, self.problem = position, problem
        super().__init__(problem)


def scan_elements(
    buffer: Buffer, syntax: TransferSyntax, wanted: frozenset[int], *, depth_max: int = 16
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

    Returns
    -------
    ScannedElements
        Of an element that occurs twice, the last one, as in pydicom.
    """
    if not wanted:
        return ScannedElements({}, True, 0)
    encoding = _LITTLE_ENDIAN if syntax.little_endian else _BIG_ENDIAN
    values: Values = {}
    try:
        scan = _scan_implicit if syntax.implicit_vr and not _has_vr(buffer, 0) else _scan_explicit
        position, complete = scan(buffer, encoding, wanted, values, depth_max)
    except _Damaged as damage:
        return ScannedElements(values, False, damage.position, damage.problem)
    if complete or position == len(buffer):
        return ScannedElements(values, complete, position)
    return ScannedElements(values, False, position, f"byte {len(buffer)} is within an element")


def split_items(value: Buffer, syntax: TransferSyntax, *, depth_max: int = 16) -> list[bytes]:
    """Return the items of a sequence, each as an encoded data set for `scan_elements`.

    Parameters
    ----------
    value : bytes or memoryview
        The value of the sequence as `scan_elements` gives it.
    syntax : TransferSyntax
        Of the data set that the sequence is in.
    depth_max : int
        How deep items of undefined length may be nested.

    Returns
    -------
    list of bytes
        The items up to the first that is damaged or not all there.
    """
    encoding = _LITTLE_ENDIAN if syntax.little_endian else _BIG_ENDIAN
    items: list[bytes] = []
    position = 0
    while position + _HEADER_SIZE <= len(value):
        group, element, length = encoding.implicit_header(value, position)
        start = position + _HEADER_SIZE
        if group << 16 | element != _ITEM:
            break
        if length == _UNDEFINED_LENGTH:
            try:
                position = _pass_item(value, start, encoding, depth_max)
            except _Damaged:
                break
            items.append(bytes(value[start : position - _HEADER_SIZE]))
        else:
            position = start + length
            if position > len(value):
                break
            items.append(bytes(value[start:position]))
    return items


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
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    for start in range(0, len(raw), _INFLATE_STEP_BYTES):
        room = limit_bytes - len(inflated)
        if room <= 0 or inflater.eof:
            break
        try:
            inflated += inflater.decompress(raw[start : start + _INFLATE_STEP_BYTES], room)
        except zlib.error:
            break
    return bytes(inflated)


def _has_vr(buffer: Buffer, position: int) -> bool:
    """Tell whether an element shows a VR: two capitals, which as a length would be 16 kB at least."""
    code = bytes(buffer[position + 4 : position + 6])
    return len(code) == 2 and code.isalpha() and code.isupper()


def _scan_explicit(
    buffer: Buffer, encoding: _Encoding, wanted: frozenset[int], values: Values, depth_max: int
) -> tuple[int, bool]:
    """Read explicit VR elements into `values`; return where that ended, and whether all tags were passed."""
    header, short_vr, long_vr = encoding.explicit_header, encoding.short_vrs.get, encoding.long_vrs.get
    last, end, position = max(wanted), len(buffer), 0
    header_last = end - _HEADER_SIZE
    while position <= header_last:
        group, element, code, length = header(buffer, position)
        tag = group << 16 | element
        if tag > last:
            return position, _is_element(group, position)
        start = position + 8
        vr = short_vr(code)
        if vr is not None:
            stop = following = start + length
        else:
            vr = long_vr(code)
            if vr is not None:
                if start + 4 > end:
                    break
                length = encoding.length(buffer, start)[0]
                start += 4
            else:
                # Some writers switch to implicit VR in an explicit data set; pydicom reads on like this.
                vr = ""
                length = encoding.length(buffer, position + 4)[0]
            stop = following = start + length
            if length == _UNDEFINED_LENGTH:
                following = _pass_sequence(buffer, start, encoding, vr == "", depth_max)
                stop = following - _HEADER_SIZE
        if tag in wanted and stop <= end:
            values[tag] = (vr, bytes(buffer[start:stop]))
        position = following
    return position, False


def _scan_implicit(
    buffer: Buffer, encoding: _Encoding, wanted: frozenset[int], values: Values, depth_max: int
) -> tuple[int, bool]:
    """Do the same with implicit VR elements."""
    header = encoding.implicit_header
    last, end, position = max(wanted), len(buffer), 0
    header_last = end - _HEADER_SIZE
    while position <= header_last:
        group, element, length = header(buffer, position)
        tag = group << 16 | element
        if tag > last:
            return position, _is_element(group, position)
        start = position + 8
        if length == _UNDEFINED_LENGTH:
            following = _pass_sequence(buffer, start, encoding, True, depth_max)
            stop = following - _HEADER_SIZE
        else:
            stop = following = start + length
        if tag in wanted and stop <= end:
            values[tag] = ("", bytes(buffer[start:stop]))
        position = following
    return position, False


def _is_element(group: int, position: int) -> bool:
    """Return True, unless the tag that ends the scan is only there because a length before it is wrong."""
    if group == _DELIMITER_GROUP:
        raise _Damaged(position, f"a delimiter outside of any sequence at byte {position}")
    return True


def _pass_sequence(buffer: Buffer, start: int, encoding: _Encoding, implicit: bool, depth_max: int) -> int:
    """Return where a sequence (or encapsulated pixel data) of undefined length ends, behind its delimiter."""
    return _pass(buffer, start, encoding, [implicit], True, depth_max)


def _pass_item(buffer: Buffer, start: int, encoding: _Encoding, depth_max: int) -> int:
    """Return where an item of undefined length ends, behind its delimiter."""
    implicit = not _has_vr(buffer, start)
    return _pass(buffer, start, encoding, [implicit, implicit], False, depth_max)


def _pass(
    buffer: Buffer,
    position: int,
    encoding: _Encoding,
    implicit: list[bool],
    in_sequence: bool,
    depth_max: int,
) -> int:
    """Go through items and elements (PS3.5 7.5) until what is open at the beginning is closed.

    Parameters
    ----------
    implicit : list of bool
        For each data set that is open, the outermost first, whether its elements are in implicit VR.
    in_sequence : bool
        Whether items come next, not elements. The two alternate from level to level.
    """
    began_in_sequence = in_sequence
    header_last = len(buffer) - _HEADER_SIZE
    while position <= header_last:
        group, element, length = encoding.implicit_header(buffer, position)
        tag = group << 16 | element
        if not in_sequence and tag != _ITEM_END:
            position, in_sequence = _pass_element(buffer, position, encoding, implicit[-1])
            continue
        position += _HEADER_SIZE
        if tag == _ITEM and length != _UNDEFINED_LENGTH:
            position += length
        elif tag == _ITEM:
            if len(implicit) > depth_max:
                raise _Damaged(position, f"items are nested more than {depth_max} deep")
            # The items of an explicit data set may be implicit (PS3.5 6.2.2), but not the other way.
            implicit.append(implicit[-1] or not _has_vr(buffer, position))
            in_sequence = False
        elif in_sequence and tag != _SEQUENCE_END:
            raise _Damaged(position, f"no item at byte {position - _HEADER_SIZE} of a sequence")
        else:
            if not in_sequence:
                implicit.pop()
            in_sequence = not in_sequence
            if len(implicit) == 1 and in_sequence != began_in_sequence:
                return position
    raise _Damaged(position, "the bytes end within a sequence")


def _pass_element(buffer: Buffer, position: int, encoding: _Encoding, implicit: bool) -> tuple[int, bool]:
    """Return where the next element is, or the first item of this one, and whether it is the item."""
    start = position + _HEADER_SIZE
    _, _, code, length = encoding.explicit_header(buffer, position)
    if implicit or (code not in encoding.short_vrs and code not in encoding.long_vrs):
        length = encoding.implicit_header(buffer, position)[2]
    elif code in encoding.long_vrs:
        if start + 4 > len(buffer):
            raise _Damaged(position, "the bytes end within an element of a sequence")
        length = encoding.length(buffer, start)[0]
        start += 4
    if length == _UNDEFINED_LENGTH:
        return start, True
    return start + length, False
