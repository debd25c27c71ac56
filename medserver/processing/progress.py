"""How far a work item has come: the processes that compute note it in a file, and who waits for them tells it.

At a bounded rate on both sides: what is done within a moment notes nothing and tells nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

TELL_EVERY_S = 1.0
NOTE_EVERY_S = 0.5

_NAME = "progress-{}"


class Note:
    """What a process notes of its part.

    Parameters
    ----------
    folder : Path
        That of the outputs.
    index : int
        Which part it is, from 0.
    clock : callable
        Gives the moment [s].
    """

    def __init__(self, folder: Path, index: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / _NAME.format(index)
        self._clock = clock
        self._noted_at = clock()

    def reached(self, fraction: float) -> None:
        """Note how much of the part is done, 0 to 1; not more than once in `NOTE_EVERY_S`."""
        now = self._clock()
        if now - self._noted_at < NOTE_EVERY_S:
            return
        self._noted_at = now
        new = self._path.with_suffix(".new")
        new.write_text(f"{fraction:.4f}", encoding="ascii")
        os.replace(new, self._path)


def noted(folder: Path, parts: int) -> float:
    """Return how much is done of all parts together, 0 to 1; nothing, of parts that have noted nothing."""
    found = 0.0
    for index in range(parts):
        with suppress(OSError, ValueError):
            found += min(max(float((folder / _NAME.format(index)).read_text(encoding="ascii")), 0.0), 1.0)
    return found / parts


class Progress:
    """Tells how far an item has come, in whole percent: at most once in `TELL_EVERY_S`, and never less than before.

    Threads share it.

    Parameters
    ----------
    tell : callable
        Takes the percentage.
    clock : callable
        Gives the moment [s].
    """

    def __init__(self, tell: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._told, self._told_at = 0, clock()
        self._lock = threading.Lock()

    def at(self, fraction: Callable[[], float]) -> None:
        """Tell it, if it is time; `fraction` is only asked then, and says how much is done, 0 to 1."""
        if self._clock() - self._told_at < TELL_EVERY_S or not self._lock.acquire(blocking=False):
            return
        try:
            self._told_at = self._clock()
            percent = min(int(100 * fraction()), 99)  # all of it is the end, which is told by the state
            if percent > self._told:
                self._told = percent
                self._tell(percent)
        finally:
            self._lock.release()
