"""The journal of one process: objects that are durable, and will be placed later.

To make a small object durable where it belongs costs a new file, its flush and that of its directory. Here it costs
an append to an open file and one flush, which all threads that wait share. The objects are placed afterwards, many
at a time (`placement`); until then they are read from here (`catalog`).

The files in ``<volume>/journal`` tell by their names what they are::

    <generation>.active     being written by the process that holds its lock
    <generation>.sealed     complete; to be placed, then removed
    <generation>.spare      zeros, or records that have been placed: writing over them changes no metadata

A flush that fails is not tried again: all that wait for it fail, and the segment is given up for writing. What it
acknowledged before is on stable storage and is placed as ever.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from medserver.crash import crash_point
from medserver.group_commit import GroupCommit, Task
from medserver.store.files import Files
from medserver.store.journal.segment import dropped_record, object_record, pieces_size, record_size

SEGMENT_BYTES = 32 * 1024 * 1024
TASKS_MAX = 64
ACTIVE, SEALED, SPARE, FILLING = ".active", ".sealed", ".spare", ".filling"

FREE_MIN_SEGMENTS = 4
"""Where there is less free space than for so many segments there is no journal: what is in it takes its space twice
until it has been placed, and each object that is written directly takes what it needs."""

logger = logging.getLogger(__name__)


def has_room_for_journal(files: Files, segment_bytes: int) -> bool:
    """Tell whether a volume has space for a journal besides the objects."""
    return files.free_bytes() >= FREE_MIN_SEGMENTS * segment_bytes


class _Append(Task):
    """A record that a thread wants to have on stable storage."""

    __slots__ = ("digest", "file_meta", "path", "pieces", "size_bytes")

    def __init__(self, path: str, file_meta: bytes, pieces: Sequence[bytes], digest: bytes) -> None:
        super().__init__()
        self.path = path
        self.file_meta = file_meta
        self.pieces = pieces
        self.digest = digest
        self.size_bytes = pieces_size(pieces)

    @property
    def record_size_bytes(self) -> int:
        """Length of the record."""
        return record_size(self.path, len(self.file_meta), self.size_bytes)

    def encode(self, generation: int) -> list[bytes]:
        """Return the record in pieces."""
        head = object_record(self.path, generation, self.file_meta, self.digest, self.size_bytes)
        return [head, *self.pieces]


class _Drop(Task):
    """An object that is taken back."""

    __slots__ = ("done", "path")

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.done = False

    @property
    def record_size_bytes(self) -> int:
        """Length of the record."""
        return record_size(self.path, 0, 0)

    def encode(self, generation: int) -> list[bytes]:
        """Return the record in pieces."""
        return [dropped_record(self.path, generation)]


class Journal:
    """The segments that this process writes.

    Parameters
    ----------
    directory : str
        Path of the journal of the volume; it is made when it is first needed.
    files : Files
        The file system.
    segment_bytes : int
        The size of a segment.
    """

    def __init__(self, directory: str, files: Files, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.directory = directory
        self.segment_bytes = segment_bytes
        self._files = files
        self._group: GroupCommit[_Append | _Drop] = GroupCommit(self._write, TASKS_MAX)
        self._switching = threading.Lock()
        self._descriptor: int | None = None
        self._generation = 0
        self._offset = 0
        self._written_at = 0.0
        self._paths: set[str] = set()  # what the active segment holds

    def append(self, path: str, file_meta: bytes, pieces: Sequence[bytes], digest: bytes) -> None:
        """Make an object durable; returns when it is.

        Raises
        ------
        OSError
            It is not. Nobody will find it.
        """
        self._group.run(_Append(path, file_meta, pieces, digest))

    def drop(self, path: str) -> bool:
        """Take back an object, so that it is not placed.

        Returns
        -------
        bool
            False if it is not in the active segment of this process, and nothing was done.
        """
        if path not in self._paths:  # and a disk that is full has no space for the segment that this would begin
            return False
        task = _Drop(path)
        self._group.run(task)
        return task.done

    def seal_if_idle(self, idle_s: float) -> None:
        """Seal the active segment when nothing was written for so long, so that its objects are placed."""
        with self._switching:
            if self._descriptor is not None and self._offset and time.monotonic() - self._written_at >= idle_s:
                self._seal()

    def seal(self) -> None:
        """Seal the active segment, so that its objects are placed; the next object begins another.

        If its name cannot be changed it is closed all the same, and is placed as that of a process that died.
        """
        with self._switching:
            self._seal()

    # -- writing, by one thread at a time -----------------------------------------------------------------

    def _write(self, tasks: list[_Append | _Drop]) -> None:
        with self._switching:
            self._make_room(tasks)
            tasks = [task for task in tasks if isinstance(task, _Append) or task.path in self._paths]
            pieces = [piece for task in tasks for piece in task.encode(self._generation)]
            try:
                size_bytes = self._write_pieces(pieces)
                crash_point("journal written")
                self._files.flush_data(self._descriptor)
            except BaseException:
                self._give_up()
                raise
            crash_point("journal flushed")
            self._offset += size_bytes
            self._written_at = time.monotonic()
            for task in tasks:
                if isinstance(task, _Drop):
                    task.done = True
                else:
                    self._paths.add(task.path)

    def _write_pieces(self, pieces: list[bytes]) -> int:
        """Write behind the last record; return how many bytes that were."""
        offset = self._offset
        pending: list[bytes | memoryview] = pieces
        while pending:
            taken = self._files.write_at(self._descriptor, pending[:1000], offset)
            if not taken:
                raise OSError(errno.EIO, "the file system takes no more bytes")
            offset += taken
            pending = _rest(pending, taken)
        return offset - self._offset

    def _make_room(self, tasks: list[_Append | _Drop]) -> None:
        size_bytes = sum(task.record_size_bytes for task in tasks)
        if self._descriptor is not None and self._offset + size_bytes > self.segment_bytes:
            self._seal()
        if self._descriptor is None:
            self._open(max(size_bytes, self.segment_bytes))

    def _open(self, size_bytes: int) -> None:
        """Begin a segment, in a spare file if there is one."""
        with suppress(FileExistsError):
            self._files.make_directory(self.directory)
            self._files.flush_directory(".")
        generation = time.time_ns()
        active = self._name(generation, ACTIVE)
        spare = self._take_spare(active) if size_bytes <= self.segment_bytes else None
        descriptor = spare if spare is not None else self._create(active, size_bytes)
        try:
            self._require_separate_locks(active)
            self._files.flush_directory(self.directory)
        except BaseException:
            self._discard(descriptor, active)
            raise
        self._descriptor, self._generation, self._offset = descriptor, generation, 0
        self._written_at = time.monotonic()
        crash_point("segment opened")

    def _create(self, path: str, size_bytes: int) -> int:
        descriptor = self._files.create_locked(path)
        try:
            self._files.require_space(self.directory, size_bytes)
            self._files.reserve(descriptor, size_bytes)
            self._files.flush(descriptor)
        except BaseException:
            self._discard(descriptor, path)
            raise
        return descriptor

    def _discard(self, descriptor: int, path: str) -> None:
        """Remove a segment to which nothing was written."""
        with suppress(OSError):
            self._files.unlink(path)
        self._files.close(descriptor)

    def _require_separate_locks(self, path: str) -> None:
        """Fail with ENOLCK where nobody else could read a segment that this process writes.

        NFS makes one lock of the two kinds, so that its readers would wait for the writer, or take its objects for
        missing: there a journal cannot be used.
        """
        reader = self._files.open(path)
        try:
            if not self._files.lock_for_reading(reader):
                raise OSError(errno.ENOLCK, "this file system has no separate locks for readers", path)
        finally:
            self._files.close(reader)

    def _take_spare(self, active: str) -> int | None:
        """Turn a spare file into the active segment; None if there is none."""
        for name in self._files.names(self.directory):
            if name.endswith(SPARE):
                spare = f"{self.directory}/{name}"
                try:
                    descriptor = self._files.lock_existing(spare)
                except (BlockingIOError, FileNotFoundError):
                    continue
                try:
                    if os.fstat(descriptor).st_size == self.segment_bytes:
                        self._files.rename(spare, active)
                        return descriptor
                    self._files.unlink(spare)  # of another size: the program has been changed
                except FileNotFoundError:
                    pass  # another process was quicker
                self._files.close(descriptor)
        return None

    def _seal(self) -> None:
        """End the active segment: its objects may be placed."""
        descriptor, self._descriptor = self._descriptor, None
        self._paths.clear()
        if descriptor is not None:
            try:
                self._files.rename(self._name(self._generation, ACTIVE), self._name(self._generation, SEALED))
            finally:
                self._files.close(descriptor)
            crash_point("segment sealed")

    def _give_up(self) -> None:
        """Write no more to a segment that failed; what it acknowledged is placed, what failed is cut off."""
        try:
            with suppress(OSError):
                self._files.truncate(self._descriptor, self._offset)
            self._seal()
        except OSError as error:
            logger.error("a failed journal segment could not be sealed, the next start will: %s", error)

    def _name(self, generation: int, suffix: str) -> str:
        return f"{self.directory}/{generation:020}{suffix}"


def _rest(pieces: list, taken: int) -> list:
    """Return what is left of the pieces when `taken` bytes are written."""
    for index, piece in enumerate(pieces):
        if taken < len(piece):
            return [memoryview(piece)[taken:], *pieces[index + 1 :]]
        taken -= len(piece)
    return []


