"""Temporary files of objects on their way in, and the removal of those that a dead process left.

Every process that writes has a directory of its own below ``incoming`` and holds a lock on a file in it. The
kernel drops the lock when the process ends, so a directory whose lock is free belongs to nobody. The lock on
``incoming`` itself is held for the moments in which a directory is made or swept, so that a new one is not
taken for an abandoned one.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from medserver.store.files import Files

_LOCK = "lock"

logger = logging.getLogger(__name__)


class Incoming:
    """The temporary files of one process on one volume.

    Parameters
    ----------
    path : str
        Path of ``incoming``, in the file system of the objects. Its parent must exist when a file is made.
    files : Files
        The file system.
    """

    def __init__(self, path: str, files: Files) -> None:
        self._path = path
        self._files = files
        self._mutex = threading.Lock()
        self._own: str | None = None
        self._own_lock: int | None = None
        self._owner = 0  # a process that was forked off settles anew, and leaves its parent's files alone

    def create(self) -> tuple[int, str]:
        """Make a temporary file; return its descriptor and its path."""
        name = f"{os.getpid()}-{secrets.token_hex(8)}.part"
        path = f"{self._settle()}/{name}"
        try:
            return self._files.create(path), path
        except FileNotFoundError:  # somebody tidied up by hand while we were running
            self.close()
            path = f"{self._settle()}/{name}"
            return self._files.create(path), path

    def take(self, file: str) -> tuple[int, str]:
        """Let a file become a temporary one; return its descriptor and its path.

        Parameters
        ----------
        file : str
            An absolute path.

        Raises
        ------
        OSError
            It stays where it is: it is in another file system, has another name, or is none.
        """
        descriptor = self._files.open_alone(file)
        try:
            path = f"{self._settle()}/{os.getpid()}-{secrets.token_hex(8)}.part"
            self._files.rename(file, path)
        except BaseException:
            self._files.close(descriptor)
            raise
        return descriptor, path

    def newest_at(self) -> float:
        """Return when a temporary file was last made or taken away, in seconds since 1970; 0 if never."""
        newest = 0.0
        with suppress(FileNotFoundError):
            for name in self._files.names(self._path):
                with suppress(FileNotFoundError):
                    newest = max(newest, self._files.stat(f"{self._path}/{name}").st_mtime)
        return newest

    def remove_unfinished(self) -> int:
        """Remove the directories of dead processes; return how many temporary files were in them."""
        try:
            self._files.stat(self._path)
        except FileNotFoundError:
            return 0
        with self._locked():
            strangers = [name for name in self._files.names(self._path) if name != _LOCK]
            return sum(self._sweep_directory(f"{self._path}/{name}") for name in strangers)

    def close(self) -> None:
        """Give up the directory of this process. What is still being written there is lost."""
        with self._mutex:
            own, self._own = self._own, None
            lock, self._own_lock = self._own_lock, None
        if lock is not None:
            if self._owner == os.getpid():
                with suppress(OSError):
                    self._remove(own)
            self._files.close(lock)

    def _settle(self) -> str:
        """Return the directory of this process, made and locked at its first use."""
        own = self._own
        if own is not None and self._owner == os.getpid():
            return own
        with self._mutex:
            if self._own is None or self._owner != os.getpid():
                inherited, self._own_lock = self._own_lock, None
                if inherited is not None:
                    self._files.close(inherited)
                self._own = self._make_own()
                self._owner = os.getpid()
            return self._own

    def _make_own(self) -> str:
        with suppress(FileExistsError):
            self._files.make_directory(self._path)
        own = f"{self._path}/{secrets.token_hex(8)}"
        with self._locked():
            self._files.make_directory(own)
            self._own_lock = self._lock_new(own)
        return own

    def _lock_new(self, directory: str) -> int:
        try:
            return self._files.lock(f"{directory}/{_LOCK}", wait=False)
        except OSError:
            with suppress(OSError):
                self._remove(directory)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._files.lock(f"{self._path}/{_LOCK}", wait=True)
        try:
            yield
        finally:
            self._files.close(lock)

    def _sweep_directory(self, directory: str) -> int:
        """Remove one directory if nobody holds its lock; this process holds its own as everybody does."""
        try:
            lock = self._files.lock(f"{directory}/{_LOCK}", wait=False)
        except (BlockingIOError, FileNotFoundError):  # whoever closes takes its own away without waiting for a sweep
            return 0
        except NotADirectoryError:
            logger.warning(
                "foreign file in the incoming directory of a volume: %r", os.path.basename(directory)
            )
            return 0
        try:
            return self._remove(directory)
        except FileNotFoundError:
            return 0
        finally:
            self._files.close(lock)

    def _remove(self, directory: str) -> int:
        names = [name for name in self._files.names(directory) if name != _LOCK]
        for name in [*names, _LOCK]:  # the lock last: a sweep that is interrupted can be made again
            with suppress(FileNotFoundError):
                self._files.unlink(f"{directory}/{name}")
        self._files.remove_directory(directory)
        return len(names)
