"""How a volume is at this moment."""

from __future__ import annotations

from dataclasses import dataclass

READY, FULL, READ_ONLY, EMPTY, AWAY = "ready", "full", "read-only", "empty", "away"
"""States: objects can be read and written; read, but there is no space for more; read, but nothing can be written;
nothing at all is where the volume should be, which may be new or lost; it cannot be reached."""


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
    """

    state: str
    free_bytes: int | None = None
    detail: str = ""

    @property
    def is_writable(self) -> bool:
        """Whether an object could be written."""
        return self.state in (READY, EMPTY)
