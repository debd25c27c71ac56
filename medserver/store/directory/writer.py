"""One object on its way into a directory volume."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from medserver import errors
from medserver.crash import crash_point
from medserver.store import paths
from medserver.store.directory.durable import DurableDirectories
from medserver.store.directory.incoming import Incoming
from medserver.store.failures import translated
from medserver.store.files import Files
from medserver.store.verification import verify
from medserver.store.volume import StoredObject

# Small fragments are gathered until a write is worth its system call; a larger one is written from where it
# lies.
GATHERED_SIZE_BYTES = 256 * 1024
# IOV_MAX of Linux, macOS and the BSDs: as many pieces as one writev takes.
_PIECES_MAX = 1024

logger = logging.getLogger(__name__)


class DirectoryWriter:
    """Write, flush and place one object. See `volume.ObjectWriter` for the promises.

    Parameters
    ----------
    volume : str
        Name of the volume.
    file_meta : bytes
        The bytes before the data set.
    incoming : Incoming
        Where the temporary file is made.
    directories : DurableDirectories
        Where the object is placed.
    files : Files
        The file system.
    path : str, optional
        Where the object is placed, if not under a name of its own.
    replace : bool
        Whether a file at that path gives way.
    digest : str, optional
        SHA-256 of the data set, hexadecimal, if that is known and will be compared with what was written: then it is
        not computed here.
    taken : tuple of int and str, optional
        The descriptor and the temporary path of a file that has the data set already, behind as many bytes as
        `file_meta` has: what is written is not written again.

    Raises
    ------
    OutOfResources, StoreFailure
        The temporary file cannot be made.
    """

    def __init__(
        self,
        volume: str,
        file_meta: bytes,
        incoming: Incoming,
        directories: DurableDirectories,
        files: Files,
        path: str | None = None,
        *,
        replace: bool = False,
        digest: str | None = None,
        taken: tuple[int, str] | None = None,
    ) -> None:
        self._volume = volume
        self._path = path
        self._replace = replace
        self._file_meta = file_meta
        self._directories = directories
        self._files = files
        self._known_digest = digest
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._pieces: list[bytes | memoryview] = [file_meta]
        self._gathered_bytes = len(file_meta)
        self._descriptor: int | None = None
        self._temporary: str | None = None
        self._placed: str | None = None
        self._is_flushed = False
        self._is_taken = taken is not None
        with self._abandoning("create an object"):
            self._descriptor, self._temporary = taken or incoming.create()

    @property
    def size_bytes(self) -> int:
        """Number of data set bytes written so far."""
        return self._size_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the data set bytes written so far, hexadecimal."""
        return self._known_digest or self._hash.hexdigest()

    @property
    def is_in_memory(self) -> bool:
        """Never: it is written as it comes."""
        return False

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        """Append to the data set."""
        size_bytes = len(fragment)
        if not size_bytes:
            return
        with self._abandoning("write an object"):
            self._require_open()
            if self._known_digest is None:
                self._hash.update(fragment)
            self._size_bytes += size_bytes
            if self._is_taken:
                return
            self._gathered_bytes += size_bytes
            gathered = self._gathered_bytes >= GATHERED_SIZE_BYTES
            # The caller may reuse its buffer: what is not written before this returns is copied, unless it
            # cannot change.
            self._pieces.append(fragment if gathered or isinstance(fragment, bytes) else bytes(fragment))
            if gathered or len(self._pieces) == _PIECES_MAX:
                self._drain()

    def flush(self) -> None:
        """Make what was written durable, under its temporary name, which a dead process leaves to be removed."""
        with self._abandoning("flush an object"):
            self._require_open()
            self._drain()
            if self._is_taken:
                self._require_whole()
            self._files.flush(self._descriptor)
            crash_point("file flushed")
            self._close()
            self._is_flushed = True

    def seal(self, sealed_at: datetime) -> StoredObject:
        """Make the object durable and give it its path."""
        if not self._is_flushed:
            self.flush()
        with self._abandoning("seal an object"):
            if self._temporary is None:
                raise errors.StoreFailure("the object is sealed or abandoned")
            if self._path is None:
                path = self._place(paths.minute_directory(sealed_at))
            else:
                path = self._place(paths.directory_of(self._path), self._path)
        return self._stored(path)

    def _stored(self, path: str) -> StoredObject:
        return StoredObject(
            volume=self._volume,
            path=path,
            data_set_offset=len(self._file_meta),
            size_bytes=self._size_bytes,
            digest=self.digest,
            meta_digest=hashlib.sha256(self._file_meta).hexdigest(),
        )

    def abandon(self) -> None:
        """Remove what was written."""
        self._pieces.clear()
        try:
            self._close()
        except OSError as error:
            logger.warning("closing an abandoned object failed: %s", error)
        for path in (self._temporary, self._placed):
            self._discard(path)
        self._temporary = self._placed = None

    def _require_whole(self) -> None:
        """Raise unless a file that was taken has what was said to be written, and no more."""
        size_bytes = self._files.stat(self._temporary).st_size
        if size_bytes != len(self._file_meta) + self._size_bytes:
            raise errors.StoreFailure(f"a file of {size_bytes} bytes is not the object that it was taken for")

    def _require_open(self) -> None:
        if self._descriptor is None:
            raise errors.StoreFailure("the object is sealed or abandoned")

    def _drain(self) -> None:
        pieces = self._pieces
        self._files.require_space(self._temporary, self._gathered_bytes)
        while pieces:
            taken_bytes = self._files.write(self._descriptor, pieces)
            if not taken_bytes:
                raise OSError(errno.EIO, "the file system takes no more bytes")
            self._skip(taken_bytes)
        self._gathered_bytes = 0

    def _skip(self, taken_bytes: int) -> None:
        """Drop from the gathered pieces what the system took, which may be less than it was given."""
        pieces = self._pieces
        done = 0
        for piece in pieces:
            if taken_bytes < len(piece):
                break
            taken_bytes -= len(piece)
            done += 1
        del pieces[:done]
        if taken_bytes:
            pieces[0] = memoryview(pieces[0])[taken_bytes:]

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._files.close(descriptor)

    def _place(self, minute_directory: str, path: str | None = None) -> str:
        """Move the finished file to its path, a given one or a free one; return that."""
        directory = self._directories.ensure(minute_directory)
        try:
            name = self._link(directory) if path is None else self._link_at(path, directory)
            crash_point("file linked")
            if self._temporary is not None:
                self._files.unlink(self._temporary)
                self._temporary = None
            self._files.flush_directory(directory)
            crash_point("directory flushed")
        except OSError:
            self._directories.forget()  # it may have been removed under us: the next object looks again
            raise
        self._placed = None
        return f"{minute_directory}/{name}"

    def _link(self, directory: str) -> str:
        """Give the file a name in the directory that no other file ever has, atomically; return the name.

        With a large random number, as in the journal: what is to remove an object by its path, and comes late or a
        second time, must not meet the same object there that was received anew.
        """
        name = paths.file_name(self.digest, 1 + secrets.randbits(62))
        target = f"{directory}/{name}"
        try:
            self._files.link(self._temporary, target)
        except OSError as error:
            if self._is_ours(target):
                self._placed = target
            if not (self._placed and isinstance(error, FileExistsError)):
                raise
        self._placed = target
        return name

    def _link_at(self, path: str, directory: str) -> str:
        """Give the file this name, unless the same object has it already; return the name."""
        if paths.digest_of(path) != self.digest:
            raise errors.StoreFailure(f"{self._volume}:{path}: the data set is another one than its path says")
        name = path.rpartition("/")[2]
        target = f"{directory}/{name}"
        if self._replace:
            self._files.rename(self._temporary, target)
            self._temporary = None
            return name
        try:
            self._files.link(self._temporary, target)
        except FileExistsError:
            if not self._is_ours(target):
                self._require_same(path, target)
                return name
        self._placed = target
        return name

    def _require_same(self, path: str, target: str) -> None:
        """Raise DamagedObject unless a file holds just what was written; it may be one that nobody has flushed yet."""
        with os.fdopen(self._files.open(target), "rb", buffering=0) as file:
            verify(file, self._stored(path))
            self._files.flush(file.fileno())

    def _is_ours(self, path: str) -> bool:
        """Tell whether a link was made although an error was answered: NFS repeats a lost request."""
        try:
            return os.path.samestat(self._files.stat(self._temporary), self._files.stat(path))
        except OSError:
            return False

    def _discard(self, path: str | None) -> None:
        if path is None:
            return
        try:
            self._files.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            logger.error("an abandoned object could not be removed: %s", error)

    @contextmanager
    def _abandoning(self, action: str) -> Iterator[None]:
        """Leave nothing behind when the block fails, and raise what the archive understands."""
        try:
            yield
        except OSError as error:
            self.abandon()
            raise translated(error, action) from error
        except BaseException:
            self.abandon()
            raise
