"""How a volume is at this moment."""

from __future__ import annotations

from dataclasses import dataclass

READY, FULL, READ_ONLY, AWAY, FOREIGN = "ready", "full", "read-only", "away", "foreign"
"""States: objects can be read and written; read, but there is no space for more; read, but nothing can be written;
the volume is not there or cannot be reached; another volume is in its place.

The last two say nothing about objects: nothing is read or written, and nothing is made."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a volume is.

    Parameters
    ----------
    state : str
        One of the above.
    free_bytes : int or None
        How much it still takes; None if that has no limit or nobody knows.
    detail : str
        One line for people; empty if there is nothing to say.
    size_bytes : int or None
        How much it takes in all, with what is to be left free; None as for `free_bytes`.
    """

    state: str
    free_bytes: int | None = None
    detail: str = ""
    size_bytes: int | None = None

    @property
    def is_present(self) -> bool:
        """Whether the volume is there, so that what is not found on it is missing."""
        return self.state not in (AWAY, FOREIGN)

    @property
    def is_writable(self) -> bool:
        """Whether an object could be written."""
        return self.state == READY
