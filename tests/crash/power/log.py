"""The log of one recording: records one behind the other, in the order in which the processes appended them."""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("<Q")

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
        framed = _LENGTH.pack(len(content)) + content
        assert _append(self._descriptor, framed) == len(framed), "the log is full"

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(path: Path | str) -> Iterator[Record]:
    """Yield the records of a log; one that was not written to its end is left out."""
    with open(path, "rb") as file:
        while len(head := file.read(_LENGTH.size)) == _LENGTH.size:
            [length] = _LENGTH.unpack(head)
            content = file.read(length)
            if len(content) < length:
                return
            yield marshal.loads(content)
