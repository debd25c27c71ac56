"""What can be done by jobs: the table of kinds, and of what comes periodically.

A kind is a name, a function and its limits. The functions are operations, on the floors below.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from medserver.archive.payloads import (
    CompressionPayload,
    DecisionPayload,
    FilePayload,
    ReceiptPayload,
    RemovalPayload,
    RetirementPayload,
    StepPayload,
    StudyPayload,
)
from medserver.archive.follow_ups import COMPRESS, NOTE_DECISION, REMOVE, REPAIR, REPLICATE, RETIRE, ROUTE
from medserver.backups.schedule import BACKUP, back_up
from medserver.backups.schedule import SURVEY as BACKUP_SURVEY
from medserver.backups.schedule import SURVEY_INTERVAL_S as BACKUP_SURVEY_INTERVAL_S
from medserver.backups.schedule import survey as survey_backups
from medserver.commitment.check import COPIES_INTERVAL_S, check_commitments
from medserver.commitment.delivery import deliver_reports
from medserver.commitment.plan import CHECK, PRUNE, REPORT, CommitmentPayload
from medserver.commitment.retention import prune_commitments
from medserver.conditions.indexing import CONDITIONS, index_conditions
from medserver.conditions.indexing import INTERVAL_S as CONDITIONS_INTERVAL_S
from medserver.config import Config
from medserver.config.hours import ALWAYS
from medserver.delivery.confirming import LOOK_AGAIN_LONGEST_S as LOOK_FOR_REPORT_LONGEST_S
from medserver.delivery.confirming import SEND_AGAIN_S, SENDS_MAX, confirm
from medserver.delivery.deciding import DECIDE, decide
from medserver.delivery.deciding import INTERVAL_S as DECIDE_INTERVAL_S
from medserver.delivery.holding import LOOK_AGAIN_LONGEST_S, RELEASE, hold, release
from medserver.delivery.notifying import notify
from medserver.delivery.performed_steps import ROUTE_STEP, forward_steps, route_steps
from medserver.delivery.routing import route
from medserver.delivery.sending import deliver
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome
from medserver.index.jobs.payloads import NoPayload, Payload
from medserver.index.jobs.waits import Waits
from medserver.node import Node
from medserver.polling.schedule import POLL, POLL_SURVEY, PollPayload, poll
from medserver.polling.schedule import SURVEY_INTERVAL_S as POLL_SURVEY_INTERVAL_S
from medserver.polling.schedule import survey as survey_polls
from medserver.printing.following import FOLLOW, FOLLOW_SELDOM_S, follow_films
from medserver.printing.performing import LOOK_AGAIN_S, print_films
from medserver.printing.pruning import FILM_ORPHANS, FILM_PRUNE, OrphansPayload, prune_films, remove_orphans
from medserver.printing.pruning import INTERVAL_S as FILM_PRUNE_INTERVAL_S
from medserver.printing.printer_states import INTERVAL_S as PRINTERS_INTERVAL_S
from medserver.printing.printer_states import LOOK as LOOK_AT_PRINTERS
from medserver.printing.printer_states import look_at_printers
from medserver.printing.pulling.forgetting import FORGET, FetchedPayload, forget_fetched
from medserver.printing.pulling.forgetting import LOOK_LAST_S as FORGET_LONGEST_S
from medserver.printing.pulling.performing import print_workitems
from medserver.printing.pulling.requesting import PRINT_DISPLAY, DisplayPayload, print_displays, request_prints
from medserver.printing.queue import PRINT, FilmPayload
from medserver.processing.informing import INFORM, InformPayload, inform
from medserver.processing.performing import PROCESS_LARGE, process
from medserver.processing.requesting import request_processing
from medserver.procedures.workitem_events import tell
from medserver.retention.age import LOOK_EVERY_S as RETENTION_INTERVAL_S
from medserver.retention.orders import delete
from medserver.retention.walk import RETAIN, RETENTION, WalkPayload, retain, retention
from medserver.routing.deliveries import CONFIRM, DELIVER, FORWARD_STEP, HOLD, NOTIFY, REQUEST, REQUEST_PRINT, Delivery
from medserver.safekeeping.adoption import ADOPT, AdoptionPayload, adopt
from medserver.safekeeping.compression import compress, retire
from medserver.safekeeping.decisions import note_decisions
from medserver.safekeeping.deletion import DELETE, DeletionPayload, remove
from medserver.safekeeping.draining import DRAIN, drain
from medserver.safekeeping.repair import repair
from medserver.safekeeping.replication import replicate
from medserver.safekeeping.schedule import SEEK, SEEK_AGAIN_S, SURVEY, SURVEY_INTERVAL_S, VERIFY, seek, survey
from medserver.safekeeping.verification import verify
from medserver.workitems.follow_ups import (
    PRINT_WORKITEM,
    PROCESS,
    SCHEDULED_AGAIN_S,
    UPS_EVENT,
    EventPayload,
    PrintPayload,
    WorkitemPayload,
)
from medserver.workitems.pruning import INTERVAL_S as WORKITEM_PRUNE_INTERVAL_S
from medserver.workitems.pruning import PRUNE as WORKITEM_PRUNE
from medserver.workitems.pruning import prune as prune_workitems
from medserver.workitems.replacing import AGAIN as WORKITEM_AGAIN
from medserver.workitems.replacing import INTERVAL_S as WORKITEM_LOST_INTERVAL_S
from medserver.workitems.replacing import LOST as WORKITEM_LOST
from medserver.workitems.replacing import issue_again, replace_lost

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
    payload : type of Payload
        The record of what it is done to.
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
    is_for_volume : bool
        Whether the destination is a volume: the jobs are left to a node that has it, if there is one.
    is_for_remote : bool
        Whether the destination is a remote AE, which may be slow or silent: the jobs run in threads of their own, one
        for each destination, as many as `concurrency` says. See `medserver.work.slots`.
    own_threads : int
        How many threads each worker has for this kind alone, because it takes long; 0: those of the work of the node.
    """

    name: str
    function: Function
    payload: type[Payload] = NoPayload
    attempts_max: int = 10
    lease_s: float = 30.0
    concurrency: int = 4
    destination_concurrency: int = 2
    batch_max: int = 1
    backoff: Backoff = Backoff()
    first_wait_s: Callable[[Config], float] = lambda config: FIRST_WAIT_S
    is_for_volume: bool = False
    is_for_remote: bool = False
    own_threads: int = 0

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
    destination : str
        As in `NewJob`.
    """

    name: str
    kind: str
    interval_s: float
    destination: str = ""


DESTINATIONS_MAX = 64
"""So many remote AEs are sent to at a time by each kind of job, by all workers together; the rest in turn."""

POLLS_MAX = 16
"""So many sources are polled at a time."""

FIRST_WAIT_S = 5.0
"""What is to be done at once is tried so soon, also when a worker that is asked to end gives it back."""

_DAY_S = 24 * 3600.0


def _hours_s(config: Config) -> float:
    """Return how long it is at most until the hours of a rule begin, or something is sent again."""
    longest_s = SEND_AGAIN_S * 2.0**SENDS_MAX
    return longest_s if all(rule.hours == ALWAYS for rule in config.rules) else _DAY_S


def _quiet_s(config: Config) -> float:
    """Return how long something is held at most between two looks."""
    return max((rule.quiet_s for rule in config.rules), default=0.0) + LOOK_AGAIN_LONGEST_S


# A volume that is away is tried again for as long as it takes: only what has no good copy left ever is dead.
_ENDLESS = 1_000_000
_LEASE_S = 10.0
_EVERYWHERE = 10_000
"""As often as the threads of all workers allow."""

PROCESSORS = len(os.sched_getaffinity(0))
"""So many large work items are processed at a time by each worker, and so many processes compute for small ones."""

SMALL_ITEMS = 2 * PROCESSORS
"""So many small work items are processed at a time by each worker: what takes time is that the disk flushes."""

_PATIENT = Backoff(first_s=5.0, longest_s=120.0)

JOB_KINDS: tuple[JobKind, ...] = (
    JobKind(
        REPLICATE,
        replicate,
        FilePayload,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
        is_for_volume=True,
    ),
    JobKind(
        REPAIR,
        repair,
        FilePayload,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=16,
        backoff=_PATIENT,
        is_for_volume=True,
    ),
    JobKind(
        REMOVE,
        remove,
        RemovalPayload,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=8,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
        is_for_volume=True,
    ),
    JobKind(
        NOTE_DECISION,
        note_decisions,
        DecisionPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=1,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
    ),
    JobKind(
        ADOPT,
        adopt,
        AdoptionPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=1,
        destination_concurrency=1,
        batch_max=64,
        backoff=_PATIENT,
    ),
    JobKind(DELETE, delete, DeletionPayload, lease_s=_LEASE_S, concurrency=1, destination_concurrency=1),
    JobKind(
        DRAIN,
        drain,
        NoPayload,
        _ENDLESS,
        concurrency=2,
        destination_concurrency=1,
        backoff=_PATIENT,
        is_for_volume=True,
    ),
    JobKind(SURVEY, survey, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(
        SEEK,
        seek,
        NoPayload,
        concurrency=2,
        destination_concurrency=1,
        first_wait_s=lambda config: SEEK_AGAIN_S,
        is_for_volume=True,
    ),
    JobKind(
        VERIFY,
        verify,
        NoPayload,
        _ENDLESS,
        concurrency=1,
        destination_concurrency=1,
        backoff=_PATIENT,
        is_for_volume=True,
    ),
    # One batch at a time, so that the order of receipt is that of the deliveries.
    JobKind(ROUTE, route, ReceiptPayload, lease_s=15.0, concurrency=1, destination_concurrency=1, batch_max=64),
    JobKind(DECIDE, decide, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(
        HOLD,
        hold,
        Delivery,
        lease_s=15.0,
        concurrency=2,
        destination_concurrency=1,
        batch_max=128,
        first_wait_s=_quiet_s,
    ),
    JobKind(RELEASE, release, StudyPayload, lease_s=15.0, concurrency=1, destination_concurrency=1, batch_max=128),
    # One batch at a time for a destination, so that the order of receipt is that of delivery.
    JobKind(
        DELIVER,
        deliver,
        Delivery,
        attempts_max=20,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=128,
        backoff=Backoff(first_s=5.0, longest_s=1800.0),
        first_wait_s=_hours_s,
        is_for_remote=True,
    ),
    JobKind(ROUTE_STEP, route_steps, StepPayload, lease_s=15.0, concurrency=2, destination_concurrency=2, batch_max=64),
    JobKind(
        FORWARD_STEP,
        forward_steps,
        Delivery,
        attempts_max=20,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=64,
        backoff=Backoff(longest_s=1800.0),
        first_wait_s=_hours_s,
        is_for_remote=True,
    ),
    JobKind(
        NOTIFY,
        notify,
        Delivery,
        attempts_max=20,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=1000,
        backoff=Backoff(longest_s=1800.0),
        first_wait_s=_hours_s,
        is_for_remote=True,
    ),
    JobKind(
        CONFIRM,
        confirm,
        Delivery,
        attempts_max=_ENDLESS,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=1000,
        backoff=_PATIENT,
        first_wait_s=lambda config: LOOK_FOR_REPORT_LONGEST_S,
        is_for_remote=True,
    ),
    JobKind(
        COMPRESS,
        compress,
        CompressionPayload,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=2,
        destination_concurrency=2,
        batch_max=8,
        backoff=_PATIENT,
    ),
    # What waits for a volume that is away waits long, and there may be as many as there are images.
    JobKind(
        RETIRE,
        retire,
        RetirementPayload,
        attempts_max=_ENDLESS,
        lease_s=_LEASE_S,
        concurrency=2,
        destination_concurrency=2,
        batch_max=16,
    ),
    JobKind(
        CHECK,
        check_commitments,
        CommitmentPayload,
        lease_s=15.0,
        concurrency=2,
        destination_concurrency=1,
        first_wait_s=lambda config: COPIES_INTERVAL_S,
    ),
    # Half an hour apart in the end: a peer that is down gets its report for three days.
    JobKind(
        REPORT,
        deliver_reports,
        CommitmentPayload,
        attempts_max=160,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=16,
        backoff=Backoff(first_s=2.0, longest_s=1800.0),
        is_for_remote=True,
    ),
    # One batch at a time for a receiver, and what has no due time of its own, so that events come in their order.
    JobKind(
        UPS_EVENT,
        tell,
        EventPayload,
        attempts_max=20,
        lease_s=15.0,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=64,
        backoff=Backoff(first_s=2.0, longest_s=600.0),
        is_for_remote=True,
    ),
    JobKind(WORKITEM_PRUNE, prune_workitems, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(WORKITEM_LOST, replace_lost, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(WORKITEM_AGAIN, issue_again, WorkitemPayload, _ENDLESS, lease_s=_LEASE_S, batch_max=16, backoff=_PATIENT),
    JobKind(PRUNE, prune_commitments, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(CONDITIONS, index_conditions, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(POLL_SURVEY, survey_polls, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(POLL, poll, PollPayload, concurrency=POLLS_MAX, destination_concurrency=1, is_for_remote=True),
    JobKind(
        INFORM, inform, InformPayload, attempts_max=20, concurrency=16, destination_concurrency=1,
        backoff=Backoff(first_s=10.0, longest_s=3600.0), own_threads=4,
    ),  # fmt: skip
    # Whoever requests it twice gets the same work item.
    JobKind(
        REQUEST, request_processing, Delivery, lease_s=15.0, concurrency=2, destination_concurrency=2, batch_max=1000
    ),
    JobKind(
        PROCESS,
        process,
        WorkitemPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=_EVERYWHERE,
        destination_concurrency=_EVERYWHERE,
        backoff=_PATIENT,
        first_wait_s=lambda config: SCHEDULED_AGAIN_S,
        own_threads=SMALL_ITEMS,
    ),
    JobKind(
        PROCESS_LARGE,
        process,
        WorkitemPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=_EVERYWHERE,
        destination_concurrency=_EVERYWHERE,
        backoff=_PATIENT,
        first_wait_s=lambda config: SCHEDULED_AGAIN_S,
        own_threads=PROCESSORS,
    ),
    # It may wait for another AE from which images are fetched.
    JobKind(
        PRINT_WORKITEM,
        print_workitems,
        PrintPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=_EVERYWHERE,
        destination_concurrency=_EVERYWHERE,
        backoff=_PATIENT,
        first_wait_s=lambda config: SCHEDULED_AGAIN_S,
        own_threads=4,
    ),
    # Whoever requests it twice gets the same work item.
    JobKind(
        REQUEST_PRINT, request_prints, Delivery, lease_s=15.0, concurrency=2, destination_concurrency=2, batch_max=1000
    ),
    JobKind(PRINT_DISPLAY, print_displays, DisplayPayload, lease_s=_LEASE_S, batch_max=16),
    JobKind(
        FORGET,
        forget_fetched,
        FetchedPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        batch_max=200,
        backoff=_PATIENT,
        first_wait_s=lambda config: FORGET_LONGEST_S,
    ),
    # One film at a time for a printer, so that they come out in the order in which they were asked for.
    JobKind(
        PRINT,
        print_films,
        FilmPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        backoff=_PATIENT,
        first_wait_s=lambda config: LOOK_AGAIN_S,
        is_for_remote=True,
    ),
    JobKind(
        FOLLOW,
        follow_films,
        FilmPayload,
        _ENDLESS,
        lease_s=_LEASE_S,
        concurrency=DESTINATIONS_MAX,
        destination_concurrency=1,
        batch_max=100,
        backoff=_PATIENT,
        first_wait_s=lambda config: FOLLOW_SELDOM_S,
        is_for_remote=True,
    ),
    JobKind(FILM_PRUNE, prune_films, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(FILM_ORPHANS, remove_orphans, OrphansPayload, destination_concurrency=1, is_for_volume=True),
    JobKind(LOOK_AT_PRINTERS, look_at_printers, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(RETENTION, retention, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(RETAIN, retain, WalkPayload, _ENDLESS, concurrency=1, destination_concurrency=1, backoff=_PATIENT),
    JobKind(BACKUP_SURVEY, survey_backups, NoPayload, concurrency=1, destination_concurrency=1),
    JobKind(BACKUP, back_up, NoPayload, _ENDLESS, concurrency=1, destination_concurrency=1, backoff=_PATIENT),
)
"""Every kind."""

PERIODIC: tuple[Periodic, ...] = (
    Periodic(SURVEY, SURVEY, SURVEY_INTERVAL_S),
    Periodic(PRUNE, PRUNE, 24 * 3600.0),
    Periodic(WORKITEM_PRUNE, WORKITEM_PRUNE, WORKITEM_PRUNE_INTERVAL_S),
    Periodic(WORKITEM_LOST, WORKITEM_LOST, WORKITEM_LOST_INTERVAL_S),
    Periodic(CONDITIONS, CONDITIONS, CONDITIONS_INTERVAL_S),
    Periodic(DECIDE, DECIDE, DECIDE_INTERVAL_S),
    Periodic(FILM_PRUNE, FILM_PRUNE, FILM_PRUNE_INTERVAL_S),
    Periodic(POLL_SURVEY, POLL_SURVEY, POLL_SURVEY_INTERVAL_S),
    Periodic(RETENTION, RETENTION, RETENTION_INTERVAL_S),
    Periodic(LOOK_AT_PRINTERS, LOOK_AT_PRINTERS, PRINTERS_INTERVAL_S),
    Periodic(BACKUP_SURVEY, BACKUP_SURVEY, BACKUP_SURVEY_INTERVAL_S),
)
"""What comes periodically."""
