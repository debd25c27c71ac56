"""From the journal into place: what the journal made durable becomes files of the volume.

All objects of a segment are placed, then one flush of the file system makes them durable, then the segment is
removed. A crash at any moment leaves the segment, and the next placement does again what is not done; what is in
place already is compared, not trusted.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress

from medserver.crash import crash_point
from medserver.store.directory.durable import DurableDirectories
from medserver.store.directory.incoming import Incoming
from medserver.store.failures import is_exhaustion
from medserver.store.files import Files
from medserver.store.journal.journal import ACTIVE, FILLING, SEALED, SPARE, has_room_for_journal
from medserver.store.journal.segment import Entry, entries, is_whole

BACKLOG_MAX_BYTES = 512 * 1024 * 1024
"""When so much waits in the journal it is placed although objects are being received."""

STUCK_RETRY_S = 30.0
"""So long a segment is left alone of which an object could not be placed."""

QUIET_S = 1.0
"""Nothing has been received for so long: a good moment to place."""

SPARES_MIN = 4
"""So many spare segments are held ready at least, 128 MiB: for a study that comes in at once."""

_COMPARED_BYTES = 1024 * 1024
_ZEROS = bytes(1024 * 1024)

logger = logging.getLogger(__name__)


class Placement:
    """Places the segments of all processes, one at a time.

    Parameters
    ----------
    journal_directory : str
        Path of the journal.
    incoming : Incoming
        Where temporary files are made.
    directories : DurableDirectories
        Where the objects go.
    files : Files
        The file system.
    """

    def __init__(
        self, journal_directory: str, incoming: Incoming, directories: DurableDirectories, files: Files
    ) -> None:
        self._journal_directory = journal_directory
        self._spares_max = 0
        self._segment_bytes = 0
        self._incoming = incoming
        self._directories = directories
        self._files = files
        self._stuck: dict[str, tuple[float, OSError]] = {}  # segment -> when it is tried again, and why it is there
        self._complained: set[str] = set()  # the objects that cannot be placed

    def place_all(self, *, patiently: bool = False) -> None:
        """Place every segment that nobody writes any more.

        An object that cannot be placed keeps its segment in the journal, from where it is read, and no other.

        Parameters
        ----------
        patiently : bool
            Leave alone for a while what could not be placed a moment ago.

        Raises
        ------
        OSError
            A segment could not be placed. It is still there.
        """
        names = [name for name in self._names() if name.endswith((ACTIVE, SEALED))]
        stuck, self._stuck = self._stuck, {}
        for name in names:
            if patiently and name in stuck and time.monotonic() < stuck[name][0]:
                self._stuck[name] = stuck[name]
                continue
            try:
                self._place_segment(name)
            except OSError as error:
                self._stuck[name] = time.monotonic() + STUCK_RETRY_S, error
        if not self._stuck:
            self._complained.clear()
        for _, failure in self._stuck.values():
            raise failure

    def should_wait(self) -> bool:
        """Tell whether placing would disturb: objects are being received, and there is room in the journal for more.

        Placing and flushing takes the disk from those who wait for their flush of the journal.
        """
        backlog_bytes, newest = self._backlog()
        return backlog_bytes < BACKLOG_MAX_BYTES and abs(time.time() - newest) < QUIET_S

    def is_receiving(self) -> bool:
        """Tell whether an object was written to the journal a moment ago."""
        return abs(time.time() - self._backlog()[1]) < QUIET_S

    def _backlog(self) -> tuple[int, float]:
        """Return how many bytes wait in the journal, and when it was last written to."""
        backlog_bytes, newest = 0, 0.0
        for name in self._names():
            if name.endswith((ACTIVE, SEALED)):
                with suppress(FileNotFoundError):
                    found = self._files.stat(f"{self._journal_directory}/{name}")
                    backlog_bytes += found.st_size
                    newest = max(newest, found.st_mtime)
        return backlog_bytes, newest

    def prepare_spares(self, count: int, segment_bytes: int) -> None:
        """Fill files with zeros for the next segments; later, placed ones take their place.

        While objects are being received only if there is none left: who writes zeros then takes a core and the disk
        from those who receive, for as many bytes as they write: 6 to 12 % of the processor time of a CT study.

        Parameters
        ----------
        count : int
            How many are needed at once: one for each process that receives. There are `SPARES_MIN` at least.
        """
        wanted = max(count, SPARES_MIN)
        self._spares_max = max(2 * count, SPARES_MIN)
        self._segment_bytes = segment_bytes
        if not has_room_for_journal(self._files, segment_bytes):
            self._spares_max = 0
            self._remove_unused(SPARE)  # what the next segments would have taken is needed more by others
            return
        with suppress(FileExistsError):
            self._files.make_directory(self._journal_directory)
            self._files.flush_directory(".")
        for _ in range(wanted):
            if self._should_fill_spare(wanted):
                self._fill_spare()

    def _should_fill_spare(self, wanted: int) -> bool:
        spares = self._spares()
        if spares >= wanted or (spares and self.is_receiving()):
            return False
        return has_room_for_journal(self._files, self._segment_bytes)

    def _spares(self) -> int:
        return sum(name.endswith(SPARE) for name in self._names())

    def _fill_spare(self) -> None:
        self._files.require_space(self._journal_directory, self._segment_bytes)
        filling = f"{self._journal_directory}/{time.time_ns():020}{FILLING}"
        descriptor = self._files.create_locked(filling)
        try:
            for start in range(0, self._segment_bytes, len(_ZEROS)):
                self._files.write_at(descriptor, [_ZEROS[: self._segment_bytes - start]], start)
            self._files.flush(descriptor)
            self._files.rename(filling, filling.replace(FILLING, SPARE))
        except OSError:
            with suppress(OSError):
                self._files.unlink(filling)
            raise
        finally:
            self._files.close(descriptor)

    def remove_unfinished(self) -> None:
        """Remove unfinished spare files of dead processes."""
        self._remove_unused(FILLING)

    def _remove_unused(self, ending: str) -> None:
        """Remove the files with an ending that nobody has locked."""
        for name in self._names():
            if name.endswith(ending):
                with suppress(BlockingIOError, FileNotFoundError):
                    self._files.close(self._files.lock_existing(f"{self._journal_directory}/{name}"))
                    self._files.unlink(f"{self._journal_directory}/{name}")

    def _names(self) -> list[str]:
        try:
            return self._files.names(self._journal_directory)
        except FileNotFoundError:
            return []

    def _place_segment(self, name: str) -> None:
        segment = f"{self._journal_directory}/{name}"
        try:
            descriptor = self._files.lock_existing(segment)
        except (BlockingIOError, FileNotFoundError):
            return  # it is being written or placed by another one, or has just been placed
        try:
            # A segment that is still called active was left by a process that died, perhaps within a record.
            wanted = self._entries(descriptor, int(name.partition(".")[0]), name.endswith(ACTIVE))
            self._place_entries(descriptor, wanted)
            crash_point("objects flushed")
            self._retire(segment, descriptor)
            crash_point("segment removed")
        finally:
            self._files.close(descriptor)

    def _place_entries(self, segment: int, wanted: list[Entry]) -> None:
        """Place and flush the objects of a segment; what fails for one is raised when the others are in place."""
        placed: list[str] = []
        failure: OSError | None = None
        flushing = self._files.open_directory(".")
        try:
            for entry in wanted:
                try:
                    self._place(segment, entry, placed)
                except OSError as error:
                    if is_exhaustion(error):
                        raise
                    if entry.path not in self._complained:
                        self._complained.add(entry.path)
                        logger.error("%s cannot be placed, and stays in the journal: %s", entry.path, error)
                    self._directories.forget()
                    failure = failure or error
            crash_point("objects placed")
            self._files.flush_all(flushing)
        except OSError:
            # What a failed flush has left behind is in doubt, also what an earlier attempt had placed: the kernel may
            # have dropped its pages, and gives them from memory all the same. It is made anew from the journal.
            for path in placed:
                with suppress(OSError):
                    self._files.unlink(path)
            self._directories.forget()
            raise
        finally:
            self._files.close(flushing)
        if failure is not None:
            raise failure

    def _retire(self, segment: str, descriptor: int) -> None:
        """Take a placed segment out of the journal: it becomes a spare, unless somebody reads it or there are enough.

        Its records stay where they are until they are written over; their generation is that of no segment.
        """
        is_useful = self._spares() < self._spares_max and os.fstat(descriptor).st_size == self._segment_bytes
        is_useful = is_useful and has_room_for_journal(self._files, self._segment_bytes)
        if not is_useful or not self._files.lock_against_reading(descriptor):
            self._files.unlink(segment)
        else:
            self._files.rename(segment, f"{self._journal_directory}/{time.time_ns():020}{SPARE}")

    def _entries(self, descriptor: int, generation: int, doubtful: bool) -> list[Entry]:
        """Return the objects of a segment, without those that were taken back."""
        found: dict[str, Entry] = {}
        for entry in entries(descriptor, generation):
            if entry.dropped:
                found.pop(entry.path, None)
            elif doubtful and not is_whole(descriptor, entry):
                break
            else:
                found[entry.path] = entry
        return list(found.values())

    def _place(self, segment: int, entry: Entry, placed: list[str]) -> None:
        """Place one object, unless it is there already."""
        minute_directory, _, name = entry.path.rpartition("/")
        target = f"{self._directories.ensure(minute_directory)}/{name}"
        descriptor, temporary = self._incoming.create()
        try:
            try:
                self._copy(segment, entry, descriptor)
            finally:
                self._files.close(descriptor)
            try:
                self._files.link(temporary, target)
            except FileExistsError:
                if not self._is_same(segment, entry, target):
                    logger.warning("an object was in place but not whole, it is placed again: %s", entry.path)
                    self._files.rename(temporary, target)
            placed.append(target)
            crash_point("object placed")
        finally:
            with suppress(FileNotFoundError):
                self._files.unlink(temporary)

    def _copy(self, segment: int, entry: Entry, descriptor: int) -> None:
        offset, remaining = entry.offset, entry.meta_size_bytes + entry.size_bytes
        while remaining:
            count = self._files.copy(segment, offset, descriptor, remaining)
            if not count:
                raise OSError(f"the journal ends within {entry.path}")
            offset, remaining = offset + count, remaining - count

    def _is_same(self, segment: int, entry: Entry, target: str) -> bool:
        """Tell whether the file in place holds the bytes of the journal."""
        descriptor = self._files.open(target)
        try:
            size_bytes = entry.meta_size_bytes + entry.size_bytes
            if os.fstat(descriptor).st_size != size_bytes:
                return False
            for offset in range(0, size_bytes, _COMPARED_BYTES):
                count = min(_COMPARED_BYTES, size_bytes - offset)
                if os.pread(descriptor, count, offset) != os.pread(segment, count, entry.offset + offset):
                    return False
            return True
        finally:
            self._files.close(descriptor)
