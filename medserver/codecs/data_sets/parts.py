"""A data set of any size of which some elements are replaced: the others are copied as they are, a chunk at a time."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset

from medserver.codecs.data_sets.rewriter import CHUNK_SIZE_BYTES, Output
from medserver.codecs.data_sets.survey import Survey
from medserver.dicom.encodings import IMPLICIT_LITTLE, Encoding
from medserver.dicom.undecoded import read_undecoded
from medserver.dicom.walker import PIXEL_DATA, Walker
from medserver.errors import CannotTranscode

_DELIMITER_SIZE_BYTES = 8


class Parts(Survey):
    """Visitor that notes where each element of the outermost data set lies.

    Parameters
    ----------
    stream : BinaryIO
        A buffered, seekable stream that starts with the data set.
    size_bytes : int
        The length of the data set.
    encoding : Encoding
        How it should be encoded.
    encapsulated : bool
        Whether the transfer syntax has encapsulated Pixel Data.

    Raises
    ------
    CannotTranscode
        The data set is damaged.

    Attributes
    ----------
    encoding : Encoding
        How it is encoded: compressed images in implicit VR exist, though no transfer syntax is right for them.
    """

    def __init__(self, stream: BinaryIO, size_bytes: int, encoding: Encoding, encapsulated: bool) -> None:
        super().__init__(stream, encapsulated)
        self._parts: list[tuple[int, int, int]] = []  # tag, where it begins, where it ends
        self._sequence = 0
        stream.seek(0)
        vr = stream.read(6)[4:]
        self.encoding = encoding if not vr or b"AA" <= vr <= b"ZZ" else IMPLICIT_LITTLE
        Walker(stream, size_bytes, encoding, self).walk()

    def begin_sequence(self, tag: int) -> None:
        """Note which sequence it is."""
        if self._is_outermost():
            self._sequence = tag

    def end_sequence(self) -> None:
        """Note where the sequence lies."""
        self._note(self._sequence, self._stream.tell())

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Note where the element lies."""
        end = self._stream.tell() + length
        super().element(tag, vr, length, encoding)
        self._note(tag, end)

    def fragments(self, offset: int, length: int) -> None:
        """Note where encapsulated Pixel Data lies."""
        super().fragments(offset, length)
        self._note(PIXEL_DATA, offset + length + _DELIMITER_SIZE_BYTES)

    def read(self, tags: Container[int]) -> Dataset:
        """Return the elements with these tags; nothing else is read."""
        chosen = b"".join(b"".join(self._chunks(start, end)) for tag, start, end in self._parts if tag in tags)
        return read_undecoded(BytesIO(chosen), self.encoding)

    def write(self, output: Output, tags: Container[int], elements: Mapping[int, bytes | Iterable[bytes]]) -> None:
        """Write the data set with other elements in the place of those with the tags that were read.

        Group lengths, which would change, are left out (they are retired: PS3.5 7.2).

        Parameters
        ----------
        output : Output
            Where to write.
        tags : container of int
            What is not copied.
        elements : mapping of int to bytes, or to an iterable of them
            Tag -> the element as it is encoded, or its chunks, which may come of the same stream.
        """
        left = sorted(elements, reverse=True)
        for tag, start, end in self._parts:
            while left and left[-1] <= tag:
                _put(output, elements[left.pop()])
            if tag not in tags and tag & 0xFFFF:
                for chunk in self._chunks(start, end):
                    output.write(chunk)
        for tag in reversed(left):
            _put(output, elements[tag])

    def _is_outermost(self) -> bool:
        return len(self._offsets) == 1

    def _note(self, tag: int, end: int) -> None:
        if self._is_outermost():
            self._parts.append((tag, self._parts[-1][2] if self._parts else 0, end))

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Read a part of the stream; the walk has passed over values without a look whether the file has them."""
        self._stream.seek(start)
        while start < end:
            chunk = self._stream.read(min(end - start, CHUNK_SIZE_BYTES))
            if not chunk:
                raise CannotTranscode("the data set ends within a value")
            start += len(chunk)
            yield chunk


def _put(output: Output, element: bytes | Iterable[bytes]) -> None:
    for chunk in (element,) if isinstance(element, bytes) else element:
        output.write(chunk)
