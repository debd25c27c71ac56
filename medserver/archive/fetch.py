"""Reading what is stored: the data set as it lies on disk, or its header, from the first good copy.

Every read checks before it trusts. A small object is read at once and compared with its digests before a byte of it is
given. A larger one is compared while it is read; if it has not been verified for long, it is read once beforehand.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from medserver.archive.checked_stream import CheckedStream
from medserver.archive.copies import Copies, Copy, as_stored
from medserver.dicom.elements import ScannedElements, UpTo, inflate_prefix, scan_elements
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.errors import DamagedObject, IndexFailure, StoreFailure
from medserver.index import GOOD
from medserver.memory_file import MemoryFile
from medserver.node import Node
from medserver.store import paths
from medserver.store.failures import translating

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

READ_AT_ONCE_MAX_BYTES = 1024 * 1024
"""Objects up to this size are verified before anything is sent: a wrong one costs a sub-operation, no association."""

COMPARED_FIRST_MAX_BYTES = 64 * 1024 * 1024
"""Objects up to this size are compared as a whole before parts of them are given: it takes a tenth of a second."""

VERIFIED_FOR = timedelta(days=30)
"""How long a large object is trusted to its last bytes after it was written or verified."""

HEADER_DEPTH_MAX = 64
HEADER_ELEMENTS_MAX = 10_000
# Most headers are within the first of these; the last bounds what a strange object can cost.
_HEADER_SIZES_BYTES = (64 * 1024, 512 * 1024, 4 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class OpenedObject:
    """A stored object that is being read.

    Parameters
    ----------
    copy : StoredCopy
        The copy that is read, at least in the beginning.
    file_meta : bytes
        What stands before the data set.
    data_set : BinaryIO
        To be read from the first byte to the last, and to be closed.
    """

    copy: Copy
    file_meta: bytes
    data_set: BinaryIO


def open_data_set(node: Node, stored: Copy) -> BinaryIO:
    """Open a stored object at the first byte of its data set: its first copy that is what was stored.

    Parameters
    ----------
    node : Node
        Where it is stored.
    stored : StoredCopy
        Which one, as the index tells.

    Returns
    -------
    BinaryIO
        With `stored.size_bytes` bytes, to be read from the first to the last, and to be closed. A larger object that
        turns out to be damaged raises DamagedObject or StoreFailure in the place of its last bytes.

    Raises
    ------
    DamagedObject
        No copy is what was stored.
    StoreFailure
        None can be read.
    """
    return open_object(node, stored).data_set


def open_object(node: Node, stored: Copy) -> OpenedObject:
    """Open a stored object as `open_data_set` does, with what stands before its data set."""
    if stored.file_size_bytes <= READ_AT_ONCE_MAX_BYTES:
        return Copies(node, stored).next(lambda copy: _read_at_once(node, copy))
    # What has been sent of a bad copy cannot be taken back: the sender tries again, and must not get the same one.
    copies = Copies(node, stored, certain=True)
    used: list[Copy] = []

    def open_at(copy: Copy, position: int) -> tuple[bytes, BinaryIO]:
        if not position and not _is_trusted(node, copy):
            _verify(node, copy)
        opened = _open_at(node, copy, position)
        used.append(copy)
        return opened

    def take_over(error: StoreFailure, position: int) -> BinaryIO:
        copies.failed(used[-1], error)
        return copies.next(lambda copy: open_at(copy, position))[1]

    def find_damaged() -> None:
        for copy in used:
            try:
                _verify(node, copy)
            except StoreFailure as error:
                copies.failed(copy, error)

    file_meta, file = copies.next(lambda copy: open_at(copy, 0))
    stream = CheckedStream(file, stored.size_bytes, stored.digest, take_over, find_damaged)
    return OpenedObject(used[0], file_meta, stream)


def open_parts(node: Node, stored: Copy) -> BinaryIO:
    """Open a stored object of which only some parts will be read: its first copy that is what was stored.

    What is not read whole cannot be compared while it is read, so it is compared beforehand: always up to
    `COMPARED_FIRST_MAX_BYTES`. A larger one is trusted if it was written or verified not long ago.

    Parameters
    ----------
    node, stored
        As for `open_data_set`.

    Returns
    -------
    BinaryIO
        A file that stands at the first byte of the data set, to be closed. Its position can be changed unless the
        object is a small one, which has been read into memory: that is read from the first byte to the last.

    Raises
    ------
    DamagedObject, StoreFailure
        As for `open_data_set`.
    """
    if stored.file_size_bytes <= READ_AT_ONCE_MAX_BYTES:
        return open_data_set(node, stored)

    def open_trusted(copy: Copy) -> BinaryIO:
        if not _is_trusted(node, copy):
            _verify(node, copy)
        elif copy.file_size_bytes <= COMPARED_FIRST_MAX_BYTES:
            node.volume(copy.volume).verify(as_stored(copy))
        return _open_at(node, copy, 0)[1]

    return Copies(node, stored, certain=True).next(open_trusted)


def read_header(node: Node, stored: Copy, *, verified: bool = False) -> Dataset:
    """Read the attributes of a stored object that stand before its pixel data.

    Nothing is decoded here: pydicom decodes a value when it is asked for, but for a sequence see
    `dicom.data_sets.read_sequence`. At most 4 MiB and `HEADER_ELEMENTS_MAX` elements are read; what lies further
    back is left out, and so is everything from the first damaged element on.

    Parameters
    ----------
    node, stored
        As for `open_data_set`.
    verified : bool
        Read the whole object and compare it with its digest, for a header that is given away as the object. Otherwise
        only its size and its file meta information are checked.

    Returns
    -------
    Dataset
        Of its sequences, those of undefined length are nested no deeper than `HEADER_DEPTH_MAX`.

    Raises
    ------
    DamagedObject, StoreFailure
        As for `open_data_set`.
    """
    from medserver.dicom.undecoded import undecoded  # with pydicom, which who moves objects does without

    syntax = transfer_syntax(stored.transfer_syntax_uid)

    def read(copy: Copy) -> ScannedElements:
        if verified:
            _verify(node, copy)
        with _open_at(node, copy, 0)[1] as file, translating(f"read {copy.volume}:{copy.path}"):
            return scan_header(file, syntax, stored.size_bytes)

    return undecoded(Copies(node, stored).next(read), syntax)


def scan_header(file: BinaryIO, syntax: TransferSyntax, data_set_bytes: int) -> ScannedElements:
    """Read the elements of a data set that stand before its pixel data, see `read_header`.

    Parameters
    ----------
    file : BinaryIO
        At the first byte of the data set.
    syntax : TransferSyntax
        How it is encoded.
    data_set_bytes : int
        How long it is.
    """
    raw = b""
    for size_bytes in _HEADER_SIZES_BYTES:
        raw += _read(file, size_bytes - len(raw))
        elements = inflate_prefix(raw, _HEADER_SIZES_BYTES[-1]) if syntax.deflated else raw
        scanned = scan_elements(
            elements, syntax, _HEADER, depth_max=HEADER_DEPTH_MAX, elements_max=HEADER_ELEMENTS_MAX
        )
        if scanned.complete or len(raw) == data_set_bytes or len(scanned.values) == HEADER_ELEMENTS_MAX:
            break
    return scanned


# Group 7FE0 and what follows it: pixel data, and padding and signatures that nobody asks for in a header.
_HEADER = UpTo((0x7FDFFFFF,))


def _read_at_once(node: Node, copy: Copy) -> OpenedObject:
    """Read a copy into memory and compare all of it."""
    where = f"{copy.volume}:{copy.path}"
    expected_bytes = copy.file_size_bytes
    with node.volume(copy.volume).open(copy.path) as file, translating(f"read {where}"):
        raw = _read(file, expected_bytes + 1)
    if len(raw) != expected_bytes:
        raise DamagedObject(f"{where} does not have {expected_bytes} bytes")
    view = memoryview(raw)
    if hashlib.sha256(view[: copy.data_set_offset]).hexdigest() != copy.meta_digest:
        raise DamagedObject(f"{where}: the file meta information is not what was stored")
    if hashlib.sha256(view[copy.data_set_offset :]).hexdigest() != copy.digest:
        raise DamagedObject(f"{where}: the data set is not what was stored")
    return OpenedObject(copy, raw[: copy.data_set_offset], MemoryFile(view[copy.data_set_offset :]))


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    """Read so many bytes, or all that there are."""
    raw = file.read(size_bytes)
    while len(raw) < size_bytes:
        more = file.read(size_bytes - len(raw))
        if not more:
            break
        raw += more
    return raw


def _open_at(node: Node, copy: Copy, position: int) -> tuple[bytes, BinaryIO]:
    """Open a copy at a byte of its data set; its size and what stands before are checked, and that is returned."""
    where = f"{copy.volume}:{copy.path}"
    file = node.volume(copy.volume).open(copy.path)
    try:
        with translating(f"read {where}"):
            file_meta = _check(file, copy, where)
            if position:
                file.seek(copy.data_set_offset + position)
    except BaseException:
        file.close()
        raise
    return file_meta, file


def _check(file: BinaryIO, copy: Copy, where: str) -> bytes:
    """Compare a file with its row, and leave it at its data set; return what stands before."""
    size_bytes = file.seek(0, os.SEEK_END)
    expected_bytes = copy.file_size_bytes
    if size_bytes != expected_bytes:
        raise DamagedObject(f"{where} has {size_bytes} bytes instead of {expected_bytes}")
    file.seek(0)
    file_meta = _read(file, copy.data_set_offset)
    if hashlib.sha256(file_meta).hexdigest() != copy.meta_digest:
        raise DamagedObject(f"{where}: the file meta information is not what was stored")
    return file_meta


def _is_trusted(node: Node, copy: Copy) -> bool:
    """Tell whether a copy was written or verified not long ago."""
    return node.clock() - (copy.verified_at or paths.sealed_minute(copy.path)) < VERIFIED_FOR


def _verify(node: Node, copy: Copy) -> None:
    """Read a copy to its end; note that it is good."""
    node.volume(copy.volume).verify(as_stored(copy))
    with suppress(IndexFailure):  # it is good all the same
        node.index.mark_location(copy.volume, copy.path, GOOD, verified_at=node.clock())
