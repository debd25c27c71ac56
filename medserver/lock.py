"""The lock of a data folder: a node that runs and a new index for it exclude each other.

Everything that works with the index holds it shared, ``medserver index rebuild`` alone. The kernel lets it go when the
last process that holds it has ended, however it ended; a child that is forked holds it with its parent.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from medserver import modes
from medserver.errors import BadUsage, StoreFailure

FILE_NAME = "lock"

WAIT_S = 3.0
"""How long `alone` waits for commands that are about to end."""

_LOOK_EVERY_S = 0.05
_RUNNING = "the node is running, or another command works with its index: stop it before"

_shared: defaultdict[str, list[int]] = defaultdict(list)
"""Folder -> the descriptors by which this process holds it shared."""


@contextmanager
def shared(data: Path) -> Iterator[None]:
    """Keep others from replacing the index for what is done inside.

    Parameters
    ----------
    data : Path
        The data folder; it is made if need be.

    Raises
    ------
    BadUsage
        The index is being made anew.
    StoreFailure
        The folder cannot be written, or its file system has no locks.
    """
    with _held(data, fcntl.LOCK_SH, _remaking(data)) as descriptor:
        ours = _shared[os.path.realpath(data)]
        ours.append(descriptor)
        try:
            yield
        finally:
            ours.remove(descriptor)


@contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Keep the node from running, and other commands from the index, for what is done inside.

    Raises
    ------
    BadUsage
        The node is running.
    StoreFailure
        The folder cannot be written, or its file system has no locks.
    """
    with _held(data, fcntl.LOCK_EX, _RUNNING):
        yield


@contextmanager
def alone(data: Path, why: str) -> Iterator[None]:
    """Do as `exclusive` does in a process that may hold the folder shared: it does so again in the end.

    Parameters
    ----------
    data : Path
        The data folder.
    why : str
        What has to be done, for those who are told that it cannot be.

    Raises
    ------
    BadUsage
        Another process works with it, and does not end within `WAIT_S`; or an index is being made anew in the end.
    StoreFailure
        As for `exclusive`.
    """
    ours = list(_shared[os.path.realpath(data)])
    for descriptor in ours:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    try:
        with _held(data, fcntl.LOCK_EX, f"{why}: {_RUNNING}", wait_s=WAIT_S):
            yield
    finally:
        try:
            for descriptor in ours:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadUsage(_remaking(data)) from None


def _remaking(data: Path) -> str:
    return f"a new index is being made in {data} (medserver index rebuild)"


@contextmanager
def _held(data: Path, kind: int, problem: str, wait_s: float = 0.0) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            modes.make_directories(data)
            # Open for writing: network file systems make a lock of a range of bytes out of this, which asks for it.
            descriptor = modes.open_or_create(data / FILE_NAME, os.O_RDWR)
            stack.callback(os.close, descriptor)  # not unlocked: a child that still works keeps it
            _lock(descriptor, kind, time.monotonic() + wait_s)
        except BlockingIOError:
            raise BadUsage(problem) from None
        except OSError as error:
            advice = f": run this as {modes.owner_of(data)}" if isinstance(error, PermissionError) else ""
            raise StoreFailure(f"the data folder {data} cannot be locked: {error.strerror}{advice}") from None
        yield descriptor


def _lock(descriptor: int, kind: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_EVERY_S)
