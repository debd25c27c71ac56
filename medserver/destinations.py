"""Sessions with the AEs of the configuration, and what all who send to one know of it: whether it is down.

Who finds that a destination cannot be reached has it paused as a whole, in the index: no job of `SENDING_KINDS` is
claimed for it until then, longer each time. Afterwards one queue tries for all. Who sends at the wish of somebody that
waits (C-MOVE) tries all the same, and whoever gets an answer ends the pause.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from medserver.config import Config, Remote
from medserver.errors import IndexFailure, MedserverError, NoContextAccepted
from medserver.index import Job, Lane
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.routing.deliveries import DELIVER, SENDING_KINDS
from medserver.scu.sender import StorageSender
from medserver.scu.session import Session, Standing
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.pace import BYTES_PER_MB
from medserver.wire.requestor import Address, Proposal

PAUSE_FIRST_S, PAUSE_LONGEST_S = 1.0, 300.0
"""How long a destination is left alone after the first failure, and at most."""

PAUSE_MAX_S = PAUSE_LONGEST_S * 1.2
"""The longest pause, with what is added by chance."""

MAKE_ROOM = "make_room"
"""What the message to a worker is called that makes it call `make_room`; there are no jobs of that kind."""

GIVE_UP_AFTER = timedelta(days=14)
"""What could not be sent for so long is dead: it waits for an administrator."""

logger = logging.getLogger(__name__)


def session_with(
    node: Node, remote: Remote, proposals: Sequence[Proposal], *, standing: Standing | None = None
) -> Session:
    """Return a session with an entry of the configuration, which has an address with a port.

    Parameters
    ----------
    proposals, standing
        As for `Session`.
    """
    config = node.config.current
    limits = WireLimits.from_options(config.limits)
    standing = standing or standing_of(node, remote)
    return Session(Address.of(remote), proposals, config.node.ae_title, limits, standing, idle=node.idle)


def sender_to(
    node: Node,
    remote: Remote,
    kinds: Iterable[tuple[str, str]],
    preferred: Sequence[str],
    *,
    standing: Standing | None = None,
    move_originator: tuple[str, int] | None = None,
    listens_within_s: float = 0.0,
    should_stop: Callable[[], bool] | None = None,
) -> StorageSender:
    """Return what sends instances to an entry of the configuration; the parameters are those of `StorageSender`.

    Parameters
    ----------
    should_stop : callable, optional
        That of a batch of what the rules send: for it, and for no other, the limits of the entry hold.
    """
    config = node.config.current
    sender = partial(
        StorageSender,
        Address.of(remote),
        kinds,
        config.node.ae_title,
        WireLimits.from_options(config.limits),
        node.transcoder,
        move_originator,
        preferred,
        standing or standing_of(node, remote),
        listens_within_s,
        idle=node.idle,
    )
    if should_stop is None:
        _ask_for_room(node, remote)
        return sender()
    return sender(
        pace=node.paces.of(remote.name, remote.send_rate_max_mb_per_s * BYTES_PER_MB),
        should_stop=should_stop,
        keeps_while=partial(_is_current, node, remote, config),
    )


def make_room(node: Node, name: str) -> None:
    """Release the associations of this process with an entry of the configuration that stay open between batches."""
    remote = node.config.current.remote_by_name(name)
    if remote is not None and remote.is_destination:
        node.idle.make_room(Address.of(remote))


def _ask_for_room(node: Node, remote: Remote) -> None:
    """Have the worker make room for an association of another process, if it may have one open."""
    if any(remote.name in rule.to for rule in node.config.current.routes):
        node.queue.wake([Lane(MAKE_ROOM, remote.name)])


def _is_current(node: Node, remote: Remote, opened_by: Config) -> bool:
    """Tell whether an association with an entry of the configuration would be opened in the same way now."""
    now = node.config.current
    return (now.remote_by_name(remote.name), now.node.ae_title, now.limits) == (
        remote,
        opened_by.node.ae_title,
        opened_by.limits,
    )


def standing_of(
    node: Node, remote: Remote, *, unless_paused: bool = False, is_reached_by_any_answer: bool = True
) -> Standing:
    """Return what is known of a destination; what comes of it is told to all who send to it.

    Parameters
    ----------
    unless_paused : bool
        Whether nothing is sent while the destination is paused. Who has claimed one of its jobs need not ask.
    is_reached_by_any_answer
        As for `Standing`.
    """
    lanes = [Lane(kind, remote.name) for kind in SENDING_KINDS]

    def reached() -> None:
        try:
            node.index.jobs.reached(lanes)
        except IndexFailure as error:  # it is tried again when the pause is over
            logger.warning(Event("pause not ended", destination=remote.name, reason=Whole(str(error))))

    def given_up(reason: str) -> None:
        try:
            until = node.index.jobs.leave_alone(lanes, reason, lambda failures: _pause_until(node, failures))
        except IndexFailure as error:  # the next one finds out again
            logger.warning(Event("not paused", destination=remote.name, reason=Whole(str(error))))
            return
        if until is not None:
            logger.warning(
                Event("not reached", destination=remote.name, paused_until=f"{until:%H:%M:%S}", reason=Whole(reason))
            )

    reason = _pause_reason(node, remote) if unless_paused else ""
    return Standing(reason, reached, given_up, is_reached_by_any_answer)


def destination_of(node: Node, batch: Batch) -> Remote | None:
    """Return the AE that the jobs of a batch are for; None if nothing can be sent to it (see `no_destination`)."""
    remote = node.config.current.remote_by_name(batch.destination)
    return remote if remote is not None and remote.is_destination else None


def no_destination(batch: Batch) -> Iterator[Outcome]:
    """Yield that nothing can be sent: the entry is gone, or has no address with a port."""
    problem = f"no entry [ae {batch.destination}] with an address and a port"
    return (failed(job, problem) for job in batch)


def exchanged(
    node: Node,
    session: Session,
    jobs: Iterable[Job],
    exchange: Callable[[Association], str],
    after: timedelta = GIVE_UP_AFTER,
    *,
    refusal_is_lasting: bool = True,
) -> Iterator[Outcome]:
    """Perform an exchange for some jobs, and yield what becomes of them.

    Parameters
    ----------
    exchange : callable
        Performs it, and returns why the remote AE refused; empty if it did not.
    after : timedelta
        As for `given_up`.
    refusal_is_lasting : bool
        Whether nothing is tried again when the remote AE accepts no presentation context.
    """
    try:
        problem = session.perform(exchange)
    except MedserverError as error:
        if session.is_paused:
            yield from given_up(node, session.standing, jobs, after)
            return
        is_final = refusal_is_lasting and isinstance(error, NoContextAccepted)
        yield from (failed(job, str(error), final=is_final) for job in jobs)
        return
    yield from (failed(job, problem) if problem else done(job) for job in jobs)


def given_up(
    node: Node, standing: Standing, jobs: Iterable[Job], after: timedelta = GIVE_UP_AFTER
) -> Iterator[Outcome]:
    """Yield the jobs of a destination that is paused which have waited for too long: they are dead."""
    for job in jobs:
        if node.clock() - job.created_at > after:
            yield failed(job, standing.reason, final=True)


def _pause_reason(node: Node, remote: Remote) -> str:
    """Return why a destination is paused now, empty if it is not."""
    now = node.clock()
    for state in node.index.jobs.lanes(DELIVER):
        if state.lane.destination == remote.name and state.paused_until is not None and state.paused_until > now:
            return state.pause_reason
    return ""


def _pause_until(node: Node, failures: int) -> datetime:
    pause_s = min(PAUSE_FIRST_S * 2 ** min(failures - 1, 32), PAUSE_LONGEST_S)
    return node.clock() + timedelta(seconds=pause_s * random.uniform(0.8, 1.2))
