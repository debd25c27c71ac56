"""The lock of a data folder: a node that runs and a new index for it exclude each other.

Everything that works with the index holds it shared, ``medserver index rebuild`` alone. The kernel lets it go when the
last process that holds it has ended, however it ended; a child that is forked holds it with its parent.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from medserver import modes
from medserver.errors import BadUsage, StoreFailure

FILE_NAME = "lock"


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
    with _held(data, fcntl.LOCK_SH, f"a new index is being made in {data} (medserver index rebuild)"):
        yield


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
    with _held(data, fcntl.LOCK_EX, "the node is running, or another command works with its index: stop it before"):
        yield


@contextmanager
def _held(data: Path, kind: int, problem: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            modes.make_directories(data)
            # Open for writing: network file systems make a lock of a range of bytes out of this, which asks for it.
            descriptor = modes.open_or_create(data / FILE_NAME, os.O_RDWR)
            stack.callback(os.close, descriptor)  # not unlocked: a child that still works keeps it
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadUsage(problem) from None
        except OSError as error:
            advice = f": run this as {modes.owner_of(data)}" if isinstance(error, PermissionError) else ""
            raise StoreFailure(f"the data folder {data} cannot be locked: {error.strerror}{advice}") from None
        yield
