"""Jobs as they go into the index and come out of it. The SQL is in `jobs`, what they do in `medserver.work`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from medserver.index.jobs.payloads import NoPayload, Payload

LOW, MEDIUM, HIGH = 0, 1, 2
"""Priorities."""

STATES = ("waiting", "running", "undecided", "dead")
"""A job waits (until it is due, and its turn comes), runs, is undecided (what it would be done by is gone: it waits for
that, or for an administrator), or is dead (it has failed for good: it waits for an administrator); one that is done is
no more."""

IN_TURN = datetime(1970, 1, 1, tzinfo=UTC)
"""Due for ever: of such jobs the one with the lowest number is next, whatever the clock has done since."""

PAYLOAD_LENGTH_MAX = 64 * 1024
ERROR_LENGTH_MAX = 2_000
NAME_LENGTH_MAX = 200


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: to make one takes as long as to use it."""


class Lane(NamedTuple):
    """The jobs of one kind for one destination; an empty destination stands for this node."""

    kind: str
    destination: str = ""


@dataclass(frozen=True, slots=True)
class NewJob:
    """Something to be done later.

    Parameters
    ----------
    kind : str
        What: a name of `medserver.work.kinds`.
    payload : Payload or Mapping
        To what; a mapping as an older medserver has written it.
    destination : str
        Where to, such as the name of an AE or a volume: jobs for one destination have a limit of their own.
    order_key : str
        Jobs with the same one (for the same destination) are done one after the other, in the order in which they
        were added. Empty: in any order.
    priority : int
        `LOW`, `MEDIUM` or `HIGH`; does not change the order within an order key.
    due_at : datetime or None
        Not before; None means at once.
    """

    kind: str
    payload: Payload | Mapping[str, Any] = NoPayload()
    destination: str = ""
    order_key: str = ""
    priority: int = MEDIUM
    due_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.kind or max(map(len, (self.kind, self.destination, self.order_key))) > NAME_LENGTH_MAX:
            raise ValueError(f"kind, destination and order key have up to {NAME_LENGTH_MAX} characters")
        if self.priority not in (LOW, MEDIUM, HIGH):
            raise ValueError(f"priority {self.priority} is not LOW, MEDIUM or HIGH")

    @property
    def lane(self) -> Lane:
        """Kind and destination."""
        return Lane(self.kind, self.destination)

    def payload_text(self) -> str:
        """Return the payload as JSON.

        Raises
        ------
        ValueError
            It is too long.
        TypeError
            It holds what JSON cannot.
        """
        return payload_text(self.payload)


def payload_text(payload: Payload | Mapping[str, Any]) -> str:
    """Return a payload as JSON.

    Raises
    ------
    ValueError
        It is too long.
    TypeError
        It holds what JSON cannot.
    """
    mapping = payload.as_mapping() if isinstance(payload, Payload) else dict(payload)
    text = _ENCODER.encode(mapping)
    if len(text) > PAYLOAD_LENGTH_MAX:
        raise ValueError(f"a payload of {len(text)} characters: only identifiers belong there")
    return text


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands in the index.

    Parameters
    ----------
    id : int
        Its number: a later job has a higher one.
    state : str
        See `STATES`.
    attempts : int
        How often it was begun, as what it is now.
    due_at, created_at : datetime
        When it may be claimed, and when it was added: what was wanted then may have become another kind of job since.
    lease_until : datetime or None
        Until when its owner has it; None if nobody has.
    owner : str or None
        Which claim it belongs to; None if nobody has it.
    last_error : str or None
        Why the last attempt failed; None if none did.
    others
        As in `NewJob`.
    """

    id: int
    kind: str
    destination: str
    order_key: str
    payload: dict[str, Any]
    priority: int
    state: str
    attempts: int
    due_at: datetime
    created_at: datetime
    lease_until: datetime | None
    owner: str | None
    last_error: str | None

    @property
    def lane(self) -> Lane:
        """Kind and destination."""
        return Lane(self.kind, self.destination)


@dataclass(frozen=True, slots=True)
class Change:
    """What a job becomes, which keeps its number and its age.

    Parameters
    ----------
    kind : str
        What is to be done now.
    payload : Payload
        To what.
    due_at : datetime
        Not before.
    answer : str
        What came of the last attempt, for an administrator.
    destination : str, optional
        Where to now; None: as before.
    """

    kind: str
    payload: Payload
    due_at: datetime
    answer: str = ""
    destination: str | None = None

    def lane_of(self, job: Job) -> Lane:
        """Return the lane of a job that has become this."""
        return Lane(self.kind, job.destination if self.destination is None else self.destination)


@dataclass(frozen=True, slots=True)
class Delivered:
    """An object that a destination has.

    Parameters
    ----------
    sop_instance_uid, digest : str
        The object of which it was made: its instance, and the SHA-256 of its data set, hexadecimal.
    destination : str
        The entry of the AE.
    rule : str
        The version of the rule by which it was sent; empty for none.
    is_committed : bool
        Whether the AE has committed to it.
    """

    sop_instance_uid: str
    digest: str
    destination: str
    rule: str
    is_committed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a job that was claimed.

    Parameters
    ----------
    job : Job
        As it was claimed.
    outcome : str
        ``done``: it is deleted. ``changed``: it becomes what `change` says. ``retry``: it waits until `due_at`.
        ``undecided``, ``dead``: see `STATES`. ``released``: it was not tried; the attempt does not count, and `error`
        says what it waits for, if anything.
    due_at : datetime or None
        When a job that waits may be claimed again; None: as before, in its place among the others.
    error : str
        Why it failed, or waits.
    change : Change or None
        What it becomes.
    delivered : Delivered or None
        What is known to have arrived by it.
    """

    job: Job
    outcome: str
    due_at: datetime | None = None
    error: str = ""
    change: Change | None = None
    delivered: Delivered | None = None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are meant; None stands for any."""

    kind: str | None = None
    destination: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs of a lane are in a state, and when the oldest of them was added."""

    kind: str
    destination: str
    state: str
    count: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class PayloadCount:
    """How many jobs of a lane have some values in their payload; None for one that they do not have."""

    kind: str
    destination: str
    values: tuple[str | None, ...]
    count: int


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs of a lane that are alike: in their state, what their payload says, and whether they are due and have failed.

    Parameters
    ----------
    values : tuple of (str or None)
        What their payload says; None for what it does not have.
    count : int
        How many.
    oldest_at, due_at : datetime
        When the oldest was added, and the first may be claimed.
    last_error : str or None
        Why the last attempt of one of them failed; None if none did.
    others
        As in `Job`.
    """

    kind: str
    destination: str
    state: str
    values: tuple[str | None, ...]
    count: int
    oldest_at: datetime
    due_at: datetime
    last_error: str | None


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane for which there are jobs, or were.

    Parameters
    ----------
    paused : bool
        Whether it, or its kind, is paused.
    due_at : datetime or None
        When the next of its jobs is due, and its destination not left alone; None if none waits that could be claimed
        then.
    paused_until : datetime or None
        Until when no job of it is claimed, because its destination could not be reached; None if it can.
    pause_reason : str
        Why.
    failures : int
        How often in a row that was so.
    is_kind_paused, is_lane_paused : bool
        Which of the two an administrator has paused.
    """

    lane: Lane
    paused: bool
    due_at: datetime | None
    paused_until: datetime | None = None
    pause_reason: str = ""
    failures: int = 0
    is_kind_paused: bool = False
    is_lane_paused: bool = False
