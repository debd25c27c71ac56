"""What can be done by jobs: the table of kinds, and of what comes periodically.

A kind is a name, a function and its limits. The functions are operations, on the floors below.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medserver.archive.follow_ups import COMPRESS, REMOVE, REPAIR, REPLICATE, ROUTE
from medserver.backups.schedule import BACKUP, back_up
from medserver.backups.schedule import SURVEY as BACKUP_SURVEY
from medserver.backups.schedule import SURVEY_INTERVAL_S as BACKUP_SURVEY_INTERVAL_S
from medserver.backups.schedule import survey as survey_backups
from medserver.commitment.check import COPIES_INTERVAL_S, check_commitments
from medserver.commitment.delivery import deliver_reports
from medserver.commitment.plan import CHECK, PRUNE, REPORT
from medserver.commitment.retention import prune_commitments
from medserver.conditions.indexing import CONDITIONS, index_conditions
from medserver.conditions.indexing import INTERVAL_S as CONDITIONS_INTERVAL_S
from medserver.config import Config
from medserver.config.hours import ALWAYS
from medserver.delivery.confirming import LOOK_AGAIN_LONGEST_S as LOOK_FOR_REPORT_LONGEST_S
from medserver.delivery.confirming import SEND_AGAIN_S, SENDS_MAX, confirm
from medserver.delivery.holding import LOOK_AGAIN_LONGEST_S, RELEASE, hold, release
from medserver.delivery.notifying import notify
from medserver.delivery.performed_steps import ROUTE_STEP, forward_steps, route_steps
from medserver.delivery.resting import REST_LONGEST_S
from medserver.delivery.routing import route
from medserver.delivery.sending import deliver
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome
from medserver.index.jobs.waits import Waits
from medserver.node import Node
from medserver.polling.schedule import POLL, POLL_SURVEY, poll
from medserver.polling.schedule import SURVEY_INTERVAL_S as POLL_SURVEY_INTERVAL_S
from medserver.polling.schedule import survey as survey_polls
from medserver.routing.outbox import CONFIRM, DELIVER, FORWARD_STEP, HOLD, NOTIFY
from medserver.safekeeping.compression import compress
from medserver.safekeeping.deletion import DELETE, delete, remove
from medserver.safekeeping.draining import DRAIN, drain
from medserver.safekeeping.repair import repair
from medserver.safekeeping.replication import replicate
from medserver.safekeeping.schedule import SEEK, SEEK_AGAIN_S, SURVEY, SURVEY_INTERVAL_S, VERIFY, seek, survey
from medserver.safekeeping.verification import verify

Function = Callable[[Node, Batch], Iterable[Outcome] | None]
"""Does the jobs of a batch, which are of one kind and destination.

It returns None when all are done, or returns or yields an `Outcome` for each; those for which it has none were not
tried, and wait again. What it raises fails all without an outcome. A job may come a second time. A function that
takes long looks at `Batch.should_stop` now and then.
"""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job waits after a failure: longer each time.

    Parameters
    ----------
    first_s, longest_s : float
        After the first failure, and at most [s].
    factor : float
        From one failure to the next.
    jitter : float
        By which part the time may be longer or shorter, at random, so that what failed together does not come back
        together.
    """

    first_s: float = 5.0
    longest_s: float = 3600.0
    factor: float = 2.0
    jitter: float = 0.2

    def delay_s(self, attempts: int, chance: random.Random) -> float:
        """Return the time after so many attempts [s]."""
        exponent = min(attempts - 1, 64)  # beyond, the longest time is reached with any factor worth the name
        delay = min(self.first_s * self.factor**exponent, self.longest_s)
        return delay * chance.uniform(1 - self.jitter, 1 + self.jitter)

    @property
    def delay_max_s(self) -> float:
        """The longest that there is [s]."""
        return self.longest_s * (1 + self.jitter)


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job.

    Parameters
    ----------
    name : str
        Its name; it stands in the rows and never changes.
    function : callable
        See `Function`.
    attempts_max : int
        After how many failures a job is dead.
    lease_s : float
        After which time the jobs of a worker that has died are offered to others [s]. Work may take longer: the
        lease is extended while the worker lives.
    concurrency, destination_concurrency : int
        How many batches may run at a time, by all workers together: in all, and for one destination.
    batch_max : int
        How many jobs a batch may have.
    backoff : Backoff
        How long a job waits after a failure.
    first_wait_s : callable
        Takes the configuration and returns how long a job may wait at most before it is tried [s], see `Waits`.
    """

    name: str
    function: Function
    attempts_max: int = 10
    lease_s: float = 30.0
    concurrency: int = 4
    destination_concurrency: int = 2
    batch_max: int = 1
    backoff: Backoff = Backoff()
    first_wait_s: Callable[[Config], float] = lambda config: FIRST_WAIT_S

    def waits(self, config: Config) -> Waits:
        """Return the longest waits; a function may also say itself when a job is to be tried again."""
        first_s = self.first_wait_s(config)
        return Waits(first_s, max(first_s, self.backoff.delay_max_s), self.lease_s)


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job that is added again and again, by one worker of all, and never while the last one is not done.

    Parameters
    ----------
    name : str
        Its name; it stands in the rows.
    kind : str
        The kind of the job.
    interval_s : float
        From one time to the next [s].
    payload, destination : Mapping, str
        As in `NewJob`.
    """

    name: str
    kind: str
    interval_s: float
    payload: Mapping[str, Any] = field(default_factory=dict)
    destination: str = ""


FIRST_WAIT_S = 5.0
"""What is to be done at once is tried so soon, also when a worker that is asked to end gives it back."""

REST_MAX_S = REST_LONGEST_S * 1.2
"""How long a destination is left alone at most."""

_DAY_S = 24 * 3600.0


def _hours_s(config: Config) -> float:
    """Return how long it is at most until the hours of a rule begin, or something is sent again."""
    longest_s = SEND_AGAIN_S * 2.0**SENDS_MAX
    return longest_s if all(rule.hours == ALWAYS for rule in config.routes) else _DAY_S


def _quiet_s(config: Config) -> float:
    """Return how long something is held at most between two looks."""
    return max((rule.quiet_s for rule in config.routes), default=0.0) + LOOK_AGAIN_LONGEST_S


# A volume that is away is tried again for as long as it takes: only what has no good copy left ever is dead.
_ENDLESS = 1_000_000
_LEASE_S = 10.0
_PATIENT = Backoff(first_s=5.0, longest_s=120.0)

JOB_KINDS: tuple[JobKind, ...] = (
    JobKind(
        REPLICATE,
        replicate,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
    ),
    JobKind(
        REPAIR,
        repair,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=16,
        backoff=_PATIENT,
    ),
    JobKind(
        REMOVE,
        remove,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
    ),
    JobKind(DELETE, delete, lease_s=_LEASE_S, concurrency=1, destination_concurrency=1),
    JobKind(DRAIN, drain, _ENDLESS, concurrency=2, destination_concurrency=1, backoff=_PATIENT),
    JobKind(SURVEY, survey, concurrency=1, destination_concurrency=1),
    JobKind(SEEK, seek, concurrency=2, destination_concurrency=1, first_wait_s=lambda config: SEEK_AGAIN_S),
    JobKind(VERIFY, verify, _ENDLESS, concurrency=1, destination_concurrency=1, backoff=_PATIENT),
    JobKind(ROUTE, route, lease_s=15.0, concurrency=2, destination_concurrency=2, batch_max=64),
    JobKind(HOLD, hold, lease_s=15.0, concurrency=2, destination_concurrency=1, batch_max=128, first_wait_s=_quiet_s),
    JobKind(RELEASE, release, lease_s=15.0, concurrency=1, destination_concurrency=1, batch_max=128),
    # One batch at a time for a destination, so that the order of receipt is that of delivery.
    JobKind(
        DELIVER,
        deliver,
        attempts_max=20,
        lease_s=15.0,
        concurrency=32,
        destination_concurrency=1,
        batch_max=128,
        backoff=Backoff(first_s=5.0, longest_s=1800.0),
        first_wait_s=_hours_s,
    ),
    JobKind(ROUTE_STEP, route_steps, lease_s=15.0, concurrency=2, destination_concurrency=2, batch_max=64),
    JobKind(
        FORWARD_STEP,
        forward_steps,
        attempts_max=20,
        lease_s=15.0,
        concurrency=8,
        destination_concurrency=1,
        batch_max=64,
        backoff=Backoff(longest_s=1800.0),
        first_wait_s=_hours_s,
    ),
    JobKind(
        NOTIFY,
        notify,
        attempts_max=20,
        lease_s=15.0,
        concurrency=8,
        destination_concurrency=1,
        batch_max=1000,
        backoff=Backoff(longest_s=1800.0),
        first_wait_s=_hours_s,
    ),
    JobKind(
        CONFIRM,
        confirm,
        attempts_max=_ENDLESS,
        lease_s=15.0,
        concurrency=8,
        destination_concurrency=1,
        batch_max=1000,
        backoff=_PATIENT,
        first_wait_s=lambda config: LOOK_FOR_REPORT_LONGEST_S,
    ),
    JobKind(
        COMPRESS,
        compress,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=2,
        destination_concurrency=2,
        batch_max=8,
        backoff=_PATIENT,
    ),
    JobKind("retire", lambda node, batch: None),  # it removed originals; jobs of earlier versions end here
    JobKind(
        CHECK,
        check_commitments,
        lease_s=15.0,
        concurrency=2,
        destination_concurrency=1,
        first_wait_s=lambda config: COPIES_INTERVAL_S,
    ),
    # Half an hour apart in the end: a peer that is down gets its report for three days.
    JobKind(
        REPORT,
        deliver_reports,
        attempts_max=160,
        lease_s=15.0,
        concurrency=8,
        destination_concurrency=1,
        batch_max=16,
        backoff=Backoff(first_s=2.0, longest_s=1800.0),
    ),
    JobKind(PRUNE, prune_commitments, concurrency=1, destination_concurrency=1),
    JobKind(CONDITIONS, index_conditions, concurrency=1, destination_concurrency=1),
    JobKind(POLL_SURVEY, survey_polls, concurrency=1, destination_concurrency=1),
    JobKind(POLL, poll, concurrency=2, destination_concurrency=1),
    JobKind(BACKUP_SURVEY, survey_backups, concurrency=1, destination_concurrency=1),
    JobKind(BACKUP, back_up, _ENDLESS, concurrency=1, destination_concurrency=1, backoff=_PATIENT),
)
"""Every kind."""

PERIODIC: tuple[Periodic, ...] = (
    Periodic(SURVEY, SURVEY, SURVEY_INTERVAL_S),
    Periodic(PRUNE, PRUNE, 24 * 3600.0),
    Periodic(CONDITIONS, CONDITIONS, CONDITIONS_INTERVAL_S),
    Periodic(POLL_SURVEY, POLL_SURVEY, POLL_SURVEY_INTERVAL_S),
    Periodic(BACKUP_SURVEY, BACKUP_SURVEY, BACKUP_SURVEY_INTERVAL_S),
)
"""What comes periodically."""
