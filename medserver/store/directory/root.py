"""The root directory of a volume: opened once, proved by the marker that lies in it, and the beginning of all paths.

A mount point without its disk, and the disk of somebody else, are other directories than the one that was proved:
nothing is read there, nothing written and nothing made.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from medserver.errors import OutOfResources, StoreFailure
from medserver.store import marker as markers
from medserver.store.condition import AWAY, FOREIGN, READY
from medserver.store.directory.durable import make_durably
from medserver.store.failures import is_exhaustion
from medserver.store.files import Files
from medserver.store.marker import Marker

logger = logging.getLogger(__name__)


class Root:
    """Lets `Files` into the directory where that is the volume. Costs one look at its path each time.

    Parameters
    ----------
    volume : str
        Name of the volume.
    path : str
        Absolute path of the directory.
    files : Files
        The file system; its relative paths begin here.
    release : sequence of callable
        Called when the directory is left: they close what keeps it from being unmounted, and forget what is known.
    """

    def __init__(self, volume: str, path: str, files: Files, release: Sequence[Callable[[], None]]) -> None:
        self._volume = volume
        self._path = path
        self._files = files
        self._release = release
        self._lock = threading.RLock()
        self._expected: Marker | None = None
        self._held_back = ""
        self._entered: tuple[int, int] | None = None
        self._complained = False

    # Which directory it has to be

    def attach(self, expected: Marker | None) -> None:
        """Take the directory that has a marker, or, if that is None, any: it is made when it is first written to."""
        with self._lock:
            if self._held_back or expected != self._expected:
                self._leave()
            self._expected, self._held_back = expected, ""

    def detach(self, reason: str) -> None:
        """Leave the directory, and take none until `attach`; `reason` is one line for people."""
        with self._lock:
            if reason != self._held_back:
                self._held_back = reason
                self._leave(AWAY, reason)

    def close(self) -> None:
        """Give up the descriptor of the directory, which is opened again when it is needed."""
        with self._lock:
            self._leave()
            self._files.close_root()

    # Whether it is there

    def require(self) -> None:
        """Enter the directory if need be, to write there.

        Raises
        ------
        OutOfResources
            The volume is away, or what is there is another one.
        OSError
            The file system failed.
        """
        if self.is_entered():
            return
        if self._expected is None and not self._held_back:
            make_durably(self._path, self._files)
        state, detail = self.look()
        if state != READY:
            if not self._complained:
                self._complained = True
                logger.error("volume %s is %s: %s", self._volume, state, detail)
            raise OutOfResources(f"volume {self._volume} is {state}: {detail}")

    def require_readable(self) -> None:
        """Enter the directory if need be, to read there.

        Raises
        ------
        StoreFailure
            The volume is away, or what is there is another one: that says nothing about its objects.
        OSError
            The file system failed.
        """
        if not self.is_entered():
            state, detail = self.look()
            if state != READY:
                raise StoreFailure(f"volume {self._volume} is {state}: {detail}")

    def look(self) -> tuple[str, str]:
        """Judge anew what is at the path; return its state, which is READY, AWAY or FOREIGN, and a line for people.

        Raises
        ------
        OSError
            The file system failed.
        """
        with self._lock:
            if self._held_back:
                return AWAY, self._held_back
            if self.is_entered():
                return READY, ""
            try:
                descriptor = self._files.open_directory(self._path)
            except (FileNotFoundError, NotADirectoryError):
                return self._leave(AWAY, f"there is no directory {self._path}")
            except OSError as error:
                if not is_exhaustion(error):  # which is about this process
                    self._leave(AWAY, f"{self._path}: {error.strerror}")
                raise
            try:
                return self._judge(descriptor)
            finally:
                os.close(descriptor)

    def require_entered(self) -> None:
        """Raise StoreFailure if the directory has been left: what could not be found may be there."""
        if self._entered is None:
            raise StoreFailure(f"volume {self._volume} is away")

    def is_unused(self) -> bool:
        """Tell whether any directory will do, and there is none yet."""
        return self._expected is None and not self._held_back and not os.path.lexists(self._path)

    def is_entered(self) -> bool:
        """Tell whether the directory that was proved is the one at the path."""
        entered = self._entered
        try:
            return entered is not None and self._files.identity(self._path) == entered
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _judge(self, descriptor: int) -> tuple[str, str]:
        found = os.fstat(descriptor)
        identity = found.st_dev, found.st_ino
        if identity != self._entered:
            problem = self._problem_of(descriptor)
            if problem is not None:
                return self._leave(*problem)
            self._leave()
            self._files.enter(descriptor)
            self._entered = identity
            if self._complained:
                self._complained = False
                logger.info("volume %s is back", self._volume)
        return READY, ""

    def _problem_of(self, descriptor: int) -> tuple[str, str] | None:
        """Return why an open directory is not the volume; None if it is."""
        if self._expected is None:
            return None
        try:
            found = _read(descriptor, self._path)
        except StoreFailure as error:
            return FOREIGN, str(error)
        if found is None:
            return AWAY, f"{self._path} has no {markers.NAME}: its disk is not mounted, or nothing of it is left"
        if found != self._expected:
            whose = "this archive" if found.archive_uuid == self._expected.archive_uuid else "another archive"
            return FOREIGN, f"{self._path} is another volume, {found.volume_uuid}, of {whose}"
        return None

    def _leave(self, state: str = AWAY, detail: str = "") -> tuple[str, str]:
        """Let nothing be read or written any more; return what was given."""
        if self._entered is not None:
            for release in self._release:
                with suppress(OSError):
                    release()
            self._entered = None
            self._files.leave()
            if detail and not self._held_back:
                self._complained = True
                logger.error("volume %s is %s: %s", self._volume, state, detail)
        return state, detail

    # Its marker

    def marker(self) -> Marker | None:
        """Return the marker that lies in whatever directory is at the path, None if there is none.

        Raises
        ------
        StoreFailure
            It is damaged.
        OSError
            The directory cannot be read.
        """
        try:
            descriptor = self._files.open_directory(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return _read(descriptor, self._path)
        finally:
            os.close(descriptor)

    def mark(self, marker: Marker) -> None:
        """Make the marker, durably, in whatever directory is at the path, which is made if need be.

        Raises
        ------
        StoreFailure
            There is another one.
        OSError
            The file system failed.
        """
        make_durably(self._path, self._files)
        descriptor = self._files.open_directory(self._path)
        temporary = f".{markers.NAME}.{secrets.token_hex(8)}"
        files = Files()
        try:
            files.enter(descriptor)
            try:
                _write(files, temporary, marker.encode())
                files.link(temporary, markers.NAME)
            except FileExistsError:
                if _read(descriptor, self._path) != marker:
                    raise StoreFailure(f"{self._path} has a marker already: it is another volume") from None
            finally:
                with suppress(FileNotFoundError):
                    files.unlink(temporary)
            files.flush_directory(".")
        finally:
            files.close_root()
            os.close(descriptor)


def _read(directory: int, path: str) -> Marker | None:
    try:
        descriptor = os.open(markers.NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        return markers.decode(os.read(descriptor, markers.SIZE_MAX_BYTES), path)
    finally:
        os.close(descriptor)


def _write(files: Files, name: str, content: bytes) -> None:
    descriptor = files.create(name)
    try:
        files.write(descriptor, [content])
        files.flush(descriptor)
    finally:
        files.close(descriptor)
