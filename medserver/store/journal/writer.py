"""One object on its way into the journal of a directory volume; a large one goes straight to its place."""

from __future__ import annotations

import errno
import hashlib
import secrets
import threading
from collections.abc import Callable
from datetime import datetime

from medserver import errors
from medserver.store import paths
from medserver.store.failures import translating
from medserver.store.journal.journal import Journal
from medserver.store.volume import ObjectWriter, StoredObject

JOURNALED_MAX_BYTES = 1024 * 1024
"""Larger objects are not written twice: for them a file of their own costs little."""

GATHERED_MAX_BYTES = 64 * 1024 * 1024
"""How much all objects on their way may take in memory together; beyond it they go straight to their place."""


class Allowance:
    """How much memory the objects on their way take together."""

    def __init__(self, size_max_bytes: int = GATHERED_MAX_BYTES) -> None:
        self._left_bytes = size_max_bytes
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Take memory; False if there is not so much left."""
        with self._lock:
            if size_bytes > self._left_bytes:
                return False
            self._left_bytes -= size_bytes
            return True

    def give_back(self, size_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left_bytes += size_bytes


class JournaledWriter:
    """Gather one object and append it to the journal. See `volume.ObjectWriter` for the promises.

    Parameters
    ----------
    volume : str
        Name of the volume.
    file_meta : bytes
        The bytes before the data set.
    journal : Journal
        Where the object goes.
    allowance : Allowance
        The memory that may be used.
    write_directly : callable
        Returns a writer for an object that is too large.
    """

    def __init__(
        self,
        volume: str,
        file_meta: bytes,
        journal: Journal,
        allowance: Allowance,
        write_directly: Callable[[], ObjectWriter],
    ) -> None:
        self._volume = volume
        self._file_meta = file_meta
        self._journal = journal
        self._allowance = allowance
        self._write_directly = write_directly
        self._direct: ObjectWriter | None = None
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._closed = False

    @property
    def size_bytes(self) -> int:
        """Number of data set bytes written so far."""
        return self._size_bytes if self._direct is None else self._direct.size_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the data set bytes written so far, hexadecimal."""
        return self._hash.hexdigest() if self._direct is None else self._direct.digest

    @property
    def is_in_memory(self) -> bool:
        """Whether the object has not become too large for the journal."""
        return self._direct is None

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        """Append to the data set."""
        self._require_open()
        size_bytes = len(fragment)
        if self._direct is None and (
            self._size_bytes + size_bytes > JOURNALED_MAX_BYTES or not self._allowance.take(size_bytes)
        ):
            self._go_directly()
        if self._direct is not None:
            self._direct.write(fragment)
            return
        piece = bytes(fragment)
        self._hash.update(piece)
        self._pieces.append(piece)
        self._size_bytes += size_bytes

    def flush(self) -> None:
        """Write what was gathered to a file of its own: objects that wait for `seal` take no memory."""
        self._require_open()
        if self._direct is None:
            self._go_directly()
        self._direct.flush()

    def seal(self, sealed_at: datetime) -> StoredObject:
        """Make the object durable and give it its path."""
        self._require_open()
        if self._direct is not None:
            return self._direct.seal(sealed_at)
        # The name is final although the object is placed later, so it must not depend on what is there: a large
        # random number keeps objects with the same data set and minute apart.
        name = paths.file_name(self.digest, 1 + secrets.randbits(62))
        path = f"{paths.minute_directory(sealed_at)}/{name}"
        try:
            with translating("write to the journal"):
                self._journal.append(path, self._file_meta, self._pieces, self._hash.digest())
        except errors.MedserverError as error:
            if not _leaves_room(error.__cause__):
                raise
            self._go_directly()
            return self._direct.seal(sealed_at)
        finally:
            self._let_go()
        return StoredObject(
            volume=self._volume,
            path=path,
            data_set_offset=len(self._file_meta),
            size_bytes=self._size_bytes,
            digest=self.digest,
            meta_digest=hashlib.sha256(self._file_meta).hexdigest(),
        )

    def abandon(self) -> None:
        """Forget what was written."""
        if self._direct is not None:
            self._direct.abandon()
        self._let_go()

    def _require_open(self) -> None:
        if self._closed:
            raise errors.StoreFailure("the object is sealed or abandoned")

    def _go_directly(self) -> None:
        self._direct = self._write_directly()
        for piece in self._pieces:
            self._direct.write(piece)
        self._let_go_of_pieces()

    def _let_go(self) -> None:
        self._closed = True
        self._let_go_of_pieces()

    def _let_go_of_pieces(self) -> None:
        gathered, self._pieces = sum(map(len, self._pieces)), []
        self._allowance.give_back(gathered)


def _leaves_room(error: BaseException | None) -> bool:
    """Tell whether an object may fit although the journal failed: a segment is larger, and needs locks."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOLCK)
