"""Who may read what the node keeps: its owner and group and nobody else, whatever umask it was started with.

It is patient data. What is there with a wider mode is narrowed when the node starts; what an administrator has made
narrower stays so. What root makes belongs to the owner of the folder that it is made in: the node, which runs as that
user, works with what a command under sudo has left.
"""

from __future__ import annotations

import os
import pwd
import secrets
import stat
from contextlib import suppress
from pathlib import Path

FILE, DIRECTORY = 0o640, 0o750
_SET_GROUP_ID = stat.S_ISGID


def create(path: str | os.PathLike[str], flags: int, *, dir_fd: int | None = None) -> int:
    """Make a file that must not exist, and open it. It can be given to `open` as its opener, with mode ``x``."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE, dir_fd=dir_fd)
    try:
        take(descriptor, path, dir_fd=dir_fd)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take(descriptor: int, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
    """Let an open file have the owner and the mode of one that `create` makes at that path."""
    _keep_owner(descriptor, path, dir_fd)
    os.fchmod(descriptor, FILE)


def open_or_create(path: str | os.PathLike[str], flags: int, *, dir_fd: int | None = None) -> int:
    """Open a file; make it if there is none."""
    with suppress(FileExistsError):
        return create(path, flags, dir_fd=dir_fd)
    return os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)


def place_empty(path: Path) -> None:
    """Make an empty file if there is none, without ever having it open.

    SQLite's locks belong to the process, and are gone when any descriptor of the file is closed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(create(temporary, os.O_WRONLY))
    try:
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def make_directory(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
    """Make one directory, with the set-group-ID bit if the one above has it; FileExistsError if there is one."""
    os.mkdir(path, DIRECTORY, dir_fd=dir_fd)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        _keep_owner(descriptor, path, dir_fd)
        os.fchmod(descriptor, DIRECTORY | os.fstat(descriptor).st_mode & _SET_GROUP_ID)
    finally:
        os.close(descriptor)


def make_directories(path: Path) -> None:
    """Make a directory, and what is missing above it, durably: what is flushed in it is lost without its name."""
    if path.is_dir():
        return
    make_directories(path.parent)
    with suppress(FileExistsError):
        make_directory(path)
    flush_directory(path.parent)


def flush_directory(path: str | os.PathLike[str]) -> None:
    """Bring the names in a directory to stable storage."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_owner(descriptor: int, path: str | os.PathLike[str], dir_fd: int | None) -> None:
    """Give what root has made to the owner of the folder that it is in: the node may run as that user."""
    if os.geteuid() != 0:
        return
    folder = os.stat(os.path.dirname(os.fspath(path)) or ".", dir_fd=dir_fd)
    if folder.st_uid != 0:
        with suppress(PermissionError):  # a network file system for which root is nobody
            os.fchown(descriptor, folder.st_uid, folder.st_gid)


def owner_of(path: Path) -> str:
    """Return the name of the user whom a file belongs to, or the nearest directory above that can be looked at."""
    while not os.path.exists(path):  # unlike Path.exists it raises nothing where one may not look
        path = path.parent
    return _name_of(path.stat().st_uid)


def user() -> str:
    """Return the name of the user who runs this."""
    return _name_of(os.geteuid())


def _name_of(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)


def narrow(path: str | os.PathLike[str]) -> bool:
    """Take from others what they may do with a file or directory of ours; tell whether that was anything.

    What belongs to somebody else is left alone, except by root, and so is what a symbolic link leads to.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(found.st_mode):
        wanted = found.st_mode & (DIRECTORY | _SET_GROUP_ID)
    elif stat.S_ISREG(found.st_mode):
        wanted = found.st_mode & FILE
    else:
        return False
    if wanted == stat.S_IMODE(found.st_mode) or os.geteuid() not in (0, found.st_uid):
        return False
    os.chmod(path, wanted)
    return True
