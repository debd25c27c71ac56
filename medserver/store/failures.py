"""What an error of the operating system means to the archive."""

from __future__ import annotations

import errno
from types import TracebackType

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


class translating:  # noqa: N801 - it stands behind `with`, like a function; a generator would take three times as long
    """Raise what the archive understands for every OSError of the block.

    Parameters
    ----------
    action : str
        As for `translated`.

    Raises
    ------
    OutOfResources
        Space, quota, descriptors or memory are used up.
    StoreFailure
        Any other OSError.
    """

    __slots__ = ("_action",)

    def __init__(self, action: str) -> None:
        self._action = action

    def __enter__(self) -> None:
        """Return None."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise translated(error, self._action) from error
