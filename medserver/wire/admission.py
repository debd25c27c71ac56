"""How many connections and associations there may be, in all and for each peer.

A connection whose A-ASSOCIATE request is not here or not answered yet is *waiting*. Waiting connections never take
the place of others: when too many wait, the oldest one of the busiest address is closed. A real peer sends its
request in the first milliseconds, so silent connections cost it nothing.

Established associations belong to a configured AE: title and address were checked before. Each such pair has a few
reserved places, so that neither others at its address, nor others under its title, nor all others together keep it
out. They come on top of the limits; the roster has room for them (`AdmissionLimits.rows`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

from medserver.config import LimitOptions
from medserver.log import Event
from medserver.wire.accepted_association import AssociationState
from medserver.wire.roster import Roster, RosterPlace, checksum
from medserver.wire.throttle import Throttle

RESERVED_ROWS = 256
"""How many associations can be in reserved places, beyond `AdmissionLimits.associations_max`."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdmissionLimits:
    """The numbers that are not exceeded.

    Attributes
    ----------
    associations_max : int
        Established associations in all.
    associations_per_ae_max : int
        Established associations of one calling AE title.
    associations_per_address_max : int
        Established associations from one address.
    associations_per_minute_per_address_max : int
        Associations from one address that are accepted within a minute; 0 is without limit.
    reserved_per_ae : int
        Associations of one AE title from one address that are accepted whatever the others have; also those that
        are accepted within a minute whatever the others did in it.
    waiting_max : int
        Connections that have not sent an A-ASSOCIATE request.
    """

    associations_max: int = 500
    associations_per_ae_max: int = 100
    associations_per_address_max: int = 200
    associations_per_minute_per_address_max: int = 0
    reserved_per_ae: int = 4
    waiting_max: int = 64

    @classmethod
    def from_options(cls, options: LimitOptions) -> AdmissionLimits:
        """Return the limits that the configuration sets."""
        return cls(
            associations_max=options.associations_max,
            associations_per_ae_max=options.associations_per_ae_max,
            associations_per_address_max=options.associations_per_address_max,
            associations_per_minute_per_address_max=options.associations_per_minute_per_address_max,
            waiting_max=options.waiting_max,
        )

    @property
    def rows(self) -> int:
        """How many associations a process may come to have."""
        return self.associations_max + RESERVED_ROWS


class Admission:
    """Counts connections and associations; every method may be called from any thread.

    Parameters
    ----------
    limits : AdmissionLimits
        The numbers.
    place : RosterPlace, optional
        Where this process shares its counts with the others of the node; by default it is alone.
    """

    def __init__(self, limits: AdmissionLimits, place: RosterPlace | None = None) -> None:
        self._limits = limits
        self._place = place or Roster(1, limits.rows).place(0)
        self._changed = threading.Condition()
        self._waiting: dict[object, str] = {}  # in order of arrival
        self._established: dict[object, tuple[str, str]] = {}
        self._throttle = Throttle()

    def add(self, connection, address: str) -> None:
        """Let a new connection wait for its request, at the cost of the oldest if too many wait."""
        with self._changed:
            if len(self._waiting) >= self._limits.waiting_max:
                busiest = Counter(self._waiting.values()).most_common(1)[0][0]
                oldest = next(other for other, source in self._waiting.items() if source == busiest)
                del self._waiting[oldest]
                oldest.interrupt()
                self._log_once(busiest, Event("limit", what="silent connections", address=busiest))
            self._waiting[connection] = address
            self._count()

    def locate(self, connection, address: str) -> None:
        """Count a waiting connection for another address: that for which a balancer has opened it."""
        with self._changed:
            if connection in self._waiting:
                self._waiting[connection] = address

    def begin(self, connection, association) -> bool:
        """Let an association wait in the place of its connection; False if that had to make room."""
        with self._changed:
            address = self._waiting.pop(connection, None)
            if address is None:
                return False
            self._waiting[association] = address
            return True

    def establish(self, association, ae_title: str) -> bool:
        """Count an association as established; False when a limit is reached."""
        with self._changed:
            address = self._waiting.get(association)
            if address is None:
                return False
            reached = self._limit_reached(ae_title, address)
            if reached is None and not self._place.add(association, ae_title, address):
                reached = "associations"
            if reached is not None:
                event = Event("limit", what=reached, calling=ae_title, address=address)
                self._log_once((ae_title, reached), event)
                return False
            del self._waiting[association]
            self._established[association] = (ae_title, address)
            return True

    def _limit_reached(self, ae_title: str, address: str) -> str | None:
        """Return which limit keeps an association out, None if none does."""
        pair = (checksum(ae_title), checksum(address))
        if self._is_too_frequent(pair):
            return "associations a minute"
        return "associations" if self._is_full(pair) else None

    def _is_too_frequent(self, pair: tuple[int, int]) -> bool:
        """Tell whether too many associations began in this minute, counting those of all processes."""
        count_max = self._limits.associations_per_minute_per_address_max
        if count_max == 0:
            return False
        begun = [(title, count) for title, source, count in self._place.minute_counts.begun() if source == pair[1]]
        if sum(count for title, count in begun if title == pair[0]) < self._limits.reserved_per_ae:
            return False
        return sum(count for _, count in begun) >= count_max

    def _is_full(self, pair: tuple[int, int]) -> bool:
        """Tell whether there is no room, counting the associations of all processes.

        Two processes that look at the same moment may both find the last place: the limit is exceeded by one.
        """
        here, limits = self._place.established(), self._limits
        if here.count(pair) < limits.reserved_per_ae:
            return False
        return (
            len(here) >= limits.associations_max
            or sum(title == pair[0] for title, _ in here) >= limits.associations_per_ae_max
            or sum(source == pair[1] for _, source in here) >= limits.associations_per_address_max
        )

    def hesitation_s(self) -> float:
        """Return how long to leave a new connection to other processes that serve fewer."""
        with self._changed:
            return self._place.hesitation_s()

    def remove(self, association) -> None:
        """Forget a connection or an association that has ended."""
        with self._changed:
            self._waiting.pop(association, None)
            self._established.pop(association, None)
            self._place.remove(association)
            self._count()
            self._changed.notify_all()

    def _count(self) -> None:
        self._place.set_connections(len(self._waiting) + len(self._established))

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many connections wait and how many associations are established."""
        with self._changed:
            return len(self._waiting), len(self._established)

    def interrupt_idle(self) -> None:
        """End those that are doing nothing."""
        with self._changed:
            idle = [*self._waiting, *(one for one in self._established if one.state is AssociationState.IDLE)]
        for association in idle:
            association.interrupt()

    def interrupt_all(self) -> None:
        """End everything."""
        with self._changed:
            everyone = [*self._waiting, *self._established]
        for association in everyone:
            association.interrupt(force=True)

    def wait_until_empty(self, deadline: float) -> bool:
        """Wait until there are none or the (monotonic) deadline has passed."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._established and not self._waiting, deadline - time.monotonic()
            )

    def _log_once(self, key: Hashable, event: Event) -> None:
        """Log what a limit did, once a minute for each reason."""
        if self._throttle.allows(key):
            logger.warning(event)
