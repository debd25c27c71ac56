"""The second pass over a data set whose Pixel Data is to be compressed."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import BinaryIO

from medserver.codecs.data_sets.rewriter import OpenDataSet, Rewriter, replacements_for
from medserver.codecs.data_sets.survey import Facts
from medserver.codecs.pixels.encoding import EncodedFrames
from medserver.codecs.pixels.fragments import ITEM_HEADER, item
from medserver.dicom.encodings import EXPLICIT_LITTLE, Encoding
from medserver.dicom.nesting import ITEM, SEQUENCE_DELIMITATION, UNDEFINED_LENGTH
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import CannotTranscode

NO_PIXELS = "there is no Pixel Data to compress"

_OFFSET_MAX = 0xFFFFFFFF


class Compressor(Rewriter):
    """Visitor that writes what it is told of in Explicit VR Little Endian, with its Pixel Data encapsulated.

    Icons and other Pixel Data of items stay native (PS3.5 A.4).

    Parameters
    ----------
    stream : BinaryIO
        The stream that is walked through.
    output : BinaryIO
        Where to write: a file, for the offsets of the frames are known when they are written.
    facts : Mapping of int to Facts
        The survey of the same stream.
    encode : callable
        Returns the encoded frames of the data set with these facts.
    """

    def __init__(
        self,
        stream: BinaryIO,
        output: BinaryIO,
        facts: Mapping[int, Facts],
        encode: Callable[[Facts], EncodedFrames],
    ) -> None:
        super().__init__(stream, EXPLICIT_LITTLE, output, facts, None)
        self._file = output
        self._encode = encode

    def _opened(self, data_set: OpenDataSet) -> None:
        if self._open:
            return
        if data_set.facts.pixel_data is None:
            what = "floating point pixels are not compressed" if data_set.facts.has_floats else NO_PIXELS
            raise CannotTranscode(what)
        data_set.frames = self._encode(data_set.facts)
        data_set.replacements = replacements_for(data_set.frames)

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Write an element, the Pixel Data in fragments."""
        if tag == PIXEL_DATA and len(self._open) == 1:
            self._replace_before(PIXEL_DATA)
            self._write_fragments(self._open[-1].frames)
        else:
            super().element(tag, vr, length, encoding)

    def _write_fragments(self, frames: EncodedFrames) -> None:
        """Write each frame as a fragment, behind the Basic Offset Table (PS3.5 A.4)."""
        self._header(PIXEL_DATA, "OB", UNDEFINED_LENGTH)
        count = frames.image.number_of_frames
        table = array("I", bytes(4 * count))
        self._delimiter(ITEM, 4 * count)
        table_at = self._file.tell()
        self._output.write(table.tobytes())
        offset = 0
        for index, frame in enumerate(frames):
            if offset > _OFFSET_MAX:
                raise CannotTranscode("the compressed Pixel Data is too long for its offset table")
            table[index] = offset
            self._output.write(item(frame))
            offset += ITEM_HEADER.size + len(frame) + len(frame) % 2
        self._delimiter(SEQUENCE_DELIMITATION, 0)
        end = self._file.tell()
        self._file.seek(table_at)
        self._output.write(table.tobytes())
        self._file.seek(end)
