"""The system calls that a directory volume makes, one method each.

A class and not plain functions, so that a test can hand in a file system of which any single call fails.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Sequence

from medserver import modes

_NEW = os.O_WRONLY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_NEW_LOCKED = os.O_RDWR | os.O_NOFOLLOW
_EXISTING = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK = os.O_RDWR | os.O_NOFOLLOW

# struct flock of Linux on 64 bits: type, whence, start, length, process. Such a lock belongs to the open file and
# not to the process, and has nothing to do with that of flock(2), which tells who writes a segment.
_OWNERLESS_LOCK = struct.Struct("hhqqi4x")

# Not in the os module of Python 3.11.
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


class Files:
    """The file system as it is. Every method raises OSError as the system call does.

    Parameters
    ----------
    free_min_bytes : int
        What `require_space` leaves free, for the index and for others on the same file system.
    """

    _free_min_bytes = 0

    def __init__(self, free_min_bytes: int = 0) -> None:
        self._free_min_bytes = free_min_bytes

    def require_space(self, path: str, size_bytes: int) -> None:
        """Fail with ENOSPC where so many bytes more would leave less free than is to be left.

        Parameters
        ----------
        path : str
            Anything in the file system.
        """
        found = os.statvfs(path)
        if found.f_bavail * found.f_frsize < self._free_min_bytes + size_bytes:
            raise OSError(errno.ENOSPC, f"less than {self._free_min_bytes >> 20} MiB would be free", path)

    def create(self, path: str) -> int:
        """Create a file that must not exist and open it for writing."""
        return modes.create(path, _NEW)

    def open(self, path: str) -> int:
        """Open a file for reading, not through a symbolic link."""
        return os.open(path, _READ)

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview]) -> int:
        """Write the pieces one behind the other; return how many bytes were taken."""
        return os.writev(descriptor, pieces)

    def flush(self, descriptor: int) -> None:
        """Bring a file to stable storage."""
        os.fsync(descriptor)

    def write_at(self, descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
        """Write the pieces one behind the other from an offset on; return how many bytes were taken."""
        return os.pwritev(descriptor, pieces, offset)

    def flush_data(self, descriptor: int) -> None:
        """Bring the bytes of a file to stable storage, and its size if that has changed."""
        os.fdatasync(descriptor)

    def flush_all(self, path: str) -> None:
        """Bring everything in the file system of a directory to stable storage.

        One call for many new files; where the system has none, every file system is flushed.
        """
        descriptor = os.open(path, _DIRECTORY)
        try:
            if _syncfs is None:
                os.sync()
            elif _syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(descriptor)

    def reserve(self, descriptor: int, size_bytes: int) -> None:
        """Take the space that a file will need."""
        os.posix_fallocate(descriptor, 0, size_bytes)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file off."""
        os.ftruncate(descriptor, size_bytes)

    def copy(self, source: int, offset: int, target: int, size_bytes: int) -> int:
        """Append bytes of one file to another; return how many were copied."""
        return os.copy_file_range(source, target, size_bytes, offset)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, at the cost of the file that has it."""
        os.rename(source, target)

    def close(self, descriptor: int) -> None:
        """Close a file. The descriptor is gone even when this raises."""
        os.close(descriptor)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, unless that name is taken (FileExistsError)."""
        os.link(source, target, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Take a name away."""
        os.unlink(path)

    def make_directory(self, path: str) -> None:
        """Make one directory."""
        modes.make_directory(path)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def flush_directory(self, path: str) -> None:
        """Bring the names in a directory to stable storage."""
        descriptor = os.open(path, _DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        return sorted(os.listdir(path))

    def stat(self, path: str) -> os.stat_result:
        """Tell what a name leads to, not through a symbolic link."""
        return os.stat(path, follow_symlinks=False)

    def identity(self, path: str) -> tuple[int, int]:
        """Return what no two directories have in common: device and inode; of what a symbolic link leads to."""
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def create_locked(self, path: str) -> int:
        """Make a file that must not exist, for reading and writing, and lock it for this process."""
        descriptor = modes.create(path, _NEW_LOCKED)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def lock_existing(self, path: str) -> int:
        """Open a file for reading and writing and lock it; BlockingIOError if it is taken."""
        descriptor = os.open(path, _EXISTING)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def lock_for_reading(self, descriptor: int) -> bool:
        """Keep a segment from being used again while its objects are read; False if it will be.

        The lock ends with the descriptor.
        """
        return _lock_first_byte(descriptor, fcntl.F_RDLCK)

    def lock_against_reading(self, descriptor: int) -> bool:
        """Keep others from reading a segment; False if somebody does."""
        return _lock_first_byte(descriptor, fcntl.F_WRLCK)

    def lock(self, path: str, *, wait: bool) -> int:
        """Open a lock file, making it if need be, and lock it for this process; BlockingIOError if it is
        taken.

        The lock is the kernel's: it ends with the process, however that ends.
        """
        descriptor = modes.open_or_create(path, _LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _lock_first_byte(descriptor: int, kind: int) -> bool:
    """Lock the first byte of a file; False if it is locked by others."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _OWNERLESS_LOCK.pack(kind, os.SEEK_SET, 0, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True
