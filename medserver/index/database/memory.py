"""What transactions have found or made, for those that follow."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Noted(threading.local):
    """What the transaction of a thread has noted; others cannot rely on it before it is committed."""

    def __init__(self) -> None:
        self.rows: dict = {}


class Memory(Generic[Key, Value]):
    """Rows that are known to be in the database; a thread sees in addition what its own transaction has noted.

    A thread performs one transaction at a time, and tells how it ends.

    Parameters
    ----------
    rows_max : int
        How many are remembered; when there are more, all are forgotten.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._known: dict[Key, Value] = {}
        self._noted = _Noted()

    def get(self, key: Key) -> Value | None:
        """Return what is known under a key, None if nothing is."""
        value = self._known.get(key)
        return self._noted.rows.get(key) if value is None else value

    def note(self, key: Key, value: Value) -> None:
        """Note what the transaction of this thread has found or made."""
        self._noted.rows[key] = value

    def committed(self) -> None:
        """Let everybody rely on what the transaction of this thread has noted."""
        if self._noted.rows:
            if len(self._known) > self._rows_max:
                self._known.clear()
            self._known.update(self._noted.rows)
            self._noted.rows = {}

    def rolled_back(self) -> None:
        """Forget what the transaction of this thread has noted."""
        self._noted.rows = {}

    def forget(self) -> None:
        """Forget everything: rows were deleted."""
        self.rolled_back()
        self._known.clear()
