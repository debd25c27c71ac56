"""What a rule has found is ordered to be deleted; when that is carried out, it is looked at again.

The order is that of everybody (`medserver.safekeeping.deletion`): who receives an object again withdraws it. What is
also looked at again is whether the rule still says so, and whether anything has happened to the study since.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from medserver.archive.follow_ups import surplus_job
from medserver.config import Config, Retention
from medserver.config.retention import KEEP
from medserver.index import Job, JobFilter, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.log import Event
from medserver.node import Node
from medserver.retention.age import moment
from medserver.retention.eligibility import Look, look, others_of
from medserver.safekeeping.deletion import DELETE, DeletionPayload, carry_out, order_deletion, ordered_by
from medserver.safekeeping.deletion import delete as delete_at_once
from medserver.safekeeping.presence import require_present

REMOVED_MAX = 200
"""How many copies are forgotten in one transaction."""

logger = logging.getLogger(__name__)


def order(node: Node, rule: Retention, found: Look, *, is_urged: bool = False) -> int:
    """Have a study deleted, or its copies on the primary volume, which was found to be one that may be.

    Parameters
    ----------
    node : Node
        Where it is.
    rule : Retention
        By what.
    found : Look
        What was found.
    is_urged : bool
        Whether an administrator has said so, whatever `dry_run` says.

    Returns
    -------
    int
        How many objects are deleted, or copies removed.
    """
    return _remove_copies(node, rule, found) if rule.last_copy == KEEP else _order_deletion(node, rule, found, is_urged)


def _remove_copies(node: Node, rule: Retention, found: Look) -> int:
    """Forget copies; before their files go, another copy of each is read to its end (see `Surplus`)."""

    def jobs_of(gone: Sequence[StoredCopy]) -> Iterator[NewJob]:
        yield surplus_job(gone[0].volume, [(copy.path, copy.key) for copy in gone])

    count = 0
    for first in range(0, len(found.copies), REMOVED_MAX):
        page = found.copies[first : first + REMOVED_MAX]
        count += len(node.index.removals.perform(page, others_of(node), jobs_of))
    study = found.study.study_instance_uid
    logger.warning(Event("copies removed", by=by(rule), study_instance_uid=study, copies=count, reason=reason(rule)))
    return count


def _order_deletion(node: Node, rule: Retention, found: Look, is_urged: bool) -> int:
    current: dict[str, StoredCopy] = {}
    for copy in found.copies:
        if copy.is_current:
            current.setdefault(copy.sop_instance_uid, copy)
    # In one transaction: a worker that is quicker sees a study of which everything is ordered to be deleted.
    given = {"by": by(rule), "reason": reason(rule), "rule": rule.digest, "is_urged": is_urged}
    return len(order_deletion(node, list(current.values()), **given))


def by(rule: Retention) -> str:
    """Return who a deletion by a rule is by."""
    return f"rule {rule.name}"


def reason(rule: Retention) -> str:
    """Return why a rule deletes something."""
    proofs = " or ".join(" and ".join(each) for each in rule.after)
    known = f"{proofs} to {', '.join(rule.to)}" if rule.to else proofs
    filled = f"; {rule.watermark.volume} above {rule.watermark.above} %" if rule.watermark else ""
    return f"received {_in_units(rule.age_s)} ago or earlier, {known}{filled}"


def _in_units(duration_s: float) -> str:
    """Return a duration as it is written in config.ini."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60))
    unit, length_s = next((each for each in units if duration_s and duration_s % each[1] == 0), ("s", 1))
    return f"{duration_s / length_s:g} {unit}"


def delete(node: Node, batch: Batch) -> None:
    """Delete what was ordered: at once, or after another look if a rule has ordered it.

    Raises
    ------
    StoreFailure
        No tombstone could be written, or the primary volume is not there.
    """
    for job in batch:
        payload = DeletionPayload.of(job)
        if not payload.rule:
            delete_at_once(node, Batch([job], lambda: batch.should_stop))
            continue
        require_present(node.primary_volume)
        unwanted = _unwanted(node, payload)
        of_others = _withdraw(node, job, payload.by, unwanted) if unwanted else set()
        # Of what is withdrawn nothing is done; of what an interrupted attempt has done the tombstones are written.
        ordered = [one for one in ordered_by(job) if one.sop_instance_uid not in of_others]
        carry_out(node, ordered, withdrawn=unwanted)


def _unwanted(node: Node, payload: DeletionPayload) -> dict[str, str]:
    """Return the instances of a job that are to stay after all, and why."""
    instances = node.index.instances(sorted({uid for uid, *_ in payload.objects}))
    rule = _rule(node.config.current, payload)
    if rule is None:
        return dict.fromkeys(instances, "the rule is not there any more, says something else or is a dry run")
    studies = sorted({one.study_instance_uid for one in instances.values()})
    looks = look(node, rule, node.index.holdings.studies(studies), moment(node), is_ordered=True)
    kept = {found.study.study_instance_uid: found.reason for found in looks if found.reason}
    return {
        uid: f"its study is {kept[one.study_instance_uid]}"
        for uid, one in instances.items()
        if one.study_instance_uid in kept
    }


def _rule(config: Config, payload: DeletionPayload) -> Retention | None:
    """Return the rule that has ordered something, by whatever name, if it still does."""
    same = (rule for rule in config.retentions if rule.digest == payload.rule)
    return next((rule for rule in same if payload.is_urged or not rule.dry_run), None)


def _withdraw(node: Node, job: Job, who: str, unwanted: Mapping[str, str]) -> set[str]:
    """Withdraw the orders of a job for instances; return those that somebody else wants deleted as well."""
    others = (other for other in node.index.jobs.list(JobFilter(DELETE)) if other.id != job.id)
    wanted = {uid for other in others for uid, *_ in DeletionPayload.of(other).objects}
    of_others = set(unwanted) & wanted
    node.index.deletions.withdraw(set(unwanted) - of_others)
    for why in sorted(set(unwanted.values())):
        count = sum(1 for each in unwanted.values() if each == why)
        logger.warning(Event("not deleted", by=who, instances=count, reason=why))
    return of_others
