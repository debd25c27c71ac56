"""Certificates and CRLs that expire soon are said in the log, once a day."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from medserver.config import Config
from medserver.log import Event, Whole
from medserver.tls.expiry import expiries, uses_tls
from medserver.tls.trust import utc_now

LOOK_EVERY_S = 86_400.0

logger = logging.getLogger(__name__)


class ExpiryWatch:
    """Looks at what expires.

    Parameters
    ----------
    clock : callable
        The monotonic time [s].
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._look_at = -math.inf

    def look(self, config: Config, *, now: bool = False) -> None:
        """Log what expires soon, if that was not looked for within a day; with `now` whenever that was."""
        if not uses_tls(config) or not now and self._clock() < self._look_at:
            return
        self._look_at = self._clock() + LOOK_EVERY_S
        moment = utc_now()
        for one in expiries(config):
            if one.is_due(moment, config.tls.expiry_warning):
                logger.warning(Event("tls", what=Whole(one.what), file=str(one.path), warning=one.in_words(moment)))
