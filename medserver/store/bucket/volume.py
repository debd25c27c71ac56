"""A volume in an S3-compatible bucket, for replicas and archives.

The objects have the paths that they have in a directory, below the prefix of the volume. The service must honour
conditional writes (see `bucket_connection`). Parts of uploads that were interrupted stay in the bucket, invisible: a
lifecycle rule ("abort incomplete multipart uploads") removes them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from medserver.errors import DamagedObject, OutOfResources, StoreFailure
from medserver.store import paths
from medserver.store.bucket.connection import REQUEST_MAX_S, BucketConnection, NotThere, Place
from medserver.store.bucket.file import BucketFile
from medserver.store.bucket.shelf import BucketShelf
from medserver.store.bucket.writer import BucketWriter
from medserver.store.condition import AWAY, READY, Condition
from medserver.store.marker import Marker
from medserver.store.verification import verify
from medserver.store.volume import ObjectStat, ObjectWriter, StoredObject

__all__ = ["BucketVolume", "Place"]

_NOTES_SUFFIX = ".jsonl"

ABANDONED_AFTER = timedelta(days=1)
"""So old is a temporary object that nobody writes any more."""


class BucketVolume:
    """Objects in a bucket. See `volume.Volume` for the promises.

    Nothing is asked of the bucket before the volume is used. A process that has used it must not fork.

    Parameters
    ----------
    name : str
        Name of the volume, as in the configuration.
    place : Place
        Where the bucket is.
    request_max_s : float
        How long a request may take: so much costs a service that is silent, and then nothing for a while.
    abandoned_after : timedelta
        How old a temporary object is that `remove_unfinished` removes.
    """

    is_remote = True

    def __init__(
        self,
        name: str,
        place: Place,
        *,
        request_max_s: float = REQUEST_MAX_S,
        abandoned_after: timedelta = ABANDONED_AFTER,
    ) -> None:
        self.name = name
        self._place = place
        self._request_max_s = request_max_s
        self._abandoned_after = abandoned_after
        self._connection = BucketConnection(name, place, request_max_s)
        self.backups, self.films = (
            BucketShelf(self._connection, each, paths.TEMPORARY) for each in ("backups", "films")
        )

    def attach(self, expected: Marker | None) -> None:
        """Take the bucket that has this marker; None: any."""
        self._connection.attach(expected)

    def detach(self, reason: str) -> None:
        """Make no more requests."""
        self._connection.detach(reason)

    def marker(self) -> Marker | None:
        """Return the marker of what is there now, None if it has none."""
        return self._connection.marker()

    def mark(self, marker: Marker) -> None:
        """Make the marker, and find out whether the service creates nothing twice."""
        self._connection.mark(marker)
        self._connection.availability.works()

    def unproved(self) -> BucketVolume:
        """Return what is there now, whatever it is; only to be read, and to be closed."""
        unproved = BucketVolume(self.name, self._place, request_max_s=self._request_max_s)
        unproved._connection.availability = self._connection.availability
        return unproved

    def look(self) -> None:
        """Do nothing: the next request finds out."""

    def create(self, file_meta: bytes, path: str | None = None, *, replace: bool = False) -> ObjectWriter:
        """Start an object with these bytes before its data set, at a path of its own or at a given one."""
        if path is not None:
            paths.checked(path)
        self._connection.require()
        return BucketWriter(self.name, file_meta, path, self._connection, self.verify, replace=replace)

    def take(self, file_meta: bytes, file: str) -> None:
        """Do nothing: what is in a bucket is no file."""

    @contextmanager
    def batch(self) -> Iterator[Callable[[bytes, str], ObjectWriter]]:
        """Give `create`: an object in a bucket is durable at once."""
        yield self.create

    def condition(self) -> Condition:
        """Tell whether the bucket answers, and is the volume."""
        try:
            self._connection.prove()
        except NotThere as error:
            return Condition(error.state, None, str(error))
        except (StoreFailure, OutOfResources) as error:
            return Condition(AWAY, None, str(error))
        return Condition(READY)

    def holds_objects(self) -> bool:
        """Tell whether there is any object in the bucket, whatever it is."""
        try:
            return next(self.unproved().walk(), None) is not None
        except (StoreFailure, OutOfResources):
            return True

    def is_receiving(self) -> bool:
        """Return False: what is received goes to a directory."""
        return False

    def note(self, kind: str, content: bytes) -> None:
        """Keep a text beside the objects."""
        import obstore

        name = f"{kind}/{time.time_ns():020}-{secrets.token_hex(8)}{_NOTES_SUFFIX}"
        with self._connection.asking("note", name) as store:
            obstore.put(store, name, content)

    def notes(self, kind: str) -> Iterator[bytes]:
        """Yield every text of a kind, the oldest first."""
        import obstore

        with self._connection.asking("read the notes", kind) as store:
            for page in obstore.list(store, prefix=kind):
                for found in page:
                    if found["path"].endswith(_NOTES_SUFFIX):
                        yield bytes(obstore.get(store, found["path"]).bytes())

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading from its first byte."""
        return BucketFile(self._connection, paths.checked(path))

    def link(self, path: str, target: str) -> bool:
        """Do nothing: what is in a bucket is no file."""
        paths.checked(path)
        return False

    def stat(self, path: str) -> ObjectStat:
        """Tell the size of an object."""
        import obstore

        with self._connection.asking("look at an object", paths.checked(path)) as store:
            found = obstore.head(store, path)
        return ObjectStat(found["size"], found["last_modified"].astimezone(UTC))

    def delete(self, path: str) -> None:
        """Remove an object durably."""
        import obstore

        try:
            with self._connection.asking("remove an object", paths.checked(path)) as store:
                obstore.delete(store, path)
        except DamagedObject:  # some services tell that there was none
            pass

    def walk(self, after: str | None = None) -> Iterator[str]:
        """Yield the paths of all objects, sorted."""
        import obstore

        with self._connection.asking("list the objects") as store:
            for page in obstore.list(store, offset=after):
                yield from (found["path"] for found in page if paths.is_object_path(found["path"]))

    def verify(self, stored: StoredObject) -> None:
        """Read an object to its end and compare sizes and digests."""
        with self.open(stored.path) as file:
            verify(file, stored)

    def remove_unfinished(self) -> int:
        """Remove temporary objects that are older than any upload takes; return how many that were."""
        import obstore

        before = datetime.now(UTC) - self._abandoned_after
        count = 0
        with self._connection.asking("sweep the bucket") as store:
            for page in obstore.list(store, prefix=paths.TEMPORARY):
                for found in page:
                    if found["last_modified"] < before:
                        obstore.delete(store, found["path"])
                        count += 1
        return count

    def seal_if_idle(self) -> None:
        """Do nothing: every object is in its place."""

    def maintain(self, spares: int = 0) -> None:
        """Do nothing: every object is in its place."""

    def place_all(self) -> None:
        """Do nothing: every object is in its place."""

    def close(self) -> None:
        """Give up the connections. The volume may be used again."""
        self._connection.close()
