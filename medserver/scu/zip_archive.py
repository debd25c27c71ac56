"""Zip archives of instances, read member by member; nothing is unpacked under the name that an archive gives.

An archive may be a trap. Members are read as streams: the first bytes to recognise an instance, and the whole only
to send it, into a temporary file without a name and no further than it claims to be long.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from medserver.errors import StoreFailure

MEMBER_SIZE_MAX_BYTES = 4 * 1024**3
"""The longest member that is sent."""

ZIP_PREFIXES = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins: with a member, or with the end if it is empty."""

_COPY_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others allocate what the archive claims
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class ZipArchive(AbstractContextManager):
    """An open zip archive; its members can be read from several threads.

    Parameters
    ----------
    path : Path
        The file.
    member_size_max_bytes : int
        The longest member that is sent.

    Raises
    ------
    StoreFailure
        It cannot be read as a zip archive, or its members share their bytes, as those of zip bombs do.
    """

    def __init__(self, path: Path, member_size_max_bytes: int = MEMBER_SIZE_MAX_BYTES) -> None:
        try:
            self._file = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise StoreFailure(f"a damaged zip archive: {error}") from None
        except OSError as error:
            raise StoreFailure(error.strerror or str(error)) from None
        self._member_size_max_bytes = member_size_max_bytes
        compressed_bytes = sum(info.compress_size for info in self._file.infolist())
        if compressed_bytes > path.stat().st_size:
            self._file.close()
            raise StoreFailure("a zip archive whose members overlap")

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def members(self) -> Iterator[ZipMember]:
        """Yield the members that are no folders, in the order of the archive."""
        for info in self._file.infolist():
            if not info.is_dir():
                yield ZipMember(self._file, info, self._member_size_max_bytes)


class ZipMember:
    """One member of an archive.

    Attributes
    ----------
    name : str
        What the archive calls it; any text.
    size_bytes : int
        The length that the archive claims, and the most that is ever read.
    """

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, size_max_bytes: int) -> None:
        self._archive = archive
        self._info = info
        self._size_max_bytes = size_max_bytes
        self.name = info.filename
        self.size_bytes = info.file_size

    def check(self) -> None:
        """Raise StoreFailure if the member cannot be sent."""
        if self.size_bytes > self._size_max_bytes:
            raise StoreFailure(f"longer than {self._size_max_bytes} bytes")

    def head(self, count: int) -> bytes:
        """Return the first bytes.

        Raises
        ------
        StoreFailure
            The member is damaged, encrypted or compressed in an unusual way.
        """
        with self._stream() as stream:
            return stream.read(count)

    def opener(self, offset: int) -> Callable[[], AbstractContextManager[BinaryIO]]:
        """Return a function that opens the member at an offset, unpacked into a temporary file."""
        return lambda: self._unpacked(offset)

    @contextmanager
    def _unpacked(self, offset: int) -> Iterator[BinaryIO]:
        self.check()
        try:
            file = tempfile.TemporaryFile(buffering=0)
        except OSError as error:
            raise StoreFailure(f"cannot be unpacked: {error.strerror}") from None
        with file:
            with self._stream() as stream:
                _copy(stream, file, self.size_bytes)
            file.seek(offset)
            yield file

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        """Open the member as a stream, of which no more than `size_bytes` can be read."""
        if self._info.flag_bits & _ENCRYPTED:
            raise StoreFailure("encrypted")
        if self._info.compress_type not in _COMPRESSIONS:
            raise StoreFailure("compressed in a way other than deflate")
        try:
            with self._archive.open(self._info) as stream:
                yield stream
        except _DAMAGED as error:
            raise StoreFailure(f"damaged in the archive: {error}") from None
        except OSError as error:
            raise StoreFailure(f"cannot be unpacked: {error.strerror or error}") from None


def _copy(stream: BinaryIO, file: BinaryIO, size_bytes: int) -> None:
    """Unpack a member; its length has to be what the archive claims, since the peer is told so first."""
    count = 0
    while chunk := stream.read(_COPY_BYTES):
        count += len(chunk)
        if count > size_bytes:
            break
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(file.fileno(), rest) :]
    if count != size_bytes:
        raise StoreFailure("damaged in the archive: its length is not what the archive says")
