"""What a rule asks for becomes work items: what is asked for together, and the outcome of its jobs.

There is a job for each instance that a rule wants. What belongs together, a series or a study, is one subject, for all
of whose jobs work items are created at once: to have it processed (`requesting`), or printed (`medserver.printing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from medserver.config import Rule
from medserver.config.keyed import condition_of
from medserver.dicom.conditions import Condition, SingleValue
from medserver.errors import CannotProcess, StoreFailure
from medserver.index import Job
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.rule_versions import RuleVersion
from medserver.node import Node
from medserver.routing.deliveries import Delivery, not_now

RuleType = TypeVar("RuleType", bound=Rule)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked for together by a version of a rule.

    Parameters
    ----------
    rule : str
        The version of the rule.
    study_instance_uid, series_instance_uid, sop_instance_uid : str
        The study, and what of it; empty: all of it.
    sender : str
        Who has sent it; empty where that makes no difference.
    """

    rule: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sender: str = ""

    @property
    def conditions(self) -> list[SingleValue]:
        """By what its instances are found."""
        uids = {
            "StudyInstanceUID": self.study_instance_uid,
            "SeriesInstanceUID": self.series_instance_uid,
            "SOPInstanceUID": self.sop_instance_uid,
        }
        return [SingleValue(keyword, uid) for keyword, uid in uids.items() if uid]


def subject_of(rule: Rule, delivery: Delivery, sender: str = "") -> Subject:
    """Return to what an instance belongs, by when its rule is applied."""
    series = delivery.series_instance_uid if rule.when in ("series", "instance") else ""
    instance = delivery.sop_instance_uid if rule.when == "instance" else ""
    return Subject(delivery.rule, delivery.study_instance_uid, series, instance, sender)


def conditions_in(content: Mapping[str, Any]) -> tuple[tuple[str, str, Condition], ...]:
    """Return the conditions of a rule as a version of it has them."""
    read = ((keyword, text, condition_of(keyword, text)) for keyword, text in content["conditions"])
    return tuple((keyword, text, condition) for keyword, text, condition in read if condition is not None)


def request_by_rule(
    node: Node,
    batch: Batch,
    rule_of: Callable[[RuleVersion], RuleType],
    subject_for: Callable[[RuleType, Delivery], Subject],
    request: Callable[[Subject, RuleType, Sequence[Job]], None],
) -> Iterator[Outcome]:
    """Have the work items of subjects created, and yield what came of each job.

    Parameters
    ----------
    node : Node
        Where.
    batch : Batch
        Jobs, whose payloads are deliveries.
    rule_of : callable
        Makes the rule of a version of it.
    subject_for : callable
        See `subject_of`.
    request : callable
        Creates the work items of a subject, unless they are there. A `CannotProcess` that it raises is a mistake of the
        rule, and final: that is told where the configuration is checked. After a `StoreFailure` it is tried again.
    """
    config, now = node.config.current, node.clock()
    rules: dict[str, RuleType | None] = {}
    wanted: dict[Subject, list[Job]] = {}
    for job in batch:
        delivery = Delivery.of(job)
        outcome = not_now(config, job, delivery, now)
        if outcome is not None:
            yield outcome
            continue
        if delivery.rule not in rules:
            version = node.index.rule_versions.get(delivery.rule)
            rules[delivery.rule] = rule_of(version) if version else None
        rule = rules[delivery.rule]
        if rule is None:
            yield failed(job, "the version of its rule is not known", final=True)
            continue
        wanted.setdefault(subject_for(rule, delivery), []).append(job)
    for subject, jobs in wanted.items():
        rule = rules[subject.rule]
        if batch.should_stop or rule is None:
            return
        try:
            request(subject, rule, jobs)
        except CannotProcess as error:
            yield from (failed(job, str(error), final=True) for job in jobs)
        except StoreFailure as error:
            yield from (failed(job, str(error)) for job in jobs)
        else:
            yield from (done(job) for job in jobs)
