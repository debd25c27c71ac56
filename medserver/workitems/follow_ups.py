"""The jobs that follow from work items: one is performed here, and AEs are told of changes.

What performs items is in `medserver.processing` and `medserver.printing`, what tells of them in `medserver.procedures`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

from medserver.config import Config
from medserver.dicom.contributing_equipment import CODING_SCHEME
from medserver.dicom.dates import normalise_date_time
from medserver.dicom.json_model import JSON
from medserver.index import HIGH, LOW, MEDIUM, JobFilter, NewJob, WorkitemKeys
from medserver.index.jobs.payloads import Payload
from medserver.index.jobs.records import IN_TURN, PAYLOAD_LENGTH_MAX, payload_text
from medserver.log import Event as LogEvent
from medserver.node import Node
from medserver.routing.deliveries import UPS_EVENT
from medserver.workitems.content import code_of, items, keys_of, value
from medserver.workitems.events import EVENT_NAMES, Event

__all__ = [
    "OUR_SCHEME", "PRINT", "PRINT_WORKITEM", "PROCESS", "PROCESS_LARGE", "UPS_EVENT", "EventPayload", "PrintPayload",
    "WorkitemPayload", "begins_at", "event_jobs", "is_ours", "is_ready", "keep_one_job", "looked_at", "process_jobs",
    "rescheduled_jobs",
]  # fmt: skip

PROCESS, PRINT_WORKITEM = "process", "print_workitem"
PROCESS_LARGE = "process_large"
"""What an item of many instances becomes, so that it does not hold up small ones."""

JOBS_LOOKED_AT_MAX = 5_000
"""So many jobs are looked at to find those of an item; of more, it has two, of which the second finds it final."""

OUR_SCHEME = CODING_SCHEME
"""The Coding Scheme Designator of the types of processing of this archive, which performs items of these itself."""

PRINT = ("110008", "DCM", "Print")
"""The Scheduled Workitem Code of what is to be printed (PS3.16 CID 9231)."""

SCHEDULED_AGAIN_S = 240.0
"""How often is looked at an item that is to begin later."""

CUT_TO_LENGTH = 1024
"""Texts of an event that is too long are cut to so many characters."""

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""What is later than this is not reached."""

_PRIORITIES = {"HIGH": HIGH, "MEDIUM": MEDIUM, "LOW": LOW}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkitemPayload(Payload):
    """A work item that is to be performed.

    Parameters
    ----------
    sop_instance_uid : str
        Which.
    informed_at : str
        When it was begun to tell sender and receivers, ISO 8601; empty before that.
    deaths : int
        How often the process that computes has died.
    renewals : int
        How often the outputs got other UIDs, since something else is stored under those that they had.
    """

    VERSION: ClassVar[int] = 3

    sop_instance_uid: str
    informed_at: str = ""
    deaths: int = 0
    renewals: int = 0


@dataclass(frozen=True, slots=True)
class PrintPayload(Payload):
    """A work item that is to be printed.

    Parameters
    ----------
    sop_instance_uid : str
        Which.
    films : int
        How many films it has; 0 before all are queued.
    """

    sop_instance_uid: str
    films: int = 0


@dataclass(frozen=True, slots=True)
class EventPayload(Payload):
    """Something that an AE is to be told: not what is, but what was at that moment.

    Parameters
    ----------
    sop_instance_uid : str
        The work item; the well-known instance of subscriptions where it is about this node.
    event_type_id : int
        See `medserver.workitems.events`.
    information : Mapping
        The Event Information, as DICOM JSON.
    receiver : str
        The AE title of who is told, whatever its entry is called by then; empty: as an older medserver has written it.
    """

    VERSION: ClassVar[int] = 2

    sop_instance_uid: str
    event_type_id: int
    information: Mapping[str, Any]
    receiver: str = ""


@dataclass(frozen=True, slots=True)
class OwnItems:
    """A kind of work items that this node performs itself.

    Parameters
    ----------
    kind : str
        The job that performs one.
    record : type of (WorkitemPayload or PrintPayload)
        The payload of that.
    scheme, code : str
        The Scheduled Workitem Code; an empty code stands for all of the scheme.
    stations : callable or None
        Takes the configuration and returns the names by which stations of this node are asked for: without any it has
        no such items, and one that is for another station is none. None: whichever station is named, it has them.
    """

    kind: str
    record: type[WorkitemPayload] | type[PrintPayload]
    scheme: str
    code: str = ""
    stations: Callable[[Config], Collection[str]] | None = None


def _printing_stations(config: Config) -> Collection[str]:
    """Return the names of printers, their AE titles, and that of the node that has any."""
    names = {name for printer in config.printers for name in (printer.name, printer.ae_title) if name}
    return names | {config.node.ae_title} if names else names


OWN_ITEMS: tuple[OwnItems, ...] = (
    OwnItems(PROCESS, WorkitemPayload, OUR_SCHEME),
    OwnItems(PRINT_WORKITEM, PrintPayload, PRINT[1], PRINT[0], _printing_stations),
)
"""What this node performs itself; other items wait for a performer that claims them."""


def own_items(keys: WorkitemKeys, config: Config) -> OwnItems | None:
    """Return which of `OWN_ITEMS` an item is among; None for one that is left to others."""
    for own in OWN_ITEMS:
        if own.scheme == keys.type_scheme and own.code in ("", keys.type_code):
            return own if own.stations is None or own.stations(config) else None
    return None


def is_ours(keys: WorkitemKeys, config: Config) -> bool:
    """Tell whether an item is performed by this node; others wait for a performer that claims them."""
    return own_items(keys, config) is not None


def is_for_us(content: JSON, config: Config) -> bool:
    """Tell whether an item is performed by this node, also by the station that it is for."""
    own = own_items(keys_of(content), config)
    if own is None or own.stations is None:
        return own is not None
    wanted = {code_of(each)[0] for each in items(content, "ScheduledStationNameCodeSequence")} - {""}
    return not wanted or not wanted.isdisjoint(own.stations(config))


def is_ready(content: JSON) -> bool:
    """Tell whether the input of an item is there, as far as who schedules it says (Input Readiness State)."""
    return value(content, "InputReadinessState") in ("READY", "")


def begins_at(keys: WorkitemKeys) -> datetime | None:
    """Return when an item is to begin; None for at once."""
    return _moment(keys.start_at)


def looked_at(start_at: datetime, now: datetime) -> datetime:
    """Return when is looked at an item that is to begin at a moment: not too late if a clock was wrong."""
    return min(start_at, now + timedelta(seconds=SCHEDULED_AGAIN_S))


def process_jobs(sop_instance_uid: str, content: JSON, config: Config, now: datetime) -> list[NewJob]:
    """Return what performs an item, when its time has come: nothing if it is not ours, or its input is not ready."""
    keys = keys_of(content)
    own = own_items(keys, config)
    if own is None or not is_for_us(content, config) or not is_ready(content):
        return []
    priority = _PRIORITIES.get(keys.priority, MEDIUM)
    due_at = looked_at(begins_at(keys) or now, now)
    return [NewJob(own.kind, own.record(sop_instance_uid), priority=priority, due_at=due_at)]


def rescheduled_jobs(sop_instance_uid: str, old: JSON, new: JSON, config: Config, now: datetime) -> list[NewJob]:
    """Return what performs a scheduled item that was changed, if the job that there is does not do it in time.

    What is put off needs none: a job that comes before the time of its item waits for that.
    """
    [*jobs], [*before] = (process_jobs(sop_instance_uid, content, config, now) for content in (new, old))
    if not jobs or not before:
        return jobs
    was, begins = (begins_at(keys_of(content)) or now for content in (old, new))
    is_put_forward = begins < was and was > now
    is_more_urgent = jobs[0].priority > before[0].priority
    return jobs if is_put_forward or is_more_urgent else []


def keep_one_job(node: Node, sop_instance_uid: str) -> None:
    """Leave of the jobs that wait to perform an item the last one, with what the others know of it."""
    records = {PROCESS_LARGE: WorkitemPayload} | {own.kind: own.record for own in OWN_ITEMS}
    found = [
        (job, payload)
        for kind, record in records.items()
        for job in islice(node.index.jobs.list(JobFilter(kind=kind, state="waiting")), JOBS_LOOKED_AT_MAX)
        if (payload := record.of(job)).sop_instance_uid == sop_instance_uid
    ]
    if len(found) < 2:
        return
    [*others, (last, _)] = sorted(found, key=lambda each: each[0].id)
    known = {
        name: given
        for _, payload in others
        if isinstance(payload, WorkitemPayload)
        for name, given in (
            ("informed_at", payload.informed_at), ("deaths", payload.deaths), ("renewals", payload.renewals)
        )
        if given
    }  # fmt: skip
    if known:
        node.index.jobs.amend([last.id], known, (PROCESS, PROCESS_LARGE))
    node.index.jobs.drop([job.id for job, _ in others])


def event_jobs(
    node: Node, sop_instance_uid: str, events: Iterable[Event], receivers: Iterable[str]
) -> Iterator[NewJob]:
    """Yield what tells AEs of something, in its order.

    Those of one AE are all due for ever, so that the lowest number is next.

    Parameters
    ----------
    receivers : iterable of str
        AE titles. One that is not configured any more, or has no address, is left out; it stays subscribed.
    """
    told = list(events)
    for ae_title in receivers if told else ():
        remote = node.config.current.destination(ae_title)
        if remote is None:
            logger.warning(LogEvent("event not sent", receiver=ae_title, reason="no entry with an address and a port"))
            continue
        for event in told:
            payload = _payload(sop_instance_uid, event, remote.ae_title)
            yield NewJob(UPS_EVENT, payload, destination=remote.name, due_at=IN_TURN)


def _payload(sop_instance_uid: str, event: Event, receiver: str) -> EventPayload:
    """Return the payload, without what is too long for one: that can be asked for with an N-GET."""
    payload = EventPayload(sop_instance_uid, event.event_type_id, event.information, receiver)
    try:
        payload_text(payload)
    except ValueError:
        logger.warning(
            LogEvent("event cut", sop_instance_uid=sop_instance_uid, event=EVENT_NAMES[event.event_type_id],
                     reason=f"more than {PAYLOAD_LENGTH_MAX} characters")
        )  # fmt: skip
        short = {tag: _cut(one) for tag, one in event.information.items()}
        payload = EventPayload(sop_instance_uid, event.event_type_id, short, receiver)
    return payload


def _cut(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an element without its items, or with the beginning of its first value."""
    values = element.get("Value") or ()
    if not values or element["vr"] == "SQ":
        return {"vr": element["vr"]}
    first = values[0]
    return {"vr": element["vr"], "Value": [first[:CUT_TO_LENGTH] if isinstance(first, str) else first]}


def _moment(text: str) -> datetime | None:
    """Return when an item is to begin, by the time zone of this machine where it does not say (PS3.5 6.2).

    None for at once, and for what is no moment.
    """
    normalised = normalise_date_time(text)
    if normalised is None:
        return None
    try:
        parsed = datetime.strptime(normalised, "%Y%m%d%H%M%S.%f")
        at = parsed.replace(tzinfo=UTC) if "+" in text or "-" in text else parsed.astimezone()
        return min(at.astimezone(UTC), _NEVER)
    except (ValueError, OverflowError, OSError):
        return _NEVER if normalised > _NEVER.strftime("%Y") else None
