"""Addresses of the host names in config.ini, remembered for a while.

An entry may name its host. The name is looked up when that AE calls, in a thread of its own, so that a silent
name server delays that AE alone, and only the first time.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from medserver.config.addresses import IPAddress, plain_address

logger = logging.getLogger(__name__)

LIFETIME_S = 60.0
RETRY_AFTER_S = 10.0  # after a look-up that failed
WAIT_MAX_S = 5.0


def look_up(host: str) -> frozenset[IPAddress]:
    """Ask the operating system for the addresses of a host name.

    Raises
    ------
    OSError
        If the name cannot be resolved.
    """
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset(plain_address(str(answer[4][0])) for answer in answers)


@dataclass
class _Entry:
    """What is known of one host name."""

    addresses: frozenset[IPAddress] = frozenset()
    fresh_until: float = 0.0
    pending: bool = False
    answered: threading.Event = field(default_factory=threading.Event)


class HostResolver:
    """Looks host names up and remembers the answers; may be called from any thread.

    Parameters
    ----------
    lookup : callable
        Takes a host name, returns its addresses or raises OSError.
    clock : callable
        Monotonic time [s].
    """

    def __init__(
        self,
        lookup: Callable[[str], frozenset[IPAddress]] = look_up,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def addresses(self, host: str, *, wait: bool = True) -> frozenset[IPAddress]:
        """Return the addresses of a host name as last known.

        Parameters
        ----------
        host : str
            The host name.
        wait : bool
            Whether to wait (5 s at most) for the first answer. A stale answer is given at once while a new
            one is looked up.

        Returns
        -------
        frozenset of IPv4Address or IPv6Address
            Empty if the name is not resolved.
        """
        with self._lock:
            entry = self._entries.setdefault(host, _Entry())
            start = self._clock() >= entry.fresh_until and not entry.pending
            entry.pending = entry.pending or start
        if start:
            threading.Thread(target=self._refresh, args=(host, entry), name="resolver", daemon=True).start()
        if wait and not entry.answered.wait(WAIT_MAX_S):
            logger.warning("no answer of the name server for %s", host)
        return entry.addresses

    def _refresh(self, host: str, entry: _Entry) -> None:
        """Look one name up; a failure keeps what was known."""
        lifetime_s = LIFETIME_S
        try:
            entry.addresses = self._lookup(host)
        except (OSError, ValueError) as error:  # ValueError: a label that IDNA refuses
            lifetime_s = RETRY_AFTER_S
            logger.warning("host name %s cannot be resolved: %s", host, error)
        finally:
            with self._lock:
                entry.fresh_until = self._clock() + lifetime_s
                entry.pending = False
            entry.answered.set()
