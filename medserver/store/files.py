"""The system calls that a directory volume makes, one method each.

A class and not plain functions, so that a test can hand in a file system of which any single call fails.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
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

# Where relative paths lead before `Files.enter`: to no directory (EBADF), and never to the current one.
_NOWHERE = -1

# The file system does not copy within itself, or not between these two files: then the bytes pass through here.
_CANNOT_COPY = frozenset((errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM))
_COPIED_BYTES = 1024 * 1024

# Not in the os module of Python 3.11.
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


class Files:
    """The file system as it is. Every method raises OSError as the system call does.

    Relative paths lead down from a directory that `enter` was given, whatever is mounted or moved to its place since.

    Parameters
    ----------
    free_min_bytes : int
        What `require_space` leaves free, for the index and for others on the same file system.
    """

    _free_min_bytes = 0
    _root = _NOWHERE

    def __init__(self, free_min_bytes: int = 0) -> None:
        self._free_min_bytes = free_min_bytes

    def enter(self, directory: int) -> None:
        """Let relative paths begin at an open directory, of which this keeps a descriptor of its own.

        The number of that descriptor stays the same: a thread that uses it meanwhile comes to the old directory or to
        the new one, and never to what another thread has opened since.
        """
        if self._root == _NOWHERE:
            self._root = os.dup(directory)
        else:
            os.dup2(directory, self._root, inheritable=False)

    def leave(self) -> None:
        """Let relative paths lead nowhere (ENOTDIR), and nothing keep the directory from being unmounted."""
        if self._root != _NOWHERE:
            nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.dup2(nothing, self._root, inheritable=False)
            finally:
                os.close(nothing)

    def close_root(self) -> None:
        """Give the descriptor of the directory back. Nobody may be using it."""
        root, self._root = self._root, _NOWHERE
        if root != _NOWHERE:
            os.close(root)

    def free_bytes(self) -> int:
        """Return how much may be written: what is free, without what is to be left free; negative if that is less."""
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize - self._free_min_bytes

    def size_bytes(self) -> int:
        """Return how much may lie on the disk in all; what is kept for the superuser is no part of that."""
        found = os.statvfs(self._root)
        return (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize

    def require_space(self, path: str, size_bytes: int) -> None:
        """Fail with ENOSPC where so many bytes more would leave less free than is to be left.

        Parameters
        ----------
        path : str
            Anything in the file system.
        """
        found = os.statvfs(path if os.path.isabs(path) else self._root)
        if found.f_bavail * found.f_frsize < self._free_min_bytes + size_bytes:
            raise OSError(errno.ENOSPC, f"less than {self._free_min_bytes >> 20} MiB would be free", path)

    def create(self, path: str) -> int:
        """Create a file that must not exist and open it for writing."""
        return modes.create(path, _NEW, dir_fd=self._root)

    def open(self, path: str) -> int:
        """Open a file for reading, not through a symbolic link."""
        return os.open(path, _READ, dir_fd=self._root)

    def open_alone(self, path: str) -> int:
        """Open a file for writing that has no other name, not through a symbolic link; narrow who may read it.

        Raises
        ------
        OSError
            It has another name (EMLINK), or is no file (EINVAL).
        """
        descriptor = os.open(path, _NEW | os.O_CLOEXEC, dir_fd=self._root)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                number = errno.EMLINK if stat.S_ISREG(found.st_mode) else errno.EINVAL
                raise OSError(number, os.strerror(number), path)
            modes.take(descriptor, path, dir_fd=self._root)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def open_directory(self, path: str) -> int:
        """Open a directory."""
        return os.open(path, _DIRECTORY, dir_fd=self._root)

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

    def flush_all(self, descriptor: int) -> None:
        """Bring everything in the file system of a file or directory to stable storage.

        One call for many new files; where the system has none, every file system is flushed.

        Parameters
        ----------
        descriptor : int
            Opened before the first of the files was written, and used for this alone: the kernel tells of a page that
            it could not write once to each descriptor, and to one that is opened afterwards only if nobody else was
            told of it.
        """
        if _syncfs is None:
            os.sync()
        elif _syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def reserve(self, descriptor: int, size_bytes: int) -> None:
        """Take the space that a file will need."""
        os.posix_fallocate(descriptor, 0, size_bytes)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        """Cut a file off."""
        os.ftruncate(descriptor, size_bytes)

    def copy(self, source: int, offset: int, target: int, size_bytes: int) -> int:
        """Append bytes of one file to another; return how many were copied."""
        try:
            return os.copy_file_range(source, target, size_bytes, offset)
        except OSError as error:
            if error.errno not in _CANNOT_COPY:
                raise
        return os.write(target, os.pread(source, min(size_bytes, _COPIED_BYTES), offset))

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, at the cost of the file that has it."""
        os.rename(source, target, src_dir_fd=self._root, dst_dir_fd=self._root)

    def close(self, descriptor: int) -> None:
        """Close a file. The descriptor is gone even when this raises."""
        os.close(descriptor)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, unless that name is taken (FileExistsError)."""
        os.link(source, target, src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Take a name away."""
        os.unlink(path, dir_fd=self._root)

    def make_directory(self, path: str) -> None:
        """Make one directory."""
        modes.make_directory(path, dir_fd=self._root)

    def remove_directory(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path, dir_fd=self._root)

    def flush_directory(self, path: str) -> None:
        """Bring the names in a directory to stable storage."""
        descriptor = os.open(path, _DIRECTORY, dir_fd=self._root)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        descriptor = os.open(path, _DIRECTORY, dir_fd=self._root)
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def stat(self, path: str) -> os.stat_result:
        """Tell what a name leads to, not through a symbolic link."""
        return os.stat(path, dir_fd=self._root, follow_symlinks=False)

    def identity(self, path: str) -> tuple[int, int]:
        """Return what no two directories have in common: device and inode; of what a symbolic link leads to."""
        found = os.stat(path)
        return found.st_dev, found.st_ino

    def create_locked(self, path: str) -> int:
        """Make a file that must not exist, for reading and writing, and lock it for this process."""
        return _locked(modes.create(path, _NEW_LOCKED, dir_fd=self._root))

    def lock_existing(self, path: str) -> int:
        """Open a file for reading and writing and lock it; BlockingIOError if it is taken."""
        return _locked(os.open(path, _EXISTING, dir_fd=self._root))

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
        return _locked(modes.open_or_create(path, _LOCK, dir_fd=self._root), wait=wait)


def _locked(descriptor: int, *, wait: bool = False) -> int:
    """Return an open file when it is locked; close it if it cannot be."""
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
