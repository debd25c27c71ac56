"""The wanted elements of a data set that arrives in pieces, however far back they stand: `elements` without a limit.

Nothing is kept but the values of the wanted elements, no more than a limit, and the one that is being read.
"""

from __future__ import annotations

from medserver.dicom.elements import ScannedElements, Values
from medserver.dicom.nesting import (
    HEADER_SIZE_BYTES,
    UNDEFINED_LENGTH,
    Buffer,
    Damaged,
    Nesting,
    check_not_delimiter,
    has_vr,
    layout_of,
)
from medserver.dicom.transfer_syntaxes import TransferSyntax


class ElementStream:
    """Reads the wanted top level elements of a data set, as `elements.scan_elements` does of one that is in memory.

    Parameters
    ----------
    syntax : TransferSyntax
        How it is encoded; if it is deflated, it comes inflated.
    wanted : frozenset of int
        Tags, ``group << 16 | element``.
    values_size_max_bytes : int
        How long the values that are kept may be together; one for which there is no room is passed over.
    depth_max : int
        How deep items of undefined length may be nested.
    """

    def __init__(
        self, syntax: TransferSyntax, wanted: frozenset[int], *, values_size_max_bytes: int, depth_max: int = 16
    ) -> None:
        self._syntax = syntax
        self._layout = layout_of(syntax.little_endian)
        self._wanted = wanted
        self._last = max(wanted)
        self._room_bytes = values_size_max_bytes
        self._depth_max = depth_max
        self._implicit: bool | None = None
        self._values: Values = {}
        self._complete = False
        self._problem: str | None = None
        self._passed_bytes = 0
        self._buffer = bytearray()
        self._position = 0  # in the buffer, of the next header; perhaps behind its end
        self._nesting: Nesting | None = None  # the sequence of undefined length that is open
        self._open: tuple[int, str] = (0, "")  # its tag and VR
        self._value_start: int | None = None  # where its value begins, if that is wanted

    @property
    def is_done(self) -> bool:
        """Whether all wanted tags were passed, or the data set is damaged."""
        return self._complete or self._problem is not None

    def feed(self, piece: Buffer) -> None:
        """Take the next bytes of the data set; they may be reused afterwards."""
        if self.is_done:
            return
        self._buffer += piece
        try:
            self._read()
        except Damaged as damage:
            self._problem = damage.problem
        kept_from = self._position if self._value_start is None else self._value_start
        dropped = len(self._buffer) if self.is_done else min(kept_from, len(self._buffer))
        del self._buffer[:dropped]
        self._passed_bytes += dropped
        self._position -= dropped
        if self._value_start is not None:
            self._value_start -= dropped

    def scanned(self) -> ScannedElements:
        """Return what was found in the pieces so far, which are taken for the whole data set."""
        problem = self._problem
        if not self.is_done:
            if self._nesting is not None:
                problem = "the bytes end within a sequence"
            elif self._position != len(self._buffer):
                problem = f"byte {self._passed_bytes + len(self._buffer)} is within an element"
        return ScannedElements(self._values, self._complete, self._passed_bytes + self._position, problem)

    def _read(self) -> None:
        """Go through what is there."""
        if self._implicit is None:
            if len(self._buffer) < HEADER_SIZE_BYTES:
                return
            self._implicit = self._syntax.implicit_vr and not has_vr(self._buffer, 0)
        while self._pass_nesting() and self._pass_element():
            pass

    def _pass_nesting(self) -> bool:
        """Go on in the sequence that is open; tell whether none is open any more."""
        if self._nesting is None:
            return True
        self._position, is_closed = self._nesting.pass_over(self._buffer, self._position)
        if self._value_start is not None:
            stop = self._position - HEADER_SIZE_BYTES
            if stop - self._value_start > self._room_bytes:
                self._value_start = None
            elif is_closed:
                self._keep(*self._open, self._value_start, stop)
        if is_closed:
            self._nesting = self._value_start = None
        return is_closed

    def _pass_element(self) -> bool:
        """Read an element, or what there is of it; tell whether to go on."""
        buffer, position = self._buffer, self._position
        if len(buffer) < position + HEADER_SIZE_BYTES:
            return False
        group, element, _ = self._layout.implicit_header(buffer, position)
        tag = group << 16 | element
        if tag > self._last:
            check_not_delimiter(group, position)
            self._complete = True
            return False
        found = self._layout.value_of(buffer, position, bool(self._implicit))
        if found is None:
            return False
        vr, start, length = found
        is_wanted = tag in self._wanted
        if length == UNDEFINED_LENGTH:
            self._nesting = Nesting(self._layout, vr == "", self._depth_max)
            self._open, self._value_start = (tag, vr), start if is_wanted else None
            self._position = start
            return True
        if is_wanted and length <= self._room_bytes:
            if start + length > len(buffer):
                return False
            self._keep(tag, vr, start, start + length)
        self._position = start + length
        return True

    def _keep(self, tag: int, vr: str, start: int, stop: int) -> None:
        self._values[tag] = (vr, bytes(self._buffer[start:stop]))
        self._room_bytes -= stop - start
