"""What an error of the operating system means to the archive."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from medserver import errors

# What more space, a higher quota or a higher limit would cure.
_EXHAUSTED = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EMLINK,
    )
)


def is_exhaustion(error: BaseException | None) -> bool:
    """Tell whether space, quota, descriptors or memory are used up."""
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def translated(error: OSError, action: str) -> errors.MedserverError:
    """Return the error to raise for an error of the operating system.

    Parameters
    ----------
    action : str
        What could not be done, to complete "cannot ...".
    """
    kind = errors.OutOfResources if is_exhaustion(error) else errors.StoreFailure
    return kind(f"cannot {action}: {error.strerror or error}")


@contextmanager
def translating(action: str) -> Iterator[None]:
    """Raise what the archive understands for every OSError of the block.

    Raises
    ------
    OutOfResources
        Space, quota, descriptors or memory are used up.
    StoreFailure
        Any other OSError.
    """
    try:
        yield
    except OSError as error:
        raise translated(error, action) from error
