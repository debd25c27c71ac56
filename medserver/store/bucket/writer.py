"""One object on its way into a bucket.

A small object is gathered and created with one conditional request. A large one goes in parts to a temporary name,
because parts cannot be created conditionally, and the service then copies it to its place, conditionally.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from medserver.errors import MedserverError, StoreFailure
from medserver.store import paths
from medserver.store.bucket.connection import BucketConnection, Occupied
from medserver.store.volume import StoredObject

PART_BYTES = 5 * 1024 * 1024
"""The smallest part that S3 takes: one of them has to pass within the time of a request."""

GATHERED_MAX_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2

logger = logging.getLogger(__name__)


class BucketWriter:
    """Gather, send and place one object. See `volume.ObjectWriter` for the promises.

    Parameters
    ----------
    volume : str
        Name of the volume.
    file_meta : bytes
        The bytes before the data set.
    path : str or None
        Where the object is placed, if that is given.
    connection : BucketConnection
        The way to the bucket.
    verify : callable
        Raises DamagedObject unless an object lies in the bucket as it should.
    replace : bool
        Whether an object at the path gives way.
    """

    def __init__(
        self,
        volume: str,
        file_meta: bytes,
        path: str | None,
        connection: BucketConnection,
        verify: Callable[[StoredObject], None],
        *,
        replace: bool = False,
    ) -> None:
        self._volume = volume
        self._file_meta = file_meta
        self._path = path
        self._connection = connection
        self._verify = verify
        self._replace = replace
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._gathered = bytearray(file_meta)
        self._parts: Any = None
        self._temporary: str | None = None
        self._closed = False

    @property
    def size_bytes(self) -> int:
        """Number of data set bytes written so far."""
        return self._size_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the data set bytes written so far, hexadecimal."""
        return self._hash.hexdigest()

    @property
    def is_in_memory(self) -> bool:
        """Never: it is written as it comes."""
        return False

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        """Append to the data set."""
        self._require_open()
        self._hash.update(fragment)
        self._size_bytes += len(fragment)
        self._gathered += fragment
        if len(self._gathered) >= GATHERED_MAX_BYTES:
            self._drain()

    def flush(self) -> None:
        """Send what was gathered, as a part under a temporary name, so that it takes no memory here."""
        self._require_open()
        self._drain()

    def seal(self, sealed_at: datetime) -> StoredObject:
        """Make the object durable and give it its path."""
        self._require_open()
        try:
            stored = self._stored(self._path or self._own_path(sealed_at))
            if paths.digest_of(stored.path) != self.digest:
                raise StoreFailure(f"{self._volume}:{stored.path}: the data set is another one than its path says")
            try:
                self._place(stored.path)
            except Occupied:
                # By a copy of before, or by this very request whose answer was lost.
                self._verify(stored)
        finally:
            self.abandon()
        return stored

    def abandon(self) -> None:
        """Remove what was written. Parts that were sent and not put together are left to the service."""
        self._closed = True
        self._gathered = bytearray()
        self._parts = None
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            try:
                self._delete(temporary)
            except MedserverError as error:
                logger.warning("%s:%s is left to the next sweep: %s", self._volume, temporary, error)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreFailure("the object is sealed or abandoned")

    def _own_path(self, sealed_at: datetime) -> str:
        # A large random number, so that objects with the same data set and minute need no second request.
        name = paths.file_name(self.digest, 1 + secrets.randbits(62))
        return f"{paths.minute_directory(sealed_at)}/{name}"

    def _stored(self, path: str) -> StoredObject:
        return StoredObject(
            volume=self._volume,
            path=path,
            data_set_offset=len(self._file_meta),
            size_bytes=self._size_bytes,
            digest=self.digest,
            meta_digest=hashlib.sha256(self._file_meta).hexdigest(),
        )

    def _drain(self) -> None:
        """Send what is gathered as parts of a temporary object."""
        import obstore

        try:
            with self._connection.asking("write an object") as store:
                if self._parts is None:
                    self._temporary = paths.temporary_name(secrets.token_hex(16))
                    self._parts = obstore.open_writer(
                        store, self._temporary, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                    )
                self._parts.write(bytes(self._gathered))
        except BaseException:
            self.abandon()
            raise
        self._gathered.clear()

    def _place(self, path: str) -> None:
        import obstore

        mode = "overwrite" if self._replace else "create"
        if self._parts is None:
            with self._connection.asking("write an object", path) as store:
                obstore.put(store, path, bytes(self._gathered), mode=mode, use_multipart=False)
            return
        self._drain()
        with self._connection.asking("write an object", path):
            self._parts.close()
        with self._connection.asking("place an object", path):
            obstore.copy(self._connection.copying_store(), self._temporary, path, overwrite=self._replace)

    def _delete(self, name: str) -> None:
        import obstore

        with self._connection.asking("remove a temporary object", name) as store:
            obstore.delete(store, name)
