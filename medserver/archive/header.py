"""The indexed attributes of an instance, read from the beginning of its data set as it arrives.

Reception, start-up and rebuild all come through here, so that an index made anew is the index that was.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from pydicom.dataset import Dataset

from medserver.archive.request_attributes import sequence_as_json
from medserver.dicom.attributes import ATTRIBUTES, WANTED_TAGS, Attribute
from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET, decode_text, read_specific_character_set
from medserver.dicom.element_stream import ElementStream
from medserver.dicom.elements import Inflater, ScannedElements, inflate_prefix, scan_elements
from medserver.dicom.non_patient import NON_PATIENT_SOP_CLASSES
from medserver.dicom.representations import STRING_VRS
from medserver.dicom.runs import Runs
from medserver.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    TransferSyntax,
    transfer_syntax,
)
from medserver.dicom.uids import uid_problem
from medserver.dicom.undecoded import undecoded
from medserver.errors import CannotUnderstand, DataSetMismatch

HEADER_SIZE_BYTES = 64 * 1024
"""How much of a data set is kept in memory while it passes. The attributes of the index lie within the first few
kilobytes. Where a long private group or references to thousands of images push the identifying ones further back, the
data set is read on as it passes, and nothing but values is kept."""

_VALUES_SIZE_MAX_BYTES = 1024 * 1024
_INFLATED_SIZE_BYTES = 1024 * 1024
INFLATED_SIZE_MAX_BYTES = 4 * 1024 * 1024
"""How much of a deflated data set is inflated in search of the identifying attributes: its sender pays a thousandth,
and half a million empty elements take a second."""

_SOP_CLASS_UID, _SOP_INSTANCE_UID = 0x00080016, 0x00080018
_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
_IDENTIFYING = frozenset((_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID))

_ROWS: Mapping[int, Attribute] = {row.tag: row for row in ATTRIBUTES if row.column is not None}
_COLUMNS: Mapping[int, str] = {tag: row.column for tag, row in _ROWS.items()}
_NO_VALUES: Mapping[str, str | None] = {row.column: None for row in _ROWS.values()}
_OF_INSTANCE = tuple(row.column for row in _ROWS.values() if row.level == "IMAGE")
_REMEMBERED_MAX = 2048
_REMEMBERED_BYTES_MAX = 256
_ATTRIBUTE_BYTES_MAX = 1024
_UNSIGNED_SHORT = {True: Struct("<H"), False: Struct(">H")}


@dataclass(frozen=True, slots=True)
class Header:
    """What the index is to know of an instance.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        As the data set has them, without padding; empty if it does not.
    values : Mapping of str to (str or None)
        Column -> value; None for an attribute that is not there.
    """

    sop_class_uid: str
    sop_instance_uid: str
    values: Mapping[str, str | None]


_NO_ATTRIBUTES = Dataset()


class _Recent(threading.local):
    """What the data sets have in common that a thread reads: it serves one association after the other."""

    def __init__(self) -> None:
        self.runs = Runs()


_recent = _Recent()


class HeaderReader:
    """Keep the beginning of a data set, no longer than its identifying attributes need, and read it.

    Parameters
    ----------
    syntax : TransferSyntax
        The encoding of the data set.
    """

    def __init__(self, syntax: TransferSyntax) -> None:
        self._syntax = syntax
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._further: _FurtherReader | None = None
        self._scanned: ScannedElements | None = None

    @property
    def has_enough(self) -> bool:
        """Whether further fragments would be ignored."""
        return self._scanned is not None

    @property
    def wanted_bytes(self) -> int:
        """How many more bytes would be read, at least."""
        if self.has_enough:
            return 0
        return HEADER_SIZE_BYTES - (0 if self._further else self._size_bytes)

    def feed(self, fragment: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set; they may be reused afterwards."""
        if self.has_enough:
            return
        if self._further is None:
            room = HEADER_SIZE_BYTES - self._size_bytes
            piece = bytes(fragment[:room])
            self._pieces.append(piece)
            self._size_bytes += len(piece)
            fragment = fragment[room:]
            if self._size_bytes < HEADER_SIZE_BYTES:
                return
            self._read_prefix()
        if self._further is not None:
            self._further.feed(fragment)
            if self._further.is_done:
                self._scanned = self._further.scanned()

    def header(self) -> Header:
        """Return what was found.

        Raises
        ------
        CannotUnderstand
            The bytes are not a data set, or there are none.
        DataSetMismatch
            They are one in another transfer syntax.
        """
        if self._scanned is None and self._further is None:
            self._read_prefix()
        if self._scanned is None:
            self._scanned = self._further.scanned()
        self._check_encoding(self._scanned)
        return _decoded(self._scanned, self._syntax)

    def attributes(self, tags: frozenset[int]) -> Dataset | None:
        """Return attributes of the data set, not decoded, for somebody who has little time. After `header`.

        Parameters
        ----------
        tags : frozenset of int
            Which, ``group << 16 | element``.

        Returns
        -------
        Dataset or None
            Those of them that are there, not to be changed. None if that is not certain, since they may lie behind what
            was kept, or if one of them is a sequence or strangely long.
        """
        if not tags:
            return _NO_ATTRIBUTES
        elements = _elements(self._prefix, self._syntax)
        scanned = scan_elements(elements, self._syntax, tags | {SPECIFIC_CHARACTER_SET})
        is_whole = self._size_bytes < HEADER_SIZE_BYTES
        ends_here = is_whole and scanned.problem is None and not self._syntax.deflated
        if not (scanned.complete or ends_here):
            return None
        if any(vr == "SQ" or len(value) > _ATTRIBUTE_BYTES_MAX for vr, value in scanned.values.values()):
            return None
        return undecoded(scanned, self._syntax)

    def forget(self) -> None:
        """Let go of what was kept of the data set; `header` and `attributes` are not called any more."""
        self._pieces.clear()

    @property
    def _prefix(self) -> bytes:
        """The beginning of the data set; of one piece it is that piece."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def _read_prefix(self) -> None:
        """Read what is kept; the data set is to be read further if the identifying attributes may still come."""
        elements = _elements(self._prefix, self._syntax)
        runs = None if self._syntax.deflated else _recent.runs  # there may be hundred times as many elements
        scanned = scan_elements(elements, self._syntax, WANTED_TAGS, runs=runs)
        if scanned.complete or _IDENTIFYING <= scanned.values.keys():
            self._scanned = scanned
        else:
            self._further = _FurtherReader(self._syntax)
            self._further.feed(self._prefix)

    def _check_encoding(self, scanned: ScannedElements) -> None:
        """Raise the most telling error for bytes that are not what the transfer syntax promises."""
        if not self._prefix:
            raise CannotUnderstand("the data set is empty")
        elements = _elements(self._prefix, self._syntax)
        if scanned.values:
            # The scan reads explicit and implicit VR whatever was negotiated; a receiver of the stored bytes
            # may not. Compressed images in implicit VR exist (SC_rgb_jpeg.dcm of pydicom), and no syntax
            # would be right for them.
            if self._syntax.native and _is_implicit(elements, self._syntax) != self._syntax.implicit_vr:
                raise DataSetMismatch(f"the data set is not in {self._syntax.name}: its VRs say otherwise")
            return
        for uid in (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN):
            other = transfer_syntax(uid)
            raw = _elements(self._prefix, other)
            if _IDENTIFYING <= scan_elements(raw, other, WANTED_TAGS).values.keys():
                raise DataSetMismatch(f"the data set is in {other.name}, not in {self._syntax.name}")
        raise CannotUnderstand(f"the data set cannot be read as {self._syntax.name}")


class _FurtherReader:
    """Reads the wanted elements of a data set as it passes, inflated if it is deflated."""

    def __init__(self, syntax: TransferSyntax) -> None:
        self._stream = ElementStream(syntax, WANTED_TAGS, values_size_max_bytes=_VALUES_SIZE_MAX_BYTES)
        self._inflater = Inflater(INFLATED_SIZE_MAX_BYTES) if syntax.deflated else None

    @property
    def is_done(self) -> bool:
        return self._stream.is_done or (self._inflater is not None and self._inflater.is_done)

    def feed(self, fragment: bytes | bytearray | memoryview) -> None:
        if self._inflater is None:
            self._stream.feed(fragment)
            return
        for inflated in self._inflater.inflate(fragment):
            self._stream.feed(inflated)
            if self._stream.is_done:
                return

    def scanned(self) -> ScannedElements:
        return self._stream.scanned()


def _elements(prefix: bytes, syntax: TransferSyntax) -> bytes:
    """Return the beginning of the elements; of a deflated data set no more than is wanted."""
    return inflate_prefix(prefix, _INFLATED_SIZE_BYTES) if syntax.deflated else prefix


def _is_implicit(elements: bytes, syntax: TransferSyntax) -> bool:
    """Tell from its first element whether a data set is in implicit VR (PS3.5 7.1)."""
    if elements[4:6].isalpha() and elements[4:6].isupper():
        return False
    # Neither two capitals nor a length: some writers put question marks or nulls in place of a VR.
    length = int.from_bytes(elements[4:8], "little" if syntax.little_endian else "big")
    return syntax.implicit_vr or length <= len(elements)


def check_identity(header: Header, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Compare a data set with the command, or the file meta information, that came with it (PS3.4 B.2.3).

    Raises
    ------
    DataSetMismatch
        It is another instance, of another class, or belongs to no study and series.
    """
    if header.sop_instance_uid != sop_instance_uid:
        raise DataSetMismatch("the SOP Instance UID of the data set is not that of the command")
    if header.sop_class_uid != sop_class_uid:
        raise DataSetMismatch("the SOP Class UID of the data set is not that of the command")
    for column, name in (("study_instance_uid", "Study"), ("series_instance_uid", "Series")):
        uid = header.values[column]
        if problem := uid_problem(f"{name} Instance UID", uid or ""):
            raise DataSetMismatch(f"{problem}, in the data set")
        if uid in NON_PATIENT_SOP_CLASSES and uid != sop_class_uid:  # where those objects stand that have none
            raise DataSetMismatch(f"the {name} Instance UID of the data set is that of a SOP class")


def _decoded(scanned: ScannedElements, syntax: TransferSyntax) -> Header:
    _, raw = scanned.values.get(SPECIFIC_CHARACTER_SET, ("CS", b""))
    character_sets = read_specific_character_set(raw)
    values = dict(_NO_VALUES)
    remembered = _remembered(character_sets, syntax.uid)
    for tag, (vr, raw) in scanned.values.items():
        column = _COLUMNS.get(tag)
        if column is not None:
            known = remembered[tag].get(raw)
            if known is None or known[0] != vr:
                known = vr, _value(tag, vr, raw, character_sets, syntax)
                remembered.note(tag, raw, known)
            values[column] = known[1]
    if values["sop_class_uid"] in NON_PATIENT_SOP_CLASSES:
        values = _NO_VALUES | {column: values[column] for column in _OF_INSTANCE}
        values |= dict.fromkeys(("patient_id", "study_instance_uid", "series_instance_uid"), values["sop_class_uid"])
    return Header(values["sop_class_uid"] or "", values["sop_instance_uid"] or "", values)


def _value(tag: int, vr: str, raw: bytes, character_sets: tuple[str, ...], syntax: TransferSyntax) -> str | None:
    """Decode one value; the dictionary helps where the sender gives no VR, or one that cannot be meant."""
    row = _ROWS[tag]
    if row.vr == "SQ":
        return sequence_as_json(raw, vr, character_sets, syntax)
    if vr not in STRING_VRS:
        vr = row.vr
    if vr == "US":
        number = _UNSIGNED_SHORT[syntax.little_endian]
        whole = raw[: len(raw) // 2 * 2]
        return "\\".join(str(value) for (value,) in number.iter_unpack(whole))
    # A text column of PostgreSQL holds no null, and no value of these VRs may (PS3.5 6.1.3). A UID with one in its
    # midst is none, and must not become another one.
    return decode_text(raw, vr, character_sets).replace("\0", "\N{REPLACEMENT CHARACTER}" if vr == "UI" else "")


class _Remembered(defaultdict[int, dict[bytes, tuple[str, str | None]]]):
    """What values were decoded to: tag -> bytes -> VR and text. The instances of a series have most of them in common.

    A dictionary an attribute is asked in a third of the time that one of all arguments of `_value` takes.
    """

    def __init__(self) -> None:
        super().__init__(dict)
        self._room = _REMEMBERED_MAX

    def note(self, tag: int, raw: bytes, known: tuple[str, str | None]) -> None:
        """Remember a value, if it is short."""
        if len(raw) > _REMEMBERED_BYTES_MAX:
            return
        if self._room <= 0:
            self.clear()
            self._room = _REMEMBERED_MAX
        self._room -= 1
        self[tag][raw] = known


@lru_cache(maxsize=8)
def _remembered(character_sets: tuple[str, ...], transfer_syntax_uid: str) -> _Remembered:
    """Return what is remembered of data sets that are encoded like this."""
    return _Remembered()
