"""Files of what was made: Part 10 in Explicit VR Little Endian."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from medserver.codecs.data_sets.writing import write_whole
from medserver.dicom.data_sets import write_element
from medserver.dicom.encodings import EXPLICIT_LITTLE, padded
from medserver.dicom.nesting import UNDEFINED_LENGTH
from medserver.dicom.part10 import HEAD_BYTES, FileMeta
from medserver.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import ObjectNotReadable, TooLargeToProcess
from medserver.processing.pixels.images import PIXEL_DATA, text_of

UNFINISHED = ".part"
"""Behind the name of a file that is being written."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When what has not been received was received: two files that are made of the same have the same bytes."""

_VALUE_SIZE_MAX_BYTES = 0xFFFFFFFE  # PS3.5 7.1.1


def write_instance(path: Path, dataset: Dataset, pixels: np.ndarray | None = None) -> None:
    """Write an instance into a new file.

    Parameters
    ----------
    path : Path
        The file, which does not exist.
    dataset : Dataset
        Its elements; those that were read and not touched are written as they were. No element is behind Pixel Data.
    pixels : ndarray, optional
        The stored values of all frames, one after the other, little endian.

    Raises
    ------
    TooLargeToProcess
        They are more than a value can have.
    """
    parts = [_head(dataset, EXPLICIT_VR_LITTLE_ENDIAN), b"".join(encoded_elements(dataset))]
    if pixels is not None:
        if pixels.nbytes > _VALUE_SIZE_MAX_BYTES:
            raise TooLargeToProcess(f"an image of {pixels.nbytes} bytes is longer than Pixel Data can be")
        vr = "OB" if pixels.itemsize == 1 else "OW"  # PS3.5 A.2
        parts.append(EXPLICIT_LITTLE.header(PIXEL_DATA, vr, pixels.nbytes + pixels.nbytes % 2))
        parts.append(memoryview(np.ascontiguousarray(_little_endian(pixels))).cast("B"))
        parts.append(bytes(pixels.nbytes % 2))
    with _whole(path, buffering=0) as file:
        for part in parts:
            _write(file, part)


def write_encapsulated(path: Path, dataset: Dataset, transfer_syntax_uid: str) -> None:
    """Write an instance with encapsulated Pixel Data into a new file.

    Parameters
    ----------
    path : Path
        The file, which does not exist.
    dataset : Dataset
        As `dicom.undecoded.read_undecoded` gives it, with elements that were put in.
    transfer_syntax_uid : str
        That of the Pixel Data.
    """
    with _whole(path) as file:
        file.write(_head(dataset, transfer_syntax_uid))
        write_whole(dataset, file, EXPLICIT_LITTLE)


def _head(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """Return what stands before the data set, with room for what an object of the store has there."""
    uids = (text_of(dataset, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID"))
    return FileMeta(*uids, transfer_syntax_uid, received_at=_NEVER).encode(HEAD_BYTES)


@contextmanager
def _whole(path: Path, buffering: int = -1) -> Iterator[BinaryIO]:
    """Give a file that gets its name when all is in it: it is taken in while others are made."""
    unfinished = f"{path}{UNFINISHED}"
    with open(unfinished, "xb", buffering=buffering) as file:
        yield file
    os.rename(unfinished, path)


def encoded_elements(dataset: Dataset) -> Iterator[bytes]:
    """Yield the elements as they are encoded; those that were not touched without being looked at."""
    codecs = dataset.original_character_set
    for tag, element in sorted(dataset.items()):
        if tag.element == 0:  # group lengths are retired (PS3.5 7.2), and may be wrong now
            continue
        is_encoded = isinstance(element, RawDataElement) and element.VR and not element.is_implicit_VR
        if is_encoded and element.length != UNDEFINED_LENGTH:
            yield EXPLICIT_LITTLE.element(tag, element.VR, padded(element.value or b"", element.VR))
        else:
            yield _converted(dataset, tag, [codecs] if isinstance(codecs, str) else codecs)


def _converted(dataset: Dataset, tag: BaseTag, codecs: list[str]) -> bytes:
    try:
        return write_element(dataset[tag], EXPLICIT_LITTLE, codecs)
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever a damaged value leads to
        raise ObjectNotReadable(f"the element {tag} is damaged: {error}") from error


def _write(file: FileIO, part: bytes | memoryview) -> None:
    left = memoryview(part)
    while left:
        left = left[file.write(left) :]


def _little_endian(pixels: np.ndarray) -> np.ndarray:
    return pixels if sys.byteorder == "little" else pixels.astype(pixels.dtype.newbyteorder("<"))
