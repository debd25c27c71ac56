"""The contract of a volume: what `archive` may rely on, whatever the objects lie on.

An object is a file in the DICOM file format (PS3.10 7.1): the file meta information, then the data set byte
for byte as it was received. Objects are immutable: they are made, read and deleted, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from medserver.store.condition import Condition
from medserver.store.marker import Marker
from medserver.store.shelf import Shelf


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that rests on a volume and survives a power cut.

    Parameters
    ----------
    volume : str
        Name of the volume.
    path : str
        Where the object lies on the volume, as `paths` builds it.
    data_set_offset : int
        Number of bytes before the data set.
    size_bytes : int
        Number of bytes of the data set.
    digest : str
        SHA-256 of the data set bytes, hexadecimal.
    meta_digest : str
        SHA-256 of the bytes before the data set, hexadecimal.
    """

    volume: str
    path: str
    data_set_offset: int
    size_bytes: int
    digest: str
    meta_digest: str


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What a volume knows of an object without reading it.

    Parameters
    ----------
    size_bytes : int
        Number of bytes of the whole object, file meta information included.
    modified_at : datetime
        When its last byte was written (UTC).
    """

    size_bytes: int
    modified_at: datetime


class ObjectWriter(Protocol):
    """One object on its way in. Used by one thread; ends with `seal` or with `abandon`."""

    @property
    def size_bytes(self) -> int:
        """Number of data set bytes written so far."""

    @property
    def digest(self) -> str:
        """SHA-256 of the data set bytes written so far, hexadecimal."""

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing has been written to the volume so far, and `seal` is what does."""

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        """Append to the data set. The fragment may be reused by the caller as soon as this returns.

        Raises
        ------
        OutOfResources
            The volume is full, or the process has no file descriptors or memory left.
        StoreFailure
            The volume failed in any other way. After either error nothing of the object remains.
        """

    def flush(self) -> None:
        """Put what was written where it takes no memory, and is on stable storage if it can be without a path.

        The data set is complete: `seal` or `abandon` is next, and there may be thousands of objects that have come so
        far. A process that dies before `seal` leaves nothing that becomes an object.

        Raises
        ------
        OutOfResources, StoreFailure
            As for `write`.
        """

    def seal(self, sealed_at: datetime) -> StoredObject:
        """Make the object durable and give it its path; never overwrite another object.

        When this returns, the bytes and every directory entry that leads to them are on stable storage. A
        volume that cannot promise this raises, and nothing of the object remains: a failed flush is never
        tried a second time, for the kernel may have dropped the pages that it could not write.

        Parameters
        ----------
        sealed_at : datetime
            The present, aware. The path is made from it.

        Raises
        ------
        OutOfResources, StoreFailure
            As for `write`.
        DamagedObject
            Other bytes lie at the path that was given to `Volume.create`.
        """

    def abandon(self) -> None:
        """Remove what was written. Harmless after `seal`, after an error and when repeated."""


class Volume(Protocol):
    """One place that holds immutable objects. All methods may be called from several threads at once.

    Attributes
    ----------
    name : str
        As in the configuration.
    backups : Shelf
        Where backups of the index lie, which are no objects.
    films : Shelf
        Where the images of films lie that are to be printed, which are no objects either.
    is_remote : bool
        Whether it is reached over the network by a library with threads: a process that has used it must not fork.
    """

    name: str
    is_remote: bool
    backups: Shelf
    films: Shelf

    def create(self, file_meta: bytes, path: str | None = None, *, replace: bool = False) -> ObjectWriter:
        """Start an object with these bytes before its data set.

        Parameters
        ----------
        file_meta : bytes
            The file meta information.
        path : str, optional
            Where the object is to lie, if it is a copy of one that has its path already. `ObjectWriter.seal` places
            it there. If the very same bytes are there, it has nothing to do; if others are, it raises
            `DamagedObject` and leaves both as they are.
        replace : bool
            Whether what is at the path, which is bad, gives way: in one step, so that there is one or the other at any
            time.

        Raises
        ------
        ValueError
            The path is not one that `paths` builds.
        OutOfResources, StoreFailure
            As for `ObjectWriter.write`.
        """

    def take(self, file_meta: bytes, file: str) -> ObjectWriter | None:
        """Start an object of a file that has its bytes: the very file becomes the object.

        Parameters
        ----------
        file_meta : bytes
            The file meta information. It is written over the first bytes of the file, as many as it has.
        file : str
            An absolute path. Nobody else has the file open, or needs it any longer. `ObjectWriter.write` is given what
            it holds behind them, which is not written again; then it has to be the whole file.

        Returns
        -------
        ObjectWriter or None
            None if it cannot become one: the file systems are two, or the file has another name. Nothing was done.

        Raises
        ------
        OutOfResources, StoreFailure
            As for `create`.
        """

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading from its first byte, unbuffered.

        Raises
        ------
        ValueError
            The path is not one that `paths` builds.
        DamagedObject
            There is no such object on a volume that holds others.
        StoreFailure
            It cannot be opened, or the volume is away: that says nothing about the object.
        """

    def link(self, path: str, target: str) -> bool:
        """Give an object a second name outside of the volume, by which nobody changes it: no byte of it is copied.

        Its bytes are there until that name is removed, whatever becomes of the object. They are not compared.

        Parameters
        ----------
        target : str
            The second name, an absolute path where nothing is.

        Returns
        -------
        bool
            False if it cannot have one: it is no file of its own, or in another file system. That says nothing about
            the object.

        Raises
        ------
        ValueError
            The path is not one that `paths` builds.
        StoreFailure
            The volume is away.
        """

    def stat(self, path: str) -> ObjectStat:
        """Tell the size of an object. Raises as `open` does."""

    def delete(self, path: str) -> None:
        """Remove an object durably. An object that does not exist is as good as removed.

        Raises
        ------
        ValueError, StoreFailure
            As for `open`.
        """

    def walk(self, after: str | None = None) -> Iterator[str]:
        """Yield the paths of all objects, sorted.

        Parameters
        ----------
        after : str, optional
            A path, or the beginning of one at a ``/``: only what sorts behind it is visited.

        Raises
        ------
        StoreFailure
            A directory cannot be read.
        """

    def verify(self, stored: StoredObject) -> None:
        """Read an object to its end and compare sizes and digests.

        Raises
        ------
        DamagedObject
            It is missing, or not what was sealed.
        StoreFailure
            It cannot be read.
        """

    def batch(self) -> AbstractContextManager[Callable[[bytes, str], ObjectWriter]]:
        """Return what gives a `create` for copies that become durable together, when its block ends without an error.

        Until then they may be in place and not be whole after a power cut. Their bytes are taken for what their path
        says: `verify` must be called for each. Raises as `ObjectWriter.seal` does.
        """

    def condition(self) -> Condition:
        """Tell how the volume is; never raises."""

    def look(self) -> None:
        """Find out whether the volume is still there, or is again, and let go of what has taken its place."""

    def attach(self, expected: Marker | None) -> None:
        """Say which volume this has to be.

        Until then, and with None, it is whatever is there. What has another marker or none is not read, not written,
        and nothing is made there: reading raises StoreFailure, and nothing is said about any object.
        """

    def detach(self, reason: str) -> None:
        """Let go of the volume, which is away until `attach`.

        Parameters
        ----------
        reason : str
            One line for people.
        """

    def marker(self) -> Marker | None:
        """Return the marker of what is there now, None if it has none.

        Raises
        ------
        StoreFailure
            It cannot be read.
        """

    def mark(self, marker: Marker) -> None:
        """Make the marker, durably, and the directory for it if there is none; again is harmless.

        Raises
        ------
        OutOfResources, StoreFailure
            There is another one, or it cannot be made.
        """

    def unproved(self) -> Volume:
        """Return what is there now, whatever it is; only to be read, and to be closed."""

    def holds_objects(self) -> bool:
        """Tell whether there is any object in what is there now; also if that cannot be found out."""

    def is_receiving(self) -> bool:
        """Tell whether objects have been written a moment ago, so that what can wait should."""

    def note(self, kind: str, content: bytes) -> None:
        """Keep a text beside the objects, durably, for `notes`.

        Parameters
        ----------
        kind : str
            One of `notes.NOTES`.

        Raises
        ------
        OutOfResources, StoreFailure
            It cannot be kept.
        """

    def notes(self, kind: str) -> Iterator[bytes]:
        """Yield every text of a kind that `note` was given, the oldest first.

        Raises
        ------
        StoreFailure
            They cannot be read.
        """

    def seal_if_idle(self) -> None:
        """Let what this process has made durable in a hurry be put into its place if nothing comes any more.

        Raises
        ------
        StoreFailure
            That cannot be begun.
        """

    def maintain(self, spares: int = 0) -> None:
        """Do what can wait, and prepare what is soon needed; may be called by one process for all.

        Parameters
        ----------
        spares : int
            How many processes receive objects for this volume.

        Raises
        ------
        OutOfResources, StoreFailure
            Something could not be done; it is done by a later call.
        """

    def place_all(self) -> None:
        """Put everything into its place that can be. Raises as `maintain` does."""

    def remove_unfinished(self) -> int:
        """Remove what dead processes left unfinished, and return how many files that were.

        What living processes are writing stays.
        """

    def close(self) -> None:
        """Give up what this process holds. The volume opens again by itself when it is used."""
