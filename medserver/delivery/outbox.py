"""The outbox as it is shown: deliveries with what they wait for, one by one and in sum."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from medserver.config import Config
from medserver.delivery.waiting import Wait, WaitsFor, wait_of
from medserver.index import Job, JobFilter, Lane, LaneState
from medserver.index.jobs.records import JobGroup
from medserver.node import Node
from medserver.routing.deliveries import (
    ALIKE_KEYS,
    CONFIRM,
    OUTBOX_KINDS,
    ROUTED_KINDS,
    SENDING_KINDS,
    Delivery,
    delivery_alike,
    is_undecided,
    present_rule,
)

PAUSABLE_KINDS = tuple(dict.fromkeys((*SENDING_KINDS, *OUTBOX_KINDS)))
THIS_NODE = ""
"""The destination of what is processed here by a rule."""

_ORDER = {what: number for number, what in enumerate(WaitsFor)}


class RuleIs(Enum):
    """What became of the rule by which something was decided; the value is for machines."""

    PRESENT = "present"
    FORMER = "former version"
    """The rule of its name says something else now."""
    RENAMED = "renamed"
    LOST = "lost"
    NONE = "none"
    """An administrator wants it without a rule."""


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery.

    Parameters
    ----------
    job, delivery
        As they stand in the index.
    wait : Wait
        What it waits for.
    rule_is : RuleIs
        What became of its rule.
    rule_name : str
        What its rule is called now; empty if it has none.
    last_answer : str
        Why the last attempt failed, or the destination is left alone; empty if neither is so.
    """

    job: Job
    delivery: Delivery
    wait: Wait
    rule_is: RuleIs
    rule_name: str
    last_answer: str


@dataclass(frozen=True, slots=True)
class OutboxFilter:
    """Which deliveries are meant; None stands for any.

    Parameters
    ----------
    destination : str or None
        The entry of the AE.
    rule : str or None
        The name that the rule had when it was decided.
    waits_for : WaitsFor or None
        What they wait for.
    sop_instance_uid : str or None
        Of what.
    """

    destination: str | None = None
    rule: str | None = None
    waits_for: WaitsFor | None = None
    sop_instance_uid: str | None = None

    def __bool__(self) -> bool:
        return self != OutboxFilter()

    def may_mean(self, job: Job) -> bool:
        """Tell whether a delivery is meant by what stands in its row, whatever it waits for."""
        return (
            self.destination in (None, job.destination)
            and self.rule in (None, job.payload.get("route"))
            and self.sop_instance_uid in (None, job.payload.get("sop_instance_uid"))
        )

    def means(self, row: Row) -> bool:
        """Tell whether a delivery is meant."""
        return self.waits_for in (None, row.wait.what) and self.may_mean(row.job)


@dataclass(frozen=True, slots=True)
class Part:
    """Those deliveries for a destination that wait for the same.

    Parameters
    ----------
    what : WaitsFor
        What they wait for.
    count : int
        How many.
    oldest_at : datetime
        When the oldest of them was wanted first.
    next_try_at : datetime or None
        When the next of them is tried, as in `Wait`.
    last_answer : str
        Why the last attempt failed; empty if none did.
    """

    what: WaitsFor
    count: int
    oldest_at: datetime
    next_try_at: datetime | None
    last_answer: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one destination.

    Parameters
    ----------
    destination : str
        The entry.
    parts : tuple of Part
        By what they wait for.
    count, unconfirmed, given_up : int
        How many wait or are being sent, are there but not yet committed to, and were refused for good or given up.
    undecided : Mapping of str to int
        How many have lost their rule, by the name that it had.
    has_entry : bool
        Whether config.ini has an entry of the destination, with an address and a port; this node needs none.
    """

    destination: str
    parts: tuple[Part, ...]
    count: int
    unconfirmed: int
    given_up: int
    undecided: Mapping[str, int]
    has_entry: bool

    @property
    def oldest_at(self) -> datetime:
        """When the oldest was wanted first."""
        return min(part.oldest_at for part in self.parts)

    @property
    def next_try_at(self) -> datetime | None:
        """When the next is tried; None if it is being done, or nobody knows."""
        return min((part.next_try_at for part in self.parts if part.next_try_at), default=None)

    @property
    def reason(self) -> str:
        """Why the last attempt failed; empty if none did."""
        return next((part.last_answer for part in self.parts if part.last_answer), "")

    @property
    def needs_decision(self) -> bool:
        """Whether an administrator is wanted."""
        return any(part.what is WaitsFor.DECISION for part in self.parts)


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is sent.

    Parameters
    ----------
    kinds : tuple of str
        Of which kinds.
    destination : str or None
        To whom; None for all: an administrator has paused the kind.
    until : datetime or None
        Until when; None if an administrator has to end it.
    reason : str
        What the destination answered; empty if it was an administrator.
    """

    kinds: tuple[str, ...]
    destination: str | None
    until: datetime | None = None
    reason: str = ""


def rows(node: Node, chosen: OutboxFilter | None = None) -> Iterator[Row]:
    """Yield deliveries, the first that was wanted first."""
    look, chosen = _Look(node), chosen or OutboxFilter()
    kinds = (node.index.jobs.list(JobFilter(kind, chosen.destination)) for kind in OUTBOX_KINDS)
    for job in heapq.merge(*kinds, key=lambda job: job.id):
        if chosen.may_mean(job) and chosen.means(row := look.row(job)):
            yield row


def row_of(node: Node, job: Job) -> Row:
    """Return a job of `OUTBOX_KINDS` as a delivery."""
    return _Look(node).row(job)


def summary(node: Node) -> list[Waiting]:
    """Return what waits, by destination."""
    look = _Look(node)
    by_destination: dict[str, list[JobGroup]] = {}
    for group in node.index.jobs.groups(ALIKE_KEYS, OUTBOX_KINDS):
        by_destination.setdefault(group.destination, []).append(group)
    return [look.waiting(destination, groups) for destination, groups in sorted(by_destination.items())]


def groups_by_rule(node: Node, rule: str, destination: str | None = None) -> Iterator[tuple[JobGroup, Delivery]]:
    """Yield what does not run and was wanted by the rule of a name, with what is known of each rule."""
    for group in node.index.jobs.groups(ALIKE_KEYS, ROUTED_KINDS):
        delivery = delivery_alike(group.kind, group.values)
        if delivery.route == rule and group.state != "running" and destination in (None, group.destination):
            yield group, delivery


def pauses(node: Node) -> list[Pause]:
    """Return what is paused, and why: first the kinds, then the destinations."""
    lanes, now = [state for state in node.index.jobs.lanes() if state.lane.kind in PAUSABLE_KINDS], node.clock()
    kinds = sorted({state.lane.kind for state in lanes if state.is_kind_paused})
    found = [Pause((kind,), None) for kind in kinds]
    for destination in sorted({state.lane.destination for state in lanes}):
        of_it = [state for state in lanes if state.lane.destination == destination]
        if by_administrator := tuple(state.lane.kind for state in of_it if state.is_lane_paused):
            found.append(Pause(by_administrator, destination))
        found += _own_pauses(destination, of_it, now)
    return found


def _own_pauses(destination: str, lanes: Iterable[LaneState], now: datetime) -> list[Pause]:
    """Return the pause of a destination that cannot be reached; the last end of it counts."""
    paused = [(state.paused_until, state) for state in lanes if state.paused_until and state.paused_until > now]
    if not paused:
        return []
    until, last = max(paused, key=lambda each: each[0])
    return [Pause(tuple(state.lane.kind for _, state in paused), destination, until, last.pause_reason)]


class _Look:
    """One look at the outbox: by one configuration, at one moment.

    Parameters
    ----------
    node : Node
        Whose index.
    """

    def __init__(self, node: Node) -> None:
        self._config, self._now = node.config.current, node.clock()
        self._lanes = {state.lane: state for state in node.index.jobs.lanes() if state.lane.kind in OUTBOX_KINDS}

    def row(self, job: Job) -> Row:
        """Return a job as a delivery."""
        delivery = Delivery.of(job)
        lane = self._lanes.get(job.lane)
        wait = wait_of(job, delivery, lane, self._config, self._now)
        rule = rule_of(self._config, delivery, job.destination)
        return Row(job, delivery, wait, *rule, _last_answer(job, wait, lane))

    def waiting(self, destination: str, groups: Iterable[JobGroup]) -> Waiting:
        """Return what waits for a destination."""
        parts: dict[WaitsFor, Part] = {}
        counts = {"waiting": 0, "unconfirmed": 0, "given up": 0}
        undecided: dict[str, int] = {}
        for group in groups:
            delivery = delivery_alike(group.kind, group.values)
            part = self._part(group, delivery)
            parts[part.what] = _joined(parts.get(part.what), part)
            waits = "unconfirmed" if group.kind == CONFIRM else "waiting"
            counts["given up" if group.state == "dead" else waits] += group.count
            if group.state == "undecided" or is_lost(self._config, group, delivery):
                undecided[str(delivery.route)] = undecided.get(str(delivery.route), 0) + group.count
        ordered = tuple(sorted(parts.values(), key=lambda part: _ORDER[part.what]))
        remote = self._config.remote_by_name(destination)
        has_entry = remote is not None and remote.is_destination or destination == THIS_NODE
        return Waiting(destination, ordered, *counts.values(), undecided, has_entry)

    def _part(self, group: JobGroup, delivery: Delivery) -> Part:
        lane = self._lanes.get(Lane(group.kind, group.destination))
        wait = wait_of(group, delivery, lane, self._config, self._now)
        return Part(wait.what, group.count, group.oldest_at, wait.next_try_at, _last_answer(group, wait, lane))


def _last_answer(work: Job | JobGroup, wait: Wait, lane: LaneState | None) -> str:
    """Return why something was not done: what waits for its destination need not have been tried itself."""
    is_left_alone = wait.what in (WaitsFor.CONNECTION, WaitsFor.RESOURCES)
    return (lane.pause_reason if is_left_alone and lane is not None else "") or work.last_error or ""


def is_lost(config: Config, work: Job | JobGroup, delivery: Delivery) -> bool:
    """Tell whether a delivery has lost its rule, whether it was noticed or not."""
    return work.kind in ROUTED_KINDS and is_undecided(config, delivery, work.destination)


def rule_of(config: Config, delivery: Delivery, destination: str) -> tuple[RuleIs, str]:
    """Return what became of the rule of a delivery, and its name now; empty if it has none."""
    if delivery.route is None:
        return RuleIs.NONE, ""
    rule = present_rule(config, delivery, destination)
    if rule is None:
        return RuleIs.LOST, ""
    if delivery.rule not in ("", rule.digest):
        return RuleIs.FORMER, rule.name
    return (RuleIs.PRESENT if rule.name == delivery.route else RuleIs.RENAMED), rule.name


def _joined(one: Part | None, other: Part) -> Part:
    if one is None:
        return other
    moments = [part.next_try_at for part in (one, other) if part.next_try_at]
    return Part(
        one.what,
        one.count + other.count,
        min(one.oldest_at, other.oldest_at),
        min(moments, default=None),
        one.last_answer or other.last_answer,
    )
