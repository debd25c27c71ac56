"""The headers of elements and items, and what is nested in sequences of undefined length (PS3.5 7.1, 7.5).

Here is what the readers of a data set's beginning share: `elements`, which has it in memory, and `element_stream`,
which takes it in pieces. No length is trusted, each step goes forward, and nesting is limited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from string import ascii_uppercase
from struct import Struct

from medserver.dicom.representations import LONG_LENGTH

Buffer = bytes | bytearray | memoryview

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DELIMITER_GROUP = 0xFFFE
HEADER_SIZE_BYTES = 8
"""Of an item, and of an element but for the long form of explicit VR, which has 4 bytes more."""


class Damaged(Exception):
    """The bytes cannot be read beyond a position."""

    def __init__(self, position: int, problem: str) -> None:
        self.position, self.problem = position, problem
        super().__init__(problem)


@dataclass(frozen=True, slots=True)
class Layout:
    """How the fixed parts of an element are laid out in one byte order.

    The VR is read as a number, which is quicker to look up than bytes: `short_vrs` and `long_vrs` give its
    name. Two capitals that are no VR of the standard count as short, which is how pydicom takes them.
    """

    explicit_header: Callable[[Buffer, int], tuple[int, int, int, int]]
    implicit_header: Callable[[Buffer, int], tuple[int, int, int]]
    length: Callable[[Buffer, int], tuple[int]]
    short_vrs: dict[int, str]
    long_vrs: dict[int, str]

    def value_of(self, buffer: Buffer, position: int, implicit: bool) -> tuple[str, int, int] | None:
        """Return the VR of an element, where its value begins and how long it is; None if its header is not all there.

        The VR is empty in implicit VR, and where some writer switches to that in an explicit data set.
        """
        start = position + HEADER_SIZE_BYTES
        if start > len(buffer):
            return None
        _, _, code, length = self.explicit_header(buffer, position)
        if not implicit:
            if code in self.short_vrs:
                return self.short_vrs[code], start, length
            if code in self.long_vrs:
                if start + 4 > len(buffer):
                    return None
                return self.long_vrs[code], start + 4, self.length(buffer, start)[0]
        return "", start, self.length(buffer, position + 4)[0]


def _layout(order: str) -> Layout:
    number = Struct(order + "H").unpack
    vrs = {number(vr.encode("ascii"))[0]: vr for vr in map("".join, product(ascii_uppercase, repeat=2))}
    return Layout(
        explicit_header=Struct(order + "HHHH").unpack_from,
        implicit_header=Struct(order + "HHL").unpack_from,
        length=Struct(order + "L").unpack_from,
        short_vrs={code: vr for code, vr in vrs.items() if vr not in LONG_LENGTH},
        long_vrs={code: vr for code, vr in vrs.items() if vr in LONG_LENGTH},
    )


_LITTLE_ENDIAN, _BIG_ENDIAN = _layout("<"), _layout(">")


def layout_of(little_endian: bool) -> Layout:
    """Return the layout of a byte order."""
    return _LITTLE_ENDIAN if little_endian else _BIG_ENDIAN


def has_vr(buffer: Buffer, position: int) -> bool:
    """Tell whether an element shows a VR: two capitals, which as a length would be 16 kB at least."""
    code = bytes(buffer[position + 4 : position + 6])
    return len(code) == 2 and code.isalpha() and code.isupper()


def check_not_delimiter(group: int, position: int) -> None:
    """Raise Damaged if a tag outside of any sequence is only there because a length before it is wrong."""
    if group == DELIMITER_GROUP:
        raise Damaged(position, f"a delimiter outside of any sequence at byte {position}")


class Nesting:
    """Where a reader is within a sequence, or an item, of undefined length.

    Parameters
    ----------
    layout : Layout
        The byte order.
    implicit : bool
        Whether the elements are in implicit VR.
    depth_max : int
        How deep items of undefined length may be nested.
    within_item : bool
        Whether it is an item that is open, and its elements come next; else a sequence, and its items.
    """

    def __init__(self, layout: Layout, implicit: bool, depth_max: int, within_item: bool = False) -> None:
        self._layout = layout
        self._depth_max = depth_max
        # For each data set that is open, the outermost first, whether its elements are in implicit VR.
        self._implicit = [implicit, implicit] if within_item else [implicit]
        self._began_in_sequence = self._in_sequence = not within_item  # sequences and items alternate

    def pass_over(self, buffer: Buffer, position: int) -> tuple[int, bool]:
        """Go through items and elements until what is open is closed, or the bytes end.

        Parameters
        ----------
        buffer : bytes-like
            What is there.
        position : int
            Of the next header.

        Returns
        -------
        tuple of (int, bool)
            Behind the delimiter that closes it and True; or where to go on, perhaps behind the end, and False.

        Raises
        ------
        Damaged
            There is no item where one must be, or items are nested too deep.
        """
        layout, implicit = self._layout, self._implicit
        header_last = len(buffer) - HEADER_SIZE_BYTES
        while position <= header_last:
            group, element, length = layout.implicit_header(buffer, position)
            tag = group << 16 | element
            if not self._in_sequence and tag != ITEM_DELIMITATION:
                found = layout.value_of(buffer, position, implicit[-1])
                if found is None:
                    break
                _, start, length = found
                self._in_sequence = length == UNDEFINED_LENGTH
                position = start if self._in_sequence else start + length
                continue
            start = position + HEADER_SIZE_BYTES
            if tag == ITEM and length != UNDEFINED_LENGTH:
                start += length
            elif tag == ITEM:
                if start > header_last:
                    break  # the delimiter of the item at least is still to come
                if len(implicit) > self._depth_max:
                    raise Damaged(start, f"items are nested more than {self._depth_max} deep")
                # The items of an explicit data set may be implicit (PS3.5 6.2.2), but not the other way.
                implicit.append(implicit[-1] or not has_vr(buffer, start))
                self._in_sequence = False
            elif self._in_sequence and tag != SEQUENCE_DELIMITATION:
                raise Damaged(start, f"no item at byte {position} of a sequence")
            else:
                if not self._in_sequence:
                    implicit.pop()
                self._in_sequence = not self._in_sequence
                if len(implicit) == 1 and self._in_sequence != self._began_in_sequence:
                    return start, True
            position = start
        return position, False
