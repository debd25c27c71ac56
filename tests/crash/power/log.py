"""The log of one recording: records one behind the other, in the order in which the processes appended them."""

from __future__ import annotations

import marshal
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAGIC = b"\xc7power\x0a\x91"
_HEAD = struct.Struct("<8sQI")  # magic, length, CRC-32

Record = tuple[Any, ...]
"""What happened, and to what; a file or directory is named by its inode. `Disk.play` has the kinds."""

_append = os.write  # as it was before a recorder took its place
_open = os.open


class Log:
    """A log that is appended to by any number of processes and threads.

    Parameters
    ----------
    path : Path
        The file; made if there is none.
    """

    def __init__(self, path: Path | str) -> None:
        self._descriptor = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def add(self, *record: Any) -> None:
        """Append a record: it is there, in its place, when this returns."""
        content = marshal.dumps(record)
        framed = _HEAD.pack(_MAGIC, len(content), zlib.crc32(content)) + content
        assert _append(self._descriptor, framed) == len(framed), "the log is full"

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(path: Path | str) -> Iterator[Record]:
    """Yield the records of a log; those that were not written to their end, because of a kill, are left out."""
    log = Path(path).read_bytes()
    offset = log.find(_MAGIC)
    while offset >= 0 and offset + _HEAD.size <= len(log):
        _, length, checksum = _HEAD.unpack_from(log, offset)
        end = offset + _HEAD.size + length
        content = log[offset + _HEAD.size : end]
        is_whole = len(content) == length and zlib.crc32(content) == checksum
        if is_whole:
            yield marshal.loads(content)
        offset = log.find(_MAGIC, end if is_whole else offset + 1)
