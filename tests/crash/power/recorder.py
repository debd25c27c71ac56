"""Records what a process does to the files below a folder: calls of the module `os`, syncfs, and SQLite's own files.

A change is noted when it has been made, a flush before it begins and when it has succeeded: a flush counts for what was
noted before it began. So nothing is taken for durable that was not, however the processes meet. A process that dies at
a crash point notes what its other threads have just done first.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import apsw

from medserver.store import files
from tests.crash.power.log import Log

VARIABLE = "MEDSERVER_POWER_LOG"
"""Environment variable of a node: the log, a colon, and the folder below which is recorded."""

_UNRECORDED = ("-shm",)  # memory that processes share; SQLite makes it anew
_OF_OTHERS = "/processing/"  # what processes write that are not recorded


def record_if_wanted() -> None:
    """Record this process, and those that are forked from it, if the environment says so."""
    if wanted := os.environ.get(VARIABLE):
        log, _, folder = wanted.partition(":")
        record(log, folder)


def record(log: str | Path, folder: str | Path) -> Recorder:
    """Record this process from now on."""
    recorder = Recorder(Log(log), str(folder))
    recorder.install()
    recorder.vfs = _Vfs(recorder)  # it is unregistered when nobody refers to it
    return recorder


class Recorder:
    """Takes the place of functions of `os`, for good: for processes that end with what they do.

    Parameters
    ----------
    log : Log
        Where it writes to.
    folder : str
        Absolute path, without symbolic links.
    """

    def __init__(self, log: Log, folder: str) -> None:
        self.log = log
        self._folder = os.path.realpath(folder)
        self._device = os.stat(folder).st_dev
        self._written: set[int] = set()
        self._directories: set[str] = set()
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def install(self) -> None:
        """Take their places."""
        for name in ("open", "write", "writev", "pwrite", "pwritev", "ftruncate", "posix_fallocate", "copy_file_range",
                     "rename", "link", "unlink", "mkdir", "rmdir", "fsync", "fdatasync", "kill"):  # fmt: skip
            self._replace(os, name, getattr(self, f"_{name}"))
        os.replace, os.remove = os.rename, os.unlink
        self._replace(files, "_syncfs", self._syncfs)

    @staticmethod
    def _replace(module: Any, name: str, recorded: Callable[..., Any]) -> None:
        original = getattr(module, name)
        setattr(module, name, wraps(original)(lambda *args, **keywords: recorded(original, *args, **keywords)))

    # -- files ---------------------------------------------------------------------------------------------------------

    def _open(self, call: Callable, path: Any, flags: int, *args: Any, dir_fd: int | None = None) -> int:
        if not flags & (os.O_CREAT | os.O_TRUNC):
            return call(path, flags, *args, dir_fd=dir_fd)
        with self._lock:
            existed = os.path.lexists(self._absolute(path, dir_fd))
            descriptor = call(path, flags, *args, dir_fd=dir_fd)
            if not existed:
                self.note_new(self._absolute(path, dir_fd))
            elif flags & os.O_TRUNC:
                self.note_size(os.fstat(descriptor).st_ino, 0)
            return descriptor

    def _write(self, call: Callable, descriptor: int, data: Any) -> int:
        return self._writev(lambda fd, pieces: call(fd, pieces[0]), descriptor, [data])

    def _writev(self, call: Callable, descriptor: int, pieces: Any) -> int:
        inode = self._inode(descriptor)
        if inode is None:
            return call(descriptor, pieces)
        with self._lock:
            taken = call(descriptor, pieces)
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            self.note_write(inode, end - taken, pieces, taken)
            return taken

    def _pwrite(self, call: Callable, descriptor: int, data: Any, offset: int) -> int:
        return self._pwritev(lambda fd, pieces, at: call(fd, pieces[0], at), descriptor, [data], offset)

    def _pwritev(self, call: Callable, descriptor: int, pieces: Any, offset: int, *flags: int) -> int:
        inode = self._inode(descriptor)
        with self._lock:
            taken = call(descriptor, pieces, offset, *flags)
            if inode is not None:
                self.note_write(inode, offset, pieces, taken)
            return taken

    def _copy_file_range(
        self, call: Callable, src: int, dst: int, count: int, offset_src: int | None = None,
        offset_dst: int | None = None,
    ) -> int:  # fmt: skip
        with self._lock:
            at = os.lseek(src, 0, os.SEEK_CUR) if offset_src is None else offset_src
            to = os.lseek(dst, 0, os.SEEK_CUR) if offset_dst is None else offset_dst
            taken = call(src, dst, count, offset_src, offset_dst)
            if (inode := self._inode(dst)) is not None:
                self.note_write(inode, to, [os.pread(src, taken, at)], taken)
            return taken

    def _ftruncate(self, call: Callable, descriptor: int, size: int) -> None:
        with self._lock:
            call(descriptor, size)
            if (inode := self._inode(descriptor)) is not None:
                self.note_size(inode, size)

    def _posix_fallocate(self, call: Callable, descriptor: int, offset: int, size: int) -> None:
        with self._lock:
            call(descriptor, offset, size)
            if (inode := self._inode(descriptor)) is not None:
                self.note_size(inode, os.fstat(descriptor).st_size)

    # -- names ---------------------------------------------------------------------------------------------------------

    def _rename(
        self, call: Callable, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        with self._lock:
            old, new = self._absolute(src, src_dir_fd), self._absolute(dst, dst_dir_fd)
            if _OF_OTHERS in old and os.path.isfile(old):
                self.note_new(old)
                self.log.add("content", os.stat(old).st_ino, Path(old).read_bytes())
            call(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            if self._is_recorded(old) and self._is_recorded(new):
                self._note_directories(new)
                self.log.add("rename", *_place(old), *_place(new))

    def _link(
        self, call: Callable, src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:  # fmt: skip
        with self._lock:
            new = self._absolute(dst, dst_dir_fd)
            call(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)
            if self._is_recorded(new):
                self._note_directories(new)
                self.log.add("link", *_place(new), os.stat(new).st_ino)

    def _unlink(self, call: Callable, path: Any, *, dir_fd: int | None = None) -> None:
        with self._lock:
            absolute = self._absolute(path, dir_fd)
            call(path, dir_fd=dir_fd)
            self.note_removed(absolute)

    _rmdir = _unlink

    def _mkdir(self, call: Callable, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with self._lock:
            call(path, mode, dir_fd=dir_fd)
            self.note_new(self._absolute(path, dir_fd))

    # -- flushes -------------------------------------------------------------------------------------------------------

    def _fsync(self, call: Callable, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        found = os.fstat(number)
        if stat.S_ISREG(found.st_mode) and found.st_ino not in self._written:
            self._note_unseen(number, found)
        self.flush(found.st_ino, lambda: call(descriptor))

    _fdatasync = _fsync

    def _syncfs(self, call: Callable, descriptor: int) -> int:
        with_start = self._begin()
        outcome = call(descriptor)
        if outcome == 0:
            self.log.add("flushed all", with_start)
        return outcome

    def flush(self, inode: int, call: Callable[[], object]) -> None:
        """Perform a flush of a file or directory, and note it."""
        start = self._begin()
        call()
        self.log.add("flushed", inode, start)

    def _begin(self) -> str:
        """Note that a flush begins, and return what its end is known by."""
        start = f"{os.getpid()}-{threading.get_ident()}-{os.urandom(4).hex()}"
        self.log.add("flush", start)
        return start

    def _note_unseen(self, descriptor: int, found: os.stat_result) -> None:
        """Note a file that was made or written in another way, by Python's own files: as if it were done only now."""
        if found.st_dev != self._device or found.st_nlink == 0:
            return
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self._is_recorded(path) and not _is_of_sqlite(path):
            with self._lock, open(path, "rb") as file:
                content = file.read()
                self.note_new(path)
                self.log.add("content", found.st_ino, content)

    # -- the end -------------------------------------------------------------------------------------------------------

    def _kill(self, call: Callable, process: int, number: int) -> None:
        with self._lock:
            call(process, number)
            if process == os.getpid() and number == signal.SIGKILL:
                signal.pause()

    # -- notes ---------------------------------------------------------------------------------------------------------

    def note_new(self, path: str) -> None:
        """Note that a file or directory was made."""
        if self._is_recorded(path):
            self._note_directories(path)
            found = os.lstat(path)
            self.log.add("new", *_place(path), found.st_ino, stat.S_ISDIR(found.st_mode))

    def _note_directories(self, path: str) -> None:
        """Note those that a name is in, once: who made them may not have noted it yet."""
        directory = os.path.dirname(path)
        if directory not in self._directories and self._is_recorded(directory):
            self._note_directories(directory)
            self.log.add("new", *_place(directory), os.lstat(directory).st_ino, True)
            self._directories.add(directory)

    def note_removed(self, path: str) -> None:
        """Note that a name was taken away."""
        if self._is_recorded(path):
            self.log.add("removed", *_place(path))

    def note_write(self, inode: int, offset: int, pieces: Any, taken: int) -> None:
        """Note what was written."""
        data = b"".join(map(bytes, pieces))[:taken]
        self._written.add(inode)
        if data.count(0) == len(data):
            self.log.add("zeros", inode, offset, len(data))
        else:
            self.log.add("write", inode, offset, data)

    def note_size(self, inode: int, size: int) -> None:
        """Note that a file has another size."""
        self._written.add(inode)
        self.log.add("size", inode, size)

    def _inode(self, descriptor: int) -> int | None:
        found = os.fstat(descriptor)
        return found.st_ino if stat.S_ISREG(found.st_mode) and found.st_dev == self._device else None

    def _absolute(self, path: Any, dir_fd: int | None) -> str:
        name = os.fsdecode(path)
        if os.path.isabs(name):  # whatever the descriptor is
            return os.path.normpath(name)
        base = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        return os.path.normpath(os.path.join(base, name))

    def _is_recorded(self, path: str) -> bool:
        return path.startswith(f"{self._folder}/") and not path.endswith(_UNRECORDED)


def _place(path: str) -> tuple[int, str]:
    """Return the inode of a directory, and the name in it."""
    directory, name = os.path.split(path)
    return os.stat(directory).st_ino, name


def _is_of_sqlite(path: str) -> bool:
    return path.endswith((".db", "-wal", "-journal"))


class _Vfs(apsw.VFS):
    """What SQLite does; the VFS of all connections that are opened from now on."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        super().__init__("recorded", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self._recorder, name, flags)

    def xDelete(self, path: str, sync_directory: bool) -> None:
        with self._recorder._lock:
            super().xDelete(path, sync_directory)
            self._recorder.note_removed(path)


class _File(apsw.VFSFile):
    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._recorder = recorder
        with recorder._lock:
            super().__init__("unix", name, flags)
            if path is not None:  # also if it is not new: who made it may not have noted it yet
                recorder.note_new(path)
        self._inode = os.stat(path).st_ino if path and recorder._is_recorded(path) else None
        # With the first flush of a log that it may have made, SQLite flushes the directory (UNIXFILE_DIRSYNC).
        is_log = self._inode and flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL)
        self._directory = os.stat(os.path.dirname(path)).st_ino if is_log else None

    def xWrite(self, data: bytes, offset: int) -> None:
        with self._recorder._lock:
            super().xWrite(data, offset)
            if self._inode is not None:
                self._recorder.note_write(self._inode, offset, [data], len(data))

    def xTruncate(self, size: int) -> None:
        with self._recorder._lock:
            super().xTruncate(size)
            if self._inode is not None:
                self._recorder.note_size(self._inode, size)

    def xSync(self, flags: int) -> None:
        if self._inode is None:
            super().xSync(flags)
            return
        directory, self._directory = self._directory, None
        self._recorder.flush(self._inode, lambda: super(_File, self).xSync(flags))
        if directory is not None:
            self._recorder.flush(directory, lambda: None)
