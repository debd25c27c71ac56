"""Dumps are compressed on their way to a volume, and their digest is compared on the way back."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from medserver import modes
from medserver.backups.manifest import Manifest
from medserver.errors import DamagedObject
from medserver.store import Volume
from medserver.store.failures import translating

# Measured on an index (scripts/bench rebuild): 31 % of its size. Level 6 takes four times as long for 30 %, lzma at its
# quickest ten times as long for 21 %.
LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS  # a gzip file, so that an administrator can unpack it by hand
_CHUNK_BYTES = 1024 * 1024


class Packing:
    """The chunks of a compressed file, and what was counted on the way.

    Parameters
    ----------
    file : Path
        What is compressed.

    Attributes
    ----------
    size_bytes, dump_size_bytes : int
        The size of what came out, and of what went in, so far.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = self.dump_size_bytes = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what came out so far, hexadecimal."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Yield the compressed file, once."""
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
        with self._file.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self.dump_size_bytes += len(chunk)
                yield from self._counted(compressor.compress(chunk))
        yield from self._counted(compressor.flush())

    def _counted(self, chunk: bytes) -> Iterator[bytes]:
        if chunk:
            self._hash.update(chunk)
            self.size_bytes += len(chunk)
            yield chunk


def read_back(volume: Volume, manifest: Manifest) -> None:
    """Read a dump where it lies and compare it with its manifest.

    Raises
    ------
    DamagedObject
        It is not what was written.
    StoreFailure
        It cannot be read.
    """
    for _ in _compared(volume, manifest):
        pass


def unpack(volume: Volume, manifest: Manifest, target: Path) -> None:
    """Write what a dump unpacks to into a file, and flush it. Raises as `read_back` does, or OutOfResources."""
    decompressor = zlib.decompressobj(_GZIP)
    size_bytes = 0
    with translating(f"unpack backup {manifest.name}"), open(
        target, "wb", opener=modes.open_or_create
    ) as file:
        for chunk in _compared(volume, manifest):
            for piece in _pieces(decompressor, chunk, manifest):
                size_bytes += len(piece)
                if size_bytes > manifest.dump_size_bytes:  # whatever it is, it must not fill the disk
                    break
                file.write(piece)
        if size_bytes != manifest.dump_size_bytes or not decompressor.eof:
            raise DamagedObject(f"backup {manifest.name}: it does not unpack to what its manifest says")
        file.flush()
        os.fsync(file.fileno())


def _pieces(decompressor, chunk: bytes, manifest: Manifest) -> Iterator[bytes]:  # noqa: ANN001 - zlib hides its type
    try:
        while chunk:
            yield decompressor.decompress(chunk, _CHUNK_BYTES)
            chunk = decompressor.unconsumed_tail
    except zlib.error as error:
        raise DamagedObject(f"backup {manifest.name}: it cannot be unpacked") from error


def _compared(volume: Volume, manifest: Manifest) -> Iterator[bytes]:
    """Yield the bytes of a dump; raise at the end if they are not those that were written."""
    digest, size_bytes = hashlib.sha256(), 0
    with volume.backups.open(manifest.dump_name) as file, translating(f"read backup {manifest.name}"):
        for chunk in _chunks(file):
            digest.update(chunk)
            size_bytes += len(chunk)
            yield chunk
    if (size_bytes, digest.hexdigest()) != (manifest.size_bytes, manifest.digest):
        raise DamagedObject(f"backup {manifest.name} on volume {volume.name} is damaged: it is not what was written")


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk
