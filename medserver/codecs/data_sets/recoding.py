"""All texts of a data set are brought into another character set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from medserver.codecs.data_sets.rewriter import SHORT_LENGTH_MAX, OpenDataSet, Output, Rewriter
from medserver.codecs.data_sets.survey import Facts
from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET, decode_value, python_codecs
from medserver.dicom.elements import BEHIND_ALL
from medserver.dicom.encodings import Encoding, padded
from medserver.dicom.representations import LONG_LENGTH, TEXT_VRS, representation_of
from medserver.errors import CannotTranscode

_REPLACEMENT_CHARACTER = "\ufffd"


class _Inheritance:
    """Which data sets have their texts in the character set of the outermost one (PS3.3 C.12.1.1.2)."""

    def __init__(self) -> None:
        self._inherited: list[bool] = []

    def enter(self) -> None:
        """Enter the data set, or an item of it."""
        self._inherited.append(self._inherited[-1] if self._inherited else True)

    def leave(self) -> None:
        """Leave the data set that was entered last."""
        self._inherited.pop()

    def is_text(self, tag: int, vr: str, length: int) -> bool:
        """Tell whether an element has a text in that character set; note that an item states one of its own."""
        if tag == SPECIFIC_CHARACTER_SET and length and len(self._inherited) > 1:
            self._inherited[-1] = False
        return self._inherited[-1] and (representation_of(tag) if vr == "UN" else vr) in TEXT_VRS


class Characters:
    """Visitor that collects what characters the texts of a data set have.

    Parameters
    ----------
    stream : BinaryIO
        The stream that is walked through.
    codecs : sequence of str
        The character set of the data set, as Python's names.

    Attributes
    ----------
    found : set of str
        The characters. Items that state a character set of their own do not count.
    """

    def __init__(self, stream: BinaryIO, codecs: list[str]) -> None:
        self.found: set[str] = set()
        self._stream = stream
        self._codecs = codecs
        self._inheritance = _Inheritance()

    def begin_data_set(self, offset: int) -> None:
        """Enter a data set."""
        self._inheritance.enter()

    def end_data_set(self) -> None:
        """Leave a data set."""
        self._inheritance.leave()

    def begin_sequence(self, tag: int) -> None:
        """Do nothing: the items come as data sets."""

    def end_sequence(self) -> None:
        """Do nothing."""

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Collect the characters of a text."""
        if self._inheritance.is_text(tag, vr, length):
            self.found.update(_decoded(tag, vr, self._stream.read(length), self._codecs))

    def fragments(self, offset: int, length: int) -> None:
        """Do nothing."""


class Recoder(Rewriter):
    """Visitor that writes what it is told of with its texts in another character set, which it states.

    Items that state a character set of their own keep it.

    Parameters
    ----------
    stream, target, output, facts
        As for `Rewriter`; `target` is the encoding of the stream.
    codecs : list of str
        The character set of the data set, as Python's names.
    character_set : str
        The other one: a single defined term, of which texts in the default repertoire need no escape sequences.
    """

    def __init__(
        self,
        stream: BinaryIO,
        target: Encoding,
        output: Output,
        facts: Mapping[int, Facts],
        codecs: list[str],
        character_set: str,
    ) -> None:
        super().__init__(stream, target, output, facts, None)
        self._codecs = codecs
        self._character_set = character_set
        [self._codec] = python_codecs([character_set])
        self._inheritance = _Inheritance()

    def begin_data_set(self, offset: int) -> None:
        """Write the start of an item."""
        self._inheritance.enter()
        super().begin_data_set(offset)

    def end_data_set(self) -> None:
        """Write the end of an item."""
        self._replace_before(BEHIND_ALL)
        super().end_data_set()
        self._inheritance.leave()

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Write an element; a text in the other character set."""
        self._replace_before(tag)
        if tag == SPECIFIC_CHARACTER_SET and len(self._open) == 1:
            return
        if not self._inheritance.is_text(tag, vr, length):
            super().element(tag, vr, length, encoding)
            return
        value = padded(_decoded(tag, vr, self._stream.read(length), self._codecs).encode(self._codec), "LO")
        if len(value) > SHORT_LENGTH_MAX and vr not in LONG_LENGTH:
            vr = "UN"  # PS3.5 6.2.2
        self._output.write(self._target.element(tag, vr, value))

    def _opened(self, data_set: OpenDataSet) -> None:
        if not self._open:
            stated = padded(self._character_set.encode("ascii"), "CS")
            data_set.replacements = [(SPECIFIC_CHARACTER_SET, "CS", stated)]


def _decoded(tag: int, vr: str, raw: bytes, codecs: list[str]) -> str:
    text = decode_value(raw, representation_of(tag) if vr == "UN" else vr, codecs)
    if _REPLACEMENT_CHARACTER in text:
        raise CannotTranscode(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X}) cannot be read in the character set of the data set, "
            "and so not be brought into another one"
        )
    return text
