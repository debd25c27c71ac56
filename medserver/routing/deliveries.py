"""What is wanted of an instance, or of a performed step, for one destination: one job from wish to end.

Its kind is what has to be done next::

    HOLD --complete--> DELIVER --taken--> CONFIRM --committed--> (done)
                         ^                   |
                         +-- not committed --+
    HOLD --complete--> NOTIFY --told--> (done)
                       FORWARD_STEP --reported--> (done)
    HOLD --complete--> REQUEST --work item made--> (done)         of a rule by which it is processed, by this node
    HOLD --complete--> REQUEST_PRINT --work item made--> (done)   of a rule by which it is printed, by this node

*What* is sent is decided when the instance is received, by the rules as they are then: a version of the rule is noted,
and named by its digest. *When* it is sent is what the rule says now: its hours, what completes a study.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from medserver.config import Config, Processing, Rule
from medserver.index import HIGH, LOW, MEDIUM, Job, NewJob
from medserver.index.jobs.outcome import Outcome, changed, undecided
from medserver.index.jobs.payloads import Payload
from medserver.index.jobs.records import IN_TURN, Delivered
from medserver.index.rule_versions import RuleVersion, RuleVersions

DELIVER, HOLD, CONFIRM, NOTIFY, FORWARD_STEP = "deliver", "hold", "confirm", "notify", "forward_step"
REQUEST, REQUEST_PRINT = "request_processing", "request_print"

REPORT, POLL, UPS_EVENT = "commit_report", "poll", "ups-event"

SENDING_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, CONFIRM, REPORT, POLL, UPS_EVENT)
"""Those that open an association to the AE that is their destination: all wait while it cannot be reached."""

OF_THIS_NODE = (REQUEST, REQUEST_PRINT)
"""Those that have this node do something."""

OUTBOX_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, CONFIRM, *OF_THIS_NODE, HOLD)

ROUTED_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, *OF_THIS_NODE, HOLD)
"""Those that do something by a rule. Without one that sends that to their destination they wait for a decision."""

PRIORITIES: Mapping[str, int] = {"low": LOW, "medium": MEDIUM, "high": HIGH}


@dataclass(frozen=True, slots=True)
class Delivery(Payload):
    """The payload of `OUTBOX_KINDS`.

    Parameters
    ----------
    sop_instance_uid : str
        Of what: an instance, or a performed step.
    action : str
        What it is in the end: `DELIVER`, `NOTIFY`, `FORWARD_STEP`, `REQUEST` or `REQUEST_PRINT`.
    route : str or None
        The name that the rule had; None: an administrator wants it sent whatever became of the rule.
    rule : str
        The version of the rule. Empty: what the rule of that name says now, for an older medserver has decided it; or
        without a name as it is stored.
    study_instance_uid, series_instance_uid : str
        Of the instance; empty where they are not known.
    sender : str
        The AE title that sent it; empty if nobody knows.
    received_at : str
        When it was received, ISO 8601; empty if it was not noted.
    looks : int
        How often it was looked whether the study is complete, or whether the report on a commitment has come.
    sends : int
        How often it was taken by the destination.
    digest : str
        The object that the destination has taken, the SHA-256 of its data set, hexadecimal; empty if it has taken none.
    deferrals : int
        How often in a row the destination had no resources for it.
    commitment : int or None
        The transaction in which the destination was asked to commit to it.
    decided_of : str
        The object by whose attributes it was decided, as `digest`; empty if that was not noted.
    """

    VERSION = 2
    sop_instance_uid: str
    action: str = DELIVER
    route: str | None = None
    rule: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sender: str = ""
    received_at: str = ""
    looks: int = 0
    sends: int = 0
    digest: str = ""
    deferrals: int = 0
    commitment: int | None = None
    decided_of: str = ""

    @classmethod
    def of(cls, job: Job) -> Delivery:
        """Read the payload of a job of `OUTBOX_KINDS`; see `Payload.of`."""
        delivery = super(Delivery, cls).of(job)
        if "version" in job.payload:
            return delivery
        action = job.kind if job.kind in (NOTIFY, FORWARD_STEP) else delivery.action  # it was the kind of the job
        return replace(delivery, action=action, sends=delivery.sends or int(job.kind == CONFIRM))

    @classmethod
    def upgraded(cls, version: int, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of an older version as this one names them: 0 had other names, 1 did not note all."""
        names = {"from": "sender", "kind": "action"} if version == 0 else {}
        return {names.get(name, name): value for name, value in values.items()}


ALIKE_KEYS = ("action", "kind", "route", "rule")
"""The keys of a payload by which deliveries are counted together: what version 0 had is among them."""


def delivery_alike(job_kind: str, values: Sequence[str | None]) -> Delivery:
    """Return what is known of deliveries that are alike: their action, and their rule.

    Parameters
    ----------
    job_kind : str
        What kind of job they are; those of version 0 say elsewhere than later ones what they are in the end.
    values : sequence of (str or None)
        What their payloads have for `ALIKE_KEYS`.
    """
    action, kind, route, rule = values
    of_version_0 = job_kind if job_kind in (NOTIFY, FORWARD_STEP) else kind
    return Delivery("", action or of_version_0 or DELIVER, route, rule or "")


def kind_of(rule: Rule) -> str:
    """Return the job that does what a rule wants done with an instance."""
    if isinstance(rule, Processing):
        return REQUEST
    if rule.printer:
        return REQUEST_PRINT
    return NOTIFY if rule.send == "availability" else DELIVER


def step_kind_of(rule: Rule) -> str | None:
    """Return the job that does what a rule wants done with a performed step, None if it wants none."""
    return FORWARD_STEP if not isinstance(rule, Processing) and rule.send in ("conditions", "both") else None


def version_of(rule: Rule) -> RuleVersion:
    """Return the version of a rule."""
    return RuleVersion(rule.digest, rule.name, rule.content())


def noted(versions: RuleVersions, rule: Rule) -> str:
    """Note the version of a rule by which something is decided, and return its digest."""
    if not versions.has_noted(rule.digest):  # what a rule says is written out once, and not for each instance
        versions.note(version_of(rule))
    return rule.digest


def present_rule(config: Config, delivery: Delivery, destination: str) -> Rule | None:
    """Return the rule that still wants something sent, by whatever name, or corrected; None if there is none.

    Parameters
    ----------
    config : Config
        The rules as of now.
    delivery : Delivery
        What waits by a rule.
    destination : str
        The AE.
    """
    of_version = [rule for rule in config.rules if rule.digest == delivery.rule]
    of_name = [rule for rule in config.rules if rule.name == delivery.route]
    return next((rule for rule in (*of_version, *of_name) if sends(rule, delivery, destination)), None)


def sends(rule: Rule, delivery: Delivery, destination: str) -> bool:
    """Tell whether a rule does to a destination what is wanted, whatever its conditions are."""
    return destination in rule.targets and delivery.action in (kind_of(rule), step_kind_of(rule))


def is_undecided(config: Config, delivery: Delivery, destination: str) -> bool:
    """Tell whether something has lost its rule: nobody knows whether it may still be sent, and when."""
    return delivery.route is not None and present_rule(config, delivery, destination) is None


def due_by(rule: Rule | None, now: datetime) -> datetime:
    """Return when something is due that waits for nothing but the hours of its rule.

    What is due in the same hours, or has no rule, is due at the same moment, so that its order is that of its numbers.
    """
    return rule.hours.opening(now) or IN_TURN if rule else IN_TURN


def not_now(config: Config, job: Job, delivery: Delivery, now: datetime) -> Outcome | None:
    """Return what becomes of something that has lost its rule, or its hours have ended; None if it can be done."""
    if is_undecided(config, delivery, job.destination):
        return lost(job, delivery)
    rule = present_rule(config, delivery, job.destination) if delivery.route is not None else None
    if rule is None or rule.hours.is_open(now):
        return None
    return changed(job, job.kind, delivery, due_by(rule, now))


def lost(job: Job, delivery: Delivery) -> Outcome:
    """Return that something waits for a decision: without its rule nobody knows whether it may be sent, and when."""
    does = {REQUEST: "has this processed", REQUEST_PRINT: "has this printed"}.get(delivery.action, "sends this to it")
    reason = f"no rule '{delivery.route}' {does} any more: 'medserver outbox' tells what to do"
    return undecided(job, reason)


def wanted(delivery: Delivery, kind: str, destination: str, rule: Rule, due_at: datetime) -> NewJob:
    """Return what sends something by a rule to one of its destinations, or holds it."""
    return NewJob(kind, delivery, destination=destination, priority=PRIORITIES[rule.priority], due_at=due_at)


def wanted_again(job: Job, delivery: Delivery, wanted: Iterable[NewJob]) -> Outcome | None:
    """Return that a delivery becomes what is wanted of its destination now; None if nothing of the kind is."""
    for new in wanted:
        again = new.payload
        if isinstance(again, Delivery) and (new.destination, again.action) == (job.destination, delivery.action):
            return changed(job, new.kind, replace(again, sends=delivery.sends), new.due_at or IN_TURN)
    return None


def delivered(delivery: Delivery, destination: str, digest: str, *, is_committed: bool) -> Delivered:
    """Return what is noted of an instance of which a destination has taken the object with a digest."""
    return Delivered(delivery.sop_instance_uid, digest, destination, delivery.rule, is_committed)


def sent_on(job: Job, delivery: Delivery, rule: Rule | None, now: datetime, *follow_ups: NewJob) -> Outcome:
    """Return that something is held no longer: it is done at once, or when the hours of the rule begin."""
    return changed(job, delivery.action, replace(delivery, looks=0), due_by(rule, now), *follow_ups)
