"""Reading what is stored: the data set as it lies on disk, or its header.

Every read checks before it trusts: the size of the file and the digest of all that stands before the data
set.
"""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medserver.dicom.character_sets import python_codecs, read_specific_character_set
from medserver.dicom.elements import ScannedElements, inflate_prefix, scan_elements
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.errors import DamagedObject
from medserver.index import StoredInstance, StoredLocation
from medserver.node import Node
from medserver.store.failures import translating

HEADER_DEPTH_MAX = 64
HEADER_ELEMENTS_MAX = 10_000
# Most headers are within the first of these; the last bounds what a strange object can cost.
_HEADER_SIZES_BYTES = (64 * 1024, 512 * 1024, 4 * 1024 * 1024)

_SPECIFIC_CHARACTER_SET = 0x00080005


def open_data_set(node: Node, stored: StoredInstance | StoredLocation) -> BinaryIO:
    """Open a stored object at the first byte of its data set.

    Parameters
    ----------
    node : Node
        Where it is stored.
    stored : StoredInstance or StoredLocation
        Which one, as the index tells.

    Returns
    -------
    BinaryIO
        Unbuffered, so that `readinto` copies nothing; `stored.size_bytes` bytes are left to read. To be
        closed.

    Raises
    ------
    DamagedObject
        The file is missing or is not what was stored.
    StoreFailure
        It cannot be read.
    """
    file = node.volume(stored.volume).open(stored.path)
    where = f"{stored.volume}:{stored.path}"
    try:
        with translating(f"read {where}"):
            _check(file, stored, where)
    except BaseException:
        file.close()
        raise
    return file


def read_header(node: Node, stored: StoredInstance | StoredLocation) -> Dataset:
    """Read the attributes of a stored object that stand before its pixel data.

    Nothing is decoded here: pydicom decodes a value when it is asked for, but for a sequence see
    `codecs.data_sets.read_sequence`. At most 4 MiB and `HEADER_ELEMENTS_MAX` elements are read; what lies further
    back is left out, and so is everything from the first damaged element on.

    Parameters
    ----------
    node, stored
        As for `open_data_set`.

    Returns
    -------
    Dataset
        Of its sequences, those of undefined length are nested no deeper than `HEADER_DEPTH_MAX`.

    Raises
    ------
    DamagedObject, StoreFailure
        As for `open_data_set`.
    """
    syntax = transfer_syntax(stored.transfer_syntax_uid)
    with open_data_set(node, stored) as file, translating(f"read {stored.volume}:{stored.path}"):
        raw = b""
        for size_bytes in _HEADER_SIZES_BYTES:
            raw += file.read(size_bytes - len(raw))
            elements = inflate_prefix(raw, _HEADER_SIZES_BYTES[-1]) if syntax.deflated else raw
            scanned = scan_elements(
                elements, syntax, _HEADER, depth_max=HEADER_DEPTH_MAX, elements_max=HEADER_ELEMENTS_MAX
            )
            if scanned.complete or len(raw) == stored.size_bytes or len(scanned.values) == HEADER_ELEMENTS_MAX:
                break
    return _as_dataset(scanned, syntax)


class _UpTo(frozenset):
    """All tags up to and including its only member, as the set of tags that a scan wants."""

    def __contains__(self, tag: object) -> bool:
        return True


# Group 7FE0 and what follows it: pixel data, and padding and signatures that nobody asks for in a header.
_HEADER = _UpTo((0x7FDFFFFF,))


def _check(file: BinaryIO, stored: StoredInstance | StoredLocation, where: str) -> None:
    """Compare a file with its row, and leave it at its data set."""
    size_bytes = file.seek(0, os.SEEK_END)
    expected_bytes = stored.data_set_offset + stored.size_bytes
    if size_bytes != expected_bytes:
        raise DamagedObject(f"{where} has {size_bytes} bytes instead of {expected_bytes}")
    file.seek(0)
    if hashlib.sha256(file.read(stored.data_set_offset)).hexdigest() != stored.meta_digest:
        raise DamagedObject(f"{where}: the file meta information is not what was stored")


def _as_dataset(scanned: ScannedElements, syntax: TransferSyntax) -> Dataset:
    """Return encoded elements as pydicom keeps what it has read but not decoded."""
    elements = {}
    for number, (vr, value) in scanned.values.items():
        tag = Tag(number)
        elements[tag] = RawDataElement(tag, vr or None, len(value), value, 0, not vr, syntax.little_endian)
    dataset = Dataset(elements)
    _, raw = scanned.values.get(_SPECIFIC_CHARACTER_SET, ("CS", b""))
    encodings = python_codecs(read_specific_character_set(raw))
    dataset.set_original_encoding(syntax.implicit_vr, syntax.little_endian, encodings)
    return dataset
