"""Whether something far away answers: when it does not, it is left alone for a while, so that nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from medserver.errors import StoreFailure

RETRY_S = 15.0
"""So long nobody tries after a failure."""

logger = logging.getLogger(__name__)


class Availability:
    """What is known of a volume; may be used by several threads.

    Parameters
    ----------
    volume : str
        Its name.
    clock : callable
        Returns seconds that never go back.
    """

    def __init__(self, volume: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._volume = volume
        self._clock = clock
        self._lock = threading.Lock()
        self._reason = ""
        self._retry_at = 0.0

    def require(self) -> None:
        """Raise StoreFailure at once if the volume did not answer a moment ago."""
        if self._reason and self._clock() < self._retry_at:
            raise StoreFailure(f"volume {self._volume} cannot be reached: {self._reason}")

    def failed(self, reason: str) -> None:
        """Note that it does not answer; this is logged when it begins."""
        with self._lock:
            is_news = not self._reason
            self._reason = reason
            self._retry_at = self._clock() + RETRY_S
        if is_news:
            logger.error("volume %s cannot be reached, it is tried again later: %s", self._volume, reason)

    def works(self) -> None:
        """Note that it answers; this is logged if it did not before."""
        if self._reason:
            with self._lock:
                was_failing, self._reason = bool(self._reason), ""
            if was_failing:
                logger.info("volume %s can be reached again", self._volume)
