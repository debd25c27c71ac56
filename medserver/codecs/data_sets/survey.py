"""The first pass over a data set: what later elements say about earlier ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from medserver.codecs.data_sets.representations import LUT_DESCRIPTOR, PIXEL_REPRESENTATION
from medserver.dicom.encodings import Encoding
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import CannotTranscode

SAMPLES_PER_PIXEL = 0x00280002
PHOTOMETRIC_INTERPRETATION = 0x00280004
PLANAR_CONFIGURATION = 0x00280006
NUMBER_OF_FRAMES = 0x00280008
ROWS = 0x00280010
COLUMNS = 0x00280011
BITS_ALLOCATED = 0x00280100
BITS_STORED = 0x00280101
EXTENDED_OFFSET_TABLE = 0x7FE00001
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)

_OFFSET_BYTES = 8
_WANTED = frozenset((
    SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, NUMBER_OF_FRAMES, ROWS, COLUMNS,
    BITS_ALLOCATED, BITS_STORED, PIXEL_REPRESENTATION, LUT_DESCRIPTOR,
))  # fmt: skip
_VALUE_SIZE_MAX_BYTES = 64


@dataclass(slots=True)
class Facts:
    """What must be known of one data set before its first element is written.

    Parameters
    ----------
    values : dict of int to bytes
        The encoded values of the Image Pixel and LUT elements in it, by tag.
    fragments, pixel_data : tuple of int or None
        Offset and length of its encapsulated or native Pixel Data.
    extended_offsets : int or None
        How many offsets its Extended Offset Table has.
    has_floats : bool
        Whether it has Float or Double Float Pixel Data.
    """

    values: dict[int, bytes] = field(default_factory=dict)
    fragments: tuple[int, int] | None = None
    pixel_data: tuple[int, int] | None = None
    extended_offsets: int | None = None
    has_floats: bool = False

    def number(self, tag: int) -> int | None:
        """Return the first value of a US or IS element, None if it is absent or empty.

        Raises
        ------
        CannotTranscode
            If the value is not a number.
        """
        value = self.values.get(tag)
        if not value:
            return None
        if tag != NUMBER_OF_FRAMES:
            return int.from_bytes(value[:2], "little")  # wanted of implicit and encapsulated syntaxes alone
        text = value.strip(b" \0")
        if text and not text.removeprefix(b"+").isdigit():
            raise CannotTranscode(f"Number of Frames is {text.decode('ascii', 'replace')!r}, and no number of frames")
        return int(text) if text else None

    def text(self, tag: int) -> str:
        """Return the value of a CS element, "" if it is absent."""
        return self.values.get(tag, b"").strip(b" \0").decode("ascii", "replace")


class Survey:
    """Visitor that collects the facts of each data set that has any.

    Its methods raise CannotTranscode if the Pixel Data does not fit the transfer syntax.

    Parameters
    ----------
    stream : BinaryIO
        The stream that is walked through.
    encapsulated : bool
        Whether the transfer syntax has encapsulated Pixel Data.

    Attributes
    ----------
    facts : dict of int to Facts
        By the offset of the data set.
    """

    def __init__(self, stream: BinaryIO, encapsulated: bool) -> None:
        self.facts: dict[int, Facts] = {}
        self._stream = stream
        self._encapsulated = encapsulated
        self._offsets: list[int] = []

    def begin_data_set(self, offset: int) -> None:
        """Enter a data set."""
        self._offsets.append(offset)

    def end_data_set(self) -> None:
        """Leave a data set."""
        self._offsets.pop()

    def begin_sequence(self, tag: int) -> None:
        """Do nothing: the items come as data sets."""

    def end_sequence(self) -> None:
        """Do nothing."""

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Note the element if it is one that others depend on."""
        if tag in _WANTED and length <= _VALUE_SIZE_MAX_BYTES:
            self._here().values[tag] = self._stream.read(length)
        elif tag == EXTENDED_OFFSET_TABLE:
            self._here().extended_offsets = length // _OFFSET_BYTES
        elif tag in FLOAT_PIXEL_DATA:
            self._here().has_floats = True
        elif tag == PIXEL_DATA and self._encapsulated and len(self._offsets) == 1:
            # PS3.5 A.4: only the Pixel Data of an item, such as an icon, may be native here
            raise CannotTranscode("Pixel Data is not encapsulated, though the transfer syntax is")
        elif tag == PIXEL_DATA:
            self._here().pixel_data = (self._stream.tell(), length)

    def fragments(self, offset: int, length: int) -> None:
        """Note where the encapsulated Pixel Data lies."""
        if not self._encapsulated:
            raise CannotTranscode("Pixel Data is encapsulated, though the transfer syntax is not")
        self._here().fragments = (offset, length)

    def _here(self) -> Facts:
        return self.facts.setdefault(self._offsets[-1], Facts())
