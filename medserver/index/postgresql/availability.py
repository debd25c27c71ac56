"""Whether the server can be reached, as far as the threads of this process have found out."""

from __future__ import annotations

import logging
import random
import threading
import time

import psycopg

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
PAUSE_MAX_S = 4.0
TRIAL_S = 6.0
"""How long one thread may take to find out whether the server is back."""


class Unreachable(psycopg.OperationalError):
    """The server was found to be away a moment ago, and it is too early to try again."""


class Availability:
    """What is known of the server.

    After a connection could not be opened nobody tries for a while, which doubles up to a limit; then one thread tries,
    and the others are refused at once until it has succeeded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause_s = 0.0  # 0 while the server is there
        self._next_at = 0.0
        self._reason = ""
        self._lost_at = 0.0
        self.losses = 0

    def check(self) -> None:
        """Return if the server is there, or it is time to find out.

        Raises
        ------
        Unreachable
            It is away.
        """
        if self._pause_s and time.monotonic() < self._next_at:
            raise Unreachable(f"the server cannot be reached: {self._reason}")

    def require(self) -> None:
        """Return if the server is there, or this thread is the one that finds out; raises as `check` does."""
        if not self._pause_s:
            return
        with self._lock:
            self.check()
            self._pause_s = min(self._pause_s * 2, PAUSE_MAX_S)
            self._next_at = time.monotonic() + TRIAL_S

    def lost(self, error: Exception) -> None:
        """Note that a connection could not be opened, or that the server is silent."""
        with self._lock:
            self.losses += 1
            self._reason = " ".join(str(error).split()) or type(error).__name__
            is_news = not self._pause_s
            if is_news:
                self._pause_s, self._lost_at = FIRST_PAUSE_S, time.monotonic()
            self._next_at = time.monotonic() + self._pause_s * random.uniform(0.5, 1.0)
        if is_news:
            logger.error("the index cannot be reached, requests are refused until it can: %s", self._reason)

    def found(self) -> None:
        """Note that a connection was opened."""
        if not self._pause_s:
            return
        with self._lock:
            is_news, self._pause_s = bool(self._pause_s), 0.0
        if is_news:
            logger.warning("the index can be reached again, after %.1f s", time.monotonic() - self._lost_at)
