"""Images as types of processing read them: files of a folder, decoded as the archive decodes.

`read_sources` tells what there is without reading pixels; `open_image` gives header and pixels of one. Runs in worker
processes only.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from medserver.codecs.conversion import convert
from medserver.dicom.elements import UpTo, inflate_prefix, scan_elements
from medserver.dicom.encodings import EXPLICIT_LITTLE
from medserver.dicom.part10 import FileMeta, read_file_meta
from medserver.dicom.runs import Runs
from medserver.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, TransferSyntax, transfer_syntax
from medserver.dicom.uids import is_valid_uid
from medserver.dicom.undecoded import read_undecoded, undecoded
from medserver.errors import (
    CannotTranscode,
    IncompleteObjectSet,
    NotPart10,
    ObjectNotReadable,
    ObjectTypeNotSupported,
    TransferSyntaxNotSupported,
)
from medserver.processing.pixels import OF_FRAMES
from medserver.region import open_region

PIXEL_DATA = 0x7FE00010
_FIRST_READ_BYTES, _HEADER_SIZE_MAX_BYTES = 32 * 1024, 64 * 2**20
_SIZE_MAX_BYTES = 16 * 2**30
_LONG_HEADER_BYTES = 12

_EXPLICIT = transfer_syntax(EXPLICIT_VR_LITTLE_ENDIAN)
_BEFORE_PIXEL_DATA = UpTo((PIXEL_DATA - 1,))
_PIXEL_DATA_TAG = b"\xe0\x7f\x10\x00"
_REMEMBERED_BYTES_MAX = 256

_WANTED = frozenset((
    0x00080008,  # Image Type
    0x00080016, 0x00080018, 0x00080060,  # SOP Class UID, SOP Instance UID, Modality
    0x00081164,  # Frame Extraction Sequence
    0x00100010, 0x00100020, 0x00100021,  # Patient's Name, Patient ID, Issuer of Patient ID
    0x0020000D, 0x0020000E, 0x00200011, 0x00200012, 0x00200013,  # study, series, Series, Acquisition, Instance Number
    0x00200032, 0x00200037, 0x00200052,  # Image Position, Image Orientation, Frame of Reference UID
    0x00080021, 0x00080022, 0x00080031, 0x00080032,  # Series Date, Acquisition Date, Series Time, Acquisition Time
    0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280030,  # Samples, Photometric, Frames, Rows, ...
    0x00280100, 0x00280101, 0x00280103,  # Bits Allocated, Bits Stored, Pixel Representation
    0x00281052, 0x00281053, 0x00281054,  # Rescale Intercept, Slope, Type
    0x52009229,  # Shared Functional Groups Sequence
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """One input file.

    Parameters
    ----------
    path : Path
        Where it is.
    meta : FileMeta
        Its file meta information.
    facts : Dataset
        Some elements of its header: those of `_WANTED`.
    extraction : Dataset, optional
        Of which instance it has some frames, and which: an item of the Frame Extraction Sequence.
    """

    path: Path
    meta: FileMeta
    facts: Dataset
    extraction: Dataset | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"instance {self.sop_instance_uid}"

    @property
    def sop_class_uid(self) -> str:
        """Its SOP Class UID."""
        return text_of(self.facts, "SOPClassUID")

    @property
    def sop_instance_uid(self) -> str:
        """Its SOP Instance UID; that of the instance of which it has some frames, for no other one is stored."""
        if self.extraction is not None:
            return text_of(self.extraction, "MultiFrameSourceSOPInstanceUID")
        return text_of(self.facts, "SOPInstanceUID")

    @property
    def frame_numbers(self) -> tuple[int, ...]:
        """The numbers of the frames, in the instance that they are of; empty if it is the whole instance."""
        return () if self.extraction is None else tuple(map(int, texts_of(self.extraction, "SimpleFrameList")))

    @property
    def series_instance_uid(self) -> str:
        """Its Series Instance UID."""
        return text_of(self.facts, "SeriesInstanceUID")

    @property
    def modality(self) -> str:
        """Its Modality."""
        return text_of(self.facts, "Modality")

    @property
    def patient(self) -> tuple[str, ...]:
        """Whose it is: by Patient ID if there is one."""
        by_id = tuple(text_of(self.facts, keyword) for keyword in ("PatientID", "IssuerOfPatientID"))
        return by_id if by_id[0] else ("", text_of(self.facts, "PatientName"))

    @property
    def is_image(self) -> bool:
        """Whether it has rows and columns of pixels."""
        return "Rows" in self.facts and "Columns" in self.facts and "BitsAllocated" in self.facts

    @property
    def is_localizer(self) -> bool:
        """Whether it shows where others are (PS3.3 C.8.2.1.1.1)."""
        return "LOCALIZER" in texts_of(self.facts, "ImageType")


@dataclass(slots=True)
class Image:
    """Header and pixels of one image.

    Parameters
    ----------
    source : Source
        Where it is from.
    dataset : Dataset
        The elements before Pixel Data, not decoded, in Explicit VR Little Endian.
    shape : tuple of int, (frames, rows, columns, samples)
        Of the Pixel Data.
    dtype : numpy.dtype
        Of a sample as it is stored.
    bits_stored : int
        Bits Stored.
    """

    source: Source
    dataset: Dataset
    shape: tuple[int, int, int, int]
    dtype: np.dtype
    bits_stored: int
    _file: BinaryIO
    _offset: int

    def pixels(self) -> np.ndarray:
        """Return all stored values, shape (frames, rows, columns) or (frames, rows, columns, samples)."""
        return self.rows(0, self.shape[0], 0, self.shape[1])

    def frame(self, index: int) -> np.ndarray:
        """Return the stored values of one frame, shape (rows, columns) or (rows, columns, samples)."""
        return self.rows(index, index + 1, 0, self.shape[1])[0]

    def rows(self, first_frame: int, last_frame: int, first_row: int, last_row: int) -> np.ndarray:
        """Return some rows of some frames, the last of each excluded; nothing else is read.

        Returns
        -------
        ndarray, shape (frames, rows, columns[, samples])
            Bits above Bits Stored that are an overlay are taken away.
        """
        frames, rows, columns, samples = self.shape
        wanted = last_row - first_row
        values = np.empty((last_frame - first_frame, wanted, columns, samples), self.dtype)
        stride = columns * samples * self.dtype.itemsize
        for number, frame in enumerate(range(first_frame, last_frame)):
            self._file.seek(self._offset + (frame * rows + first_row) * stride)
            if self._file.readinto(memoryview(values[number]).cast("B")) != wanted * stride:
                raise ObjectNotReadable(f"the Pixel Data of {self.source.name} ends too early")
        values = self._without_overlays(values)
        return values[..., 0] if samples == 1 else values

    def with_pixels(self) -> Dataset:
        """Return the elements with Pixel Data, which is a stream that is read from where it is needed."""
        dataset = copied(self.dataset)
        frames, rows, columns, samples = self.shape
        length = frames * rows * columns * samples * self.dtype.itemsize
        dataset.add(DataElement(PIXEL_DATA, "OW", open_region(self._file.fileno(), self._offset, length)))
        return dataset

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the greatest value that Bits Stored hold."""
        low = -(1 << self.bits_stored - 1) if self.dtype.kind == "i" else 0
        return low, low + (1 << self.bits_stored) - 1

    def _without_overlays(self, values: np.ndarray) -> np.ndarray:
        unused = 8 * self.dtype.itemsize - self.bits_stored
        if unused and any(tag.group >> 8 == 0x60 and tag.element == 0x0102 for tag in self.dataset.keys()):
            return (values << unused) >> unused
        return values


def read_sources(folder: Path) -> list[Source]:
    """Return what the files of a folder are, by series and Instance Number.

    Raises
    ------
    IncompleteObjectSet
        There is none.
    ObjectNotReadable
        A file is no DICOM file, or damaged.
    """
    sources = [read_source(path) for path in sorted(folder.iterdir()) if path.is_file()]
    if not sources:
        raise IncompleteObjectSet("there are no objects to process")
    return sorted(sources, key=_order)


def read_source(path: Path) -> Source:
    """Return what a file is.

    Raises
    ------
    ObjectNotReadable
        It is no DICOM file, or damaged.
    """
    with open(path, "rb", buffering=0) as file:
        head = file.read(_FIRST_READ_BYTES)
        try:
            meta = read_file_meta(_Bytes(head))
            syntax = transfer_syntax(meta.transfer_syntax_uid)
        except (NotPart10, TransferSyntaxNotSupported, KeyError) as error:
            raise ObjectNotReadable(f"{path.name}: {error}") from None
        runs = None if syntax.deflated else _remembered.facts
        scanned = scan_elements(_inflated(head[meta.data_set_offset :], syntax), syntax, _WANTED, runs=runs)
        while not scanned.complete and len(head) < _HEADER_SIZE_MAX_BYTES and (more := file.read(7 * len(head))):
            head += more
            scanned = scan_elements(_inflated(head[meta.data_set_offset :], syntax), syntax, _WANTED)
    if scanned.problem:
        raise ObjectNotReadable(f"{path.name}: {scanned.problem}")
    facts = undecoded(scanned, syntax)
    source = Source(path, meta, facts, facts.FrameExtractionSequence[-1] if path.name.endswith(OF_FRAMES) else None)
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not is_valid_uid(text_of(source.facts, keyword)):
            raise ObjectNotReadable(f"{path.name} has no usable {keyword}")
    return source


@contextmanager
def open_image(source: Source, directory: Path) -> Iterator[Image]:
    """Open an image; what is not native and in Explicit VR Little Endian becomes so in a temporary file.

    Raises
    ------
    ObjectNotReadable
        It is damaged, or its pixels are not what its header says.
    ObjectTypeNotSupported
        It has no pixels of bytes, or such in a transfer syntax that cannot be decoded here.
    """
    with ExitStack() as files:
        file: BinaryIO = files.enter_context(open(source.path, "rb"))
        offset = source.meta.data_set_offset
        size_bytes = os.fstat(file.fileno()).st_size - offset
        if source.meta.transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
            file = files.enter_context(_converted(source, file, offset, size_bytes, directory))
            offset, size_bytes = 0, os.fstat(file.fileno()).st_size
        dataset, pixel_offset, length = _header(file, offset, size_bytes, source)
        yield _image(source, dataset, file, pixel_offset, length)


@contextmanager
def reopen_image(image: Image, directory: Path) -> Iterator[Image]:
    """Open an image again, which was closed; its header is not read again. Raises as `open_image`."""
    if image.source.meta.transfer_syntax_uid != EXPLICIT_VR_LITTLE_ENDIAN:
        with open_image(image.source, directory) as converted:
            yield converted
        return
    with open(image.source.path, "rb") as file:
        yield replace(image, _file=file)


@contextmanager
def _converted(source: Source, file: BinaryIO, offset: int, size_bytes: int, directory: Path) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile(dir=directory) as native:
        try:
            convert(
                file.fileno(), native.fileno(), offset, size_bytes, source.meta.transfer_syntax_uid,
                EXPLICIT_VR_LITTLE_ENDIAN, os.fspath(directory), _SIZE_MAX_BYTES,
            )  # fmt: skip
        except CannotTranscode as error:
            raise ObjectNotReadable(f"{source.name} cannot be decoded: {error}") from error
        except TransferSyntaxNotSupported as error:
            raise ObjectTypeNotSupported(f"{source.name} cannot be decoded: {error}") from error
        yield native


class _Remembered(threading.local):
    """What the instances that a thread reads have in common."""

    def __init__(self) -> None:
        self.facts, self.headers = Runs(), Runs()


_remembered = _Remembered()


def _header(file: BinaryIO, offset: int, size_bytes: int, source: Source) -> tuple[Dataset, int, int]:
    """Return the elements before Pixel Data, where the value of that begins, and its length."""
    dataset, pixel_offset, length = _short_header(file, offset) or _any_header(file, offset, size_bytes, source)
    if source.extraction is not None:  # what is made of it is no answer to a retrieve of frames (PS3.3 A.1.3, C.12.3)
        del dataset.FrameExtractionSequence[-1]
        if not dataset.FrameExtractionSequence:
            del dataset.FrameExtractionSequence
    return dataset, pixel_offset, length


def _short_header(file: BinaryIO, offset: int) -> tuple[Dataset, int, int] | None:
    """Return it if it is short and nothing about it is strange, as most are: in a quarter of the time."""
    head = os.pread(file.fileno(), _FIRST_READ_BYTES, offset)
    scanned = scan_elements(head, _EXPLICIT, _BEFORE_PIXEL_DATA, runs=_remembered.headers)
    end = scanned.end + _LONG_HEADER_BYTES
    is_usual = scanned.complete and head[scanned.end :].startswith(_PIXEL_DATA_TAG) and end <= len(head)
    if not is_usual or not all(vr for vr, _ in scanned.values.values()):
        return None
    return undecoded(scanned, _EXPLICIT), offset + end, int.from_bytes(head[end - 4 : end], "little")


def _any_header(file: BinaryIO, offset: int, size_bytes: int, source: Source) -> tuple[Dataset, int, int]:
    try:
        with open_region(file.fileno(), offset, size_bytes) as region:
            dataset = read_undecoded(region, EXPLICIT_LITTLE, before=PIXEL_DATA)
            begin = region.tell()
            header = region.read(_LONG_HEADER_BYTES)
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever damaged bytes lead to
        raise ObjectNotReadable(f"{source.name} is damaged: {error}") from error
    if dataset.original_encoding[0]:
        raise ObjectNotReadable(f"{source.name} is in implicit VR, and says that it is not")
    if not header.startswith(_PIXEL_DATA_TAG):
        raise ObjectTypeNotSupported(f"{source.name} has no Pixel Data")
    return dataset, offset + begin + _LONG_HEADER_BYTES, int.from_bytes(header[8:], "little")


def _image(source: Source, dataset: Dataset, file: BinaryIO, offset: int, length: int) -> Image:
    rows, columns = integer_of(dataset, "Rows"), integer_of(dataset, "Columns")
    frames, samples = (integer_of(dataset, keyword, 1) for keyword in ("NumberOfFrames", "SamplesPerPixel"))
    allocated, stored = integer_of(dataset, "BitsAllocated"), integer_of(dataset, "BitsStored")
    signed = integer_of(dataset, "PixelRepresentation", 0)
    if allocated not in (8, 16, 32):
        raise ObjectTypeNotSupported(f"{source.name} has samples of {allocated} bits")
    if not 0 < stored <= allocated or signed not in (0, 1) or min(rows, columns, frames, samples) < 1:
        raise ObjectNotReadable(f"{source.name} contradicts itself in what its pixels are")
    if samples > 1 and integer_of(dataset, "PlanarConfiguration", 0):
        raise ObjectTypeNotSupported(f"{source.name} has its colours by plane")
    there = min(length, os.fstat(file.fileno()).st_size - offset)
    if there < rows * columns * frames * samples * allocated // 8:
        raise ObjectNotReadable(f"{source.name} has {there} bytes of Pixel Data, fewer than its header says")
    dtype = np.dtype(f"<{'ui'[signed]}{allocated // 8}")
    return Image(source, dataset, (frames, rows, columns, samples), dtype, stored, file, offset)


def copied(dataset: Dataset) -> Dataset:
    """Return a data set of the same elements, which are not decoded."""
    copy = Dataset(dict(dataset.items()))
    copy.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)
    return copy


def text_of(dataset: Dataset, keyword: str) -> str:
    """Return a value as text; of several the first, "" if there is none."""
    return (texts_of(dataset, keyword) or [""])[0]


def texts_of(dataset: Dataset, keyword: str) -> list[str]:
    """Return all values as texts."""
    return [str(value).strip() for value in _values(dataset, keyword)]


def integer_of(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return the first value, a whole number.

    Raises
    ------
    ObjectNotReadable
        It is none, or there is none and no default.
    """
    values = _values(dataset, keyword)
    if not values and default is not None:
        return default
    try:
        return int(values[0])
    except (IndexError, TypeError, ValueError):
        raise ObjectNotReadable(f"{_name(dataset)} has no usable {keyword}") from None


def numbers_of(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return as many numbers as a value has to have, None if there is none.

    Raises
    ------
    ObjectNotReadable
        They are not as many, or no finite numbers.
    """
    values = _values(dataset, keyword)
    if not values:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ObjectNotReadable(f"{_name(dataset)} has no usable {keyword}")
    return numbers


def number_of(dataset: Dataset, keyword: str, default: float) -> float:
    """Return a number, or the default if there is none.

    Raises
    ------
    ObjectNotReadable
        It is no finite number.
    """
    values = numbers_of(dataset, keyword, 1)
    return values[0] if values else default


def _values(dataset: Dataset, keyword: str) -> Sequence[Any]:
    try:
        value = _value(dataset, keyword)
    except Exception:  # noqa: BLE001 - pydicom raises whatever a damaged value leads to
        raise ObjectNotReadable(f"the {keyword} of an object cannot be read") from None
    if value is None or value == "":
        return ()
    is_many = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return value if is_many else (value,)


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return a value; the data set keeps it encoded, so that it is written as it was read."""
    element = dataset.get_item(_tag_of(keyword))
    is_short = isinstance(element, RawDataElement) and len(element.value or b"") <= _REMEMBERED_BYTES_MAX
    if not is_short or element.VR in _NOT_REMEMBERED:
        return dataset.get(keyword)
    codecs = dataset.original_character_set
    return _decoded(element, codecs if isinstance(codecs, str) else tuple(codecs))


_NOT_REMEMBERED = (None, "SQ", "UN")
"""What is not decoded by itself alone, or can be changed."""


@lru_cache(maxsize=4096)
def _decoded(element: RawDataElement, codecs: str | tuple[str, ...]) -> Any:
    """Return what pydicom makes of an element: instances of a series have most in common."""
    encoding = codecs if isinstance(codecs, str) else list(codecs)
    value = convert_raw_data_element(element, encoding=encoding).value
    return tuple(value) if isinstance(value, MultiValue) else value


@cache
def _tag_of(keyword: str) -> BaseTag:
    return Tag(tag_for_keyword(keyword))


def _name(dataset: Dataset) -> str:
    return f"instance {text_of(dataset, 'SOPInstanceUID')}"


def _order(source: Source) -> tuple[str, int, str]:
    return source.series_instance_uid, integer_of(source.facts, "InstanceNumber", 0), source.sop_instance_uid


def _inflated(raw: bytes, syntax: TransferSyntax) -> bytes:
    return inflate_prefix(raw, _HEADER_SIZE_MAX_BYTES) if syntax.deflated else raw


class _Bytes:
    """Bytes as a stream that is read once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int) -> bytes:
        return self._content[:size]
