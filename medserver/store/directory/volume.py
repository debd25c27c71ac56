"""A volume in a directory: of a local file system, or of a network file system with hard links and locks."""

from __future__ import annotations

import errno
import heapq
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from medserver import errors
from medserver.store import paths
from medserver.store.condition import AWAY, FULL, READ_ONLY, READY, Condition
from medserver.store.directory.deferred import DeferredFiles
from medserver.store.directory.durable import DurableDirectories
from medserver.store.directory.incoming import Incoming
from medserver.store.directory.root import Root
from medserver.store.directory.shared import SharedFlushes
from medserver.store.directory.shelf import DirectoryShelf
from medserver.store.directory.writer import DirectoryWriter
from medserver.store.failures import is_exhaustion, translating
from medserver.store.files import Files
from medserver.store.journal.catalog import Catalog
from medserver.store.journal.journal import FREE_MIN_SEGMENTS, SEGMENT_BYTES, Journal
from medserver.store.journal.placement import QUIET_S, Placement
from medserver.store.journal.writer import Allowance, JournaledWriter
from medserver.store.marker import Marker
from medserver.store.notes import NOTES, Notes
from medserver.store.verification import verify
from medserver.store.volume import ObjectStat, ObjectWriter, StoredObject

logger = logging.getLogger(__name__)

JOURNAL_IDLE_S = 2.0
"""When nothing has been received for so long, what is in the journal is placed."""


SPACE_MIN_BYTES = 64 * 1024
"""A volume that takes less than this is full."""


class DirectoryVolume:
    """Objects as files below one directory. See `volume.Volume` for the promises.

    Parameters
    ----------
    name : str
        Name of the volume, as in the configuration.
    root : path-like
        The directory. It is made when the first object is written.
    files : Files, optional
        The file system, in a test.
    free_min_bytes : int
        How much space of its file system the volume leaves to others, the index among them.
    journaled : bool
        Whether this process makes small objects durable in a journal. It must call `rest` now and then, and it or
        another one `maintain`. What is in the journal of another process is read in any case.
    segment_bytes : int
        The size of a segment of the journal.

    Until `attach` says which volume it has to be it is whatever directory is there: for a look at what an older version
    left, which had no marker.
    """

    is_remote = False

    def __init__(
        self,
        name: str,
        root: str | os.PathLike[str],
        files: Files | None = None,
        *,
        free_min_bytes: int = 0,
        journaled: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.name = name
        self.root = Path(os.path.abspath(root))
        self._files = files or Files(free_min_bytes)
        self._shared = SharedFlushes(self._files)
        self._directories = DurableDirectories(self._files)
        self._incoming = Incoming("incoming", self._files)
        self._catalog = Catalog("journal", self._files)
        self._placement = Placement("journal", self._incoming, self._directories, self._files)
        self._segment_bytes = segment_bytes
        self._journal = Journal("journal", self._files, segment_bytes) if journaled else None
        release = [self._incoming.close, self._directories.forget, self._catalog.forget]
        if self._journal is not None:
            release.insert(0, self._journal.seal)
        self._root = Root(name, str(self.root), self._files, release)
        self._allowance = Allowance()
        self._is_full = False
        self._notes = {kind: Notes(kind, self._incoming, self._files) for kind in NOTES}
        self.backups, self.films = (
            DirectoryShelf(name, each, self._incoming, self._files, self._root) for each in ("backups", "films")
        )

    def attach(self, expected: Marker | None) -> None:
        """Take the directory that has this marker; None: any."""
        self._root.attach(expected)

    def detach(self, reason: str) -> None:
        """Let go of the directory, so that it can be unmounted."""
        self._root.detach(reason)

    def marker(self) -> Marker | None:
        """Return the marker of what is there now, None if it has none."""
        with translating(f"look at volume {self.name}"):
            return self._root.marker()

    def mark(self, marker: Marker) -> None:
        """Make the directory if need be, and the marker in it."""
        with translating(f"mark volume {self.name}"):
            self._root.mark(marker)

    def unproved(self) -> DirectoryVolume:
        """Return what is there now, whatever it is; only to be read, and to be closed."""
        return DirectoryVolume(self.name, self.root)

    def look(self) -> None:
        """Find out whether the directory is still the volume, or is it again."""
        with suppress(OSError):
            self._root.look()

    def create(self, file_meta: bytes, path: str | None = None, *, replace: bool = False) -> ObjectWriter:
        """Start an object with these bytes before its data set, at a path of its own or at a given one."""
        if path is not None:
            paths.checked(path)
        free_bytes = self._require_writable()
        if path is not None and replace:
            self._take_out_of_journal(path)
        if self._journal is None or path is not None or free_bytes < FREE_MIN_SEGMENTS * self._segment_bytes:
            return self._write_directly(file_meta, path, replace)
        return JournaledWriter(
            self.name, file_meta, self._journal, self._allowance, partial(self._write_directly, file_meta)
        )

    def take(self, file_meta: bytes, file: str) -> ObjectWriter | None:
        """Start an object of a file that has its bytes, unless it is in another file system, or has another name."""
        self._require_writable()
        try:
            taken = self._incoming.take(file)
        except OSError:  # it is copied, which finds out what is wrong
            return None
        return self._write_directly(file_meta, taken=taken)

    def _require_writable(self) -> int:
        """Raise unless the volume is there and not full; return how much it still takes."""
        with translating(f"write to volume {self.name}"):
            self._root.require()
            free_bytes = self._files.free_bytes()
        is_full = free_bytes < SPACE_MIN_BYTES
        if is_full != self._is_full:
            self._is_full = is_full
            level, state = (logging.WARNING, FULL) if is_full else (logging.INFO, READY)
            logger.log(level, "volume %s is %s: %d bytes are free", self.name, state, max(free_bytes, 0))
        if is_full:
            raise errors.OutOfResources(f"volume {self.name} is full")
        return free_bytes

    @contextmanager
    def batch(self) -> Iterator[Callable[[bytes, str], ObjectWriter]]:
        """Give a `create` for copies that become durable together: one flush of the file system for all of them."""
        deferred = DeferredFiles(self._files)
        self._require_writable()
        with translating(f"write to volume {self.name}"):
            flushing = self._files.open_directory(".")

        def create(file_meta: bytes, path: str) -> ObjectWriter:
            self._require_writable()
            return DirectoryWriter(
                self.name,
                file_meta,
                self._incoming,
                self._directories,
                deferred,
                paths.checked(path),
                digest=paths.digest_of(path),
            )

        try:
            yield create
            if deferred.is_needed:
                with translating(f"flush volume {self.name}"):
                    self._files.flush_all(flushing)
        finally:
            self._files.close(flushing)

    def _write_directly(
        self, file_meta: bytes, path: str | None = None, replace: bool = False, taken: tuple[int, str] | None = None
    ) -> DirectoryWriter:
        return DirectoryWriter(
            self.name, file_meta, self._incoming, self._directories, self._shared, path, replace=replace, taken=taken
        )

    def _take_out_of_journal(self, path: str) -> None:
        """Have an object placed that is to be replaced: or its record would later take the place of the new file."""
        with translating(f"place objects of volume {self.name}"):
            if self._catalog.size_bytes(path) is None:
                return
            with suppress(OSError):  # which may be about others
                self._placement.place_all()
            if self._catalog.size_bytes(path) is not None:
                raise errors.StoreFailure(
                    f"{self.name}:{path} is in a journal that is being written, or cannot be placed"
                )

    def maintain(self, spares: int = 0) -> None:
        """Do what can wait: place what is in the journals of all processes, and prepare their next segments.

        Parameters
        ----------
        spares : int
            How many segments to hold ready: one for each process that receives.

        Raises
        ------
        OutOfResources, StoreFailure
            Something could not be placed; it stays in the journal, and the next call tries again.
        """
        with translating(f"place objects of volume {self.name}"):
            self._root.require()
            if not self._placement.should_wait():
                self._placement.place_all(patiently=True)
            if spares:
                self._placement.prepare_spares(spares, self._segment_bytes)

    def seal_if_idle(self) -> None:
        """Let what this process has in its journal be placed if nothing has been received for a while.

        Raises
        ------
        StoreFailure
            The segment cannot be sealed.
        """
        if self._journal is not None:
            with translating(f"seal the journal of volume {self.name}"):
                self._journal.seal_if_idle(JOURNAL_IDLE_S)

    def place_all(self) -> None:
        """Place everything that this process has in the journal. Raises as `maintain` does."""
        with translating(f"place objects of volume {self.name}"):
            if self._journal is not None:
                self._journal.seal()
            self._root.require_readable()
            self._placement.place_all()

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading from its first byte, unbuffered."""
        paths.checked(path)
        with self._reading(path):
            try:
                return os.fdopen(self._files.open(path), "rb", buffering=0)
            except FileNotFoundError:
                # Not placed yet, or placed while we looked into the journal.
                return self._catalog.open(path) or os.fdopen(self._files.open(path), "rb", buffering=0)

    def link(self, path: str, target: str) -> bool:
        """Give an object a second name outside of the volume; not while it is in a journal."""
        paths.checked(path)
        with translating(f"link {self.name}:{path}"):
            self._root.require_readable()
            with suppress(OSError):
                self._files.link(path, os.path.abspath(target))
                return True
        return False

    def stat(self, path: str) -> ObjectStat:
        """Tell the size of an object."""
        paths.checked(path)
        with self._reading(path):
            try:
                found = self._files.stat(path)
            except FileNotFoundError:
                size_bytes = self._catalog.size_bytes(path)
                if size_bytes is not None:
                    return ObjectStat(size_bytes, paths.sealed_minute(path))
                found = self._files.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise errors.DamagedObject(f"{self.name}:{path} is not a file")
        return ObjectStat(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, path: str) -> None:
        """Remove an object durably."""
        paths.checked(path)
        with translating(f"delete {self.name}:{path}"):
            self._root.require_readable()
            if self._journal is not None and self._journal.drop(path):
                return
            self._take_out_of_journal(path)
            try:
                self._files.unlink(path)
            except FileNotFoundError:
                return
            self._files.flush_directory(os.path.dirname(path))

    def walk(self, after: str | None = None) -> Iterator[str]:
        """Yield the paths of all objects, sorted."""
        with translating(f"walk volume {self.name}"):
            if not self._is_there():
                return
            journaled = [path for path in self._catalog.paths() if after is None or path > after]
            placed = self._descend("", 0, after.split("/") if after else [])
            yield from (path for path, _ in groupby(heapq.merge(placed, journaled)))

    def verify(self, stored: StoredObject) -> None:
        """Read an object to its end and compare sizes and digests."""
        with self.open(stored.path) as file, translating(f"read {self.name}:{stored.path}"):
            verify(file, stored)

    def condition(self) -> Condition:
        """Tell how the volume is; a file is made and removed to find out whether that can be done."""
        try:
            state, detail = self._root.look()
            if state != READY:
                return Condition(state, None, detail)
            free_bytes, size_bytes = self._files.free_bytes(), self._files.size_bytes()
        except OSError as error:
            return Condition(AWAY, None, f"{self.root}: {error.strerror}")
        try:
            if free_bytes < SPACE_MIN_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            descriptor, temporary = self._incoming.create()
            self._files.close(descriptor)
            self._files.unlink(temporary)
        except OSError as error:
            state = FULL if is_exhaustion(error) else READ_ONLY
            return Condition(state, max(free_bytes, 0), f"{self.root}: {error.strerror}", size_bytes)
        return Condition(READY, free_bytes, size_bytes=size_bytes)

    def holds_objects(self) -> bool:
        """Tell whether there is any object in the directory, whatever it is."""
        unproved = self.unproved()
        try:
            return next(unproved.walk(), None) is not None
        except errors.StoreFailure:
            return True
        finally:
            unproved.close()

    def is_receiving(self) -> bool:
        """Tell whether objects have been written a moment ago."""
        try:
            return self._placement.is_receiving() or abs(time.time() - self._incoming.newest_at()) < QUIET_S
        except OSError:
            return False

    def note(self, kind: str, content: bytes) -> None:
        """Keep a text beside the objects."""
        with translating(f"note {kind} on volume {self.name}"):
            self._root.require()
            self._notes[kind].add(content)

    def notes(self, kind: str) -> Iterator[bytes]:
        """Yield every text of a kind, the oldest first."""
        with translating(f"read the {kind} of volume {self.name}"):
            self._root.require_readable()
            yield from self._notes[kind].all()

    def remove_unfinished(self) -> int:
        """Remove what dead processes left unfinished; return the number of files removed."""
        with translating(f"remove unfinished files of volume {self.name}"):
            if not self._is_there():
                return 0
            self._placement.remove_unfinished()
            swept = self._incoming.remove_unfinished()  # first, since it gives space back
        self._place_if_there_is_room()
        return swept

    def close(self) -> None:
        """Give up the temporary directory of this process, and the root. The volume may be used again."""
        if self._root.is_entered():
            self._place_if_there_is_room()
        with translating(f"close volume {self.name}"):
            self._root.close()

    def _place_if_there_is_room(self) -> None:
        """Place what is in the journal; what cannot be placed stays there, where it is found all the same.

        A full volume, or an object that cannot be placed, must not keep a node from starting or stopping.
        """
        try:
            self.place_all()
        except errors.MedserverError as error:
            logger.error("volume %s: not everything in the journal is placed yet: %s", self.name, error)

    def _is_there(self) -> bool:
        """Tell whether there is anything to read: a volume that need not be a certain one may not be made yet."""
        if self._root.is_unused():
            return False
        self._root.require_readable()
        return True

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        with translating(f"read {self.name}:{path}"):
            self._root.require_readable()
            try:
                yield
            except (FileNotFoundError, NotADirectoryError) as error:
                self._root.require_entered()  # it may have been left meanwhile: that says nothing about an object
                raise errors.DamagedObject(f"{self.name}:{path} is missing") from error

    def _descend(self, prefix: str, depth: int, after: list[str]) -> Iterator[str]:
        """Yield what lies below one directory and sorts behind `after`, which is given relative to it."""
        first = after[0] if after else ""
        is_last = depth == len(paths.COMPONENTS) - 1
        for name in self._names(prefix, depth):
            if name < first or (is_last and name == first):
                continue
            if is_last:
                yield prefix + name
            else:
                yield from self._descend(f"{prefix}{name}/", depth + 1, after[1:] if name == first else [])

    def _names(self, prefix: str, depth: int) -> list[str]:
        pattern = paths.COMPONENTS[depth]
        try:
            names = self._files.names(prefix or ".")
        except (FileNotFoundError, NotADirectoryError):
            self._root.require_entered()
            return []
        return [name for name in names if pattern.fullmatch(name)]
