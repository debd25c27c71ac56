"""Whether a study may be deleted by a rule, and why not.

A study goes as a whole, or stays as a whole: one instance that has to stay keeps all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver import archive
from medserver.archive.follow_ups import ROUTE
from medserver.config import CALLING_AE_TITLE, Retention
from medserver.config.retention import ARCHIVED, COMMITTED, DELETE
from medserver.dicom.attributes import attribute
from medserver.dicom.conditions import Condition, UIDList
from medserver.dicom.matching import matches
from medserver.errors import StoreFailure
from medserver.index import GOOD, StoredCopy
from medserver.index.holdings import Arrived, HeldObject, HeldStudy
from medserver.node import Node
from medserver.routing.deliveries import OUTBOX_KINDS
from medserver.safekeeping.drained import is_draining
from medserver.workitems.searching import studies_of_open_items

AWAITED_KINDS = (*OUTBOX_KINDS, ROUTE)
"""As long as there is such a job, in whatever state, its instance is needed."""

BATCH_INSTANCES = 2000
"""About how many instances are asked for at a time whether anybody needs them: all jobs are looked through for that."""

YOUNG, UNMATCHED = "too young", "not meant by the rule"
AGAIN, ORDERED, LOST = "received again", "already ordered to be deleted", "without its current object"
CONFLICT, PENDING = "in a conflict that nobody has decided on", "in a storage commitment that is to be reported"
AWAITED, UNREAD = "waiting to be sent, or for a decision about that", "not readable"
TO_BE_PROCESSED = "named by a work item that has not ended"
ONLY_COPY, MOVED = "without a good copy on another volume", "not on the primary volume any more"


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a study has shown.

    Parameters
    ----------
    study : HeldStudy
        Which.
    reason : str
        Why it stays; empty if it may be deleted.
    copies : tuple of StoredCopy
        What would be removed: all copies of it, or those on the primary volume.
    current : tuple of HeldObject
        Its instances, where nothing that is quick to tell keeps it.
    """

    study: HeldStudy
    reason: str = ""
    copies: tuple[StoredCopy, ...] = ()
    current: tuple[HeldObject, ...] = ()

    def kept(self, reason: str) -> Look:
        """Return that it stays after all."""
        return Look(self.study, reason)

    def bytes_on(self, volume: str) -> int:
        """Return what it takes on a volume, of what would be removed."""
        return sum(copy.file_size_bytes for copy in self.copies if copy.volume == volume)

    @property
    def size_bytes(self) -> int:
        """What would be removed."""
        return sum(copy.file_size_bytes for copy in self.copies)


def look(
    node: Node, rule: Retention, studies: Sequence[HeldStudy], now: datetime, *, is_ordered: bool = False
) -> Iterator[Look]:
    """Look at studies, the quick questions first.

    Parameters
    ----------
    node : Node
        Where they are.
    rule : Retention
        By what.
    studies : sequence of HeldStudy
        Which: a page.
    now : datetime
        The moment from which ages count, see `age`.
    is_ordered : bool
        Whether their deletion has been ordered, and is looked at again.
    """
    old_before = now - timedelta(seconds=rule.age_s)
    old = [each for each in studies if each.last_received_at <= old_before]
    meant = _meant(node, rule, old)
    eligibility = _Eligibility(node, rule, old_before, is_ordered)
    batch: list[Look] = []
    for study in studies:
        if study.last_received_at > old_before:
            batch.append(Look(study, YOUNG))
        elif study.number not in meant:
            batch.append(Look(study, UNMATCHED))
        else:
            batch.append(eligibility.look(study))
        if sum(len(one.current) for one in batch) >= BATCH_INSTANCES:
            yield from eligibility.decided(batch)
            batch.clear()
    yield from eligibility.decided(batch)


def others_of(node: Node) -> list[str]:
    """Return the volumes on which a copy counts when that on the primary volume goes: those that are there."""
    names = (name for name in node.replica_names if not is_draining(node, name))
    return [name for name in names if node.volumes[name].condition().is_present]


def _meant(node: Node, rule: Retention, studies: Iterable[HeldStudy]) -> Collection[int]:
    """Return the studies of which all instances fulfil those conditions that the index can tell about."""
    found = {each.study_instance_uid: each for each in studies}
    conditions = [condition for keyword, _, condition in rule.conditions if _is_kept(keyword)]
    if not found or not conditions:
        return {each.number for each in found.values()}
    counts: defaultdict[str, int] = defaultdict(int)
    for instance in node.index.select([UIDList("StudyInstanceUID", tuple(found)), *conditions]):
        counts[instance.study_instance_uid] += 1
    return {each.number for uid, each in found.items() if counts[uid] == each.instances}


def _is_kept(keyword: str) -> bool:
    return keyword != CALLING_AE_TITLE and attribute(keyword) is not None


class _Eligibility:
    """Tells whether studies may be deleted by a rule.

    Parameters
    ----------
    node, rule, is_ordered
        As for `look`.
    old_before : datetime
        What is later is too young.
    """

    def __init__(self, node: Node, rule: Retention, old_before: datetime, is_ordered: bool) -> None:
        self._node = node
        self._rule = rule
        self._old_before = old_before
        self._is_ordered = is_ordered
        self._others = others_of(node)

    def look(self, study: HeldStudy) -> Look:
        """Look at a study that is old enough; what takes longer is asked by `decided`."""
        objects = self._node.index.holdings.objects(study)
        if reason := self._why_kept(study, objects):
            return Look(study, reason)
        copies, current = tuple(self._removed(objects)), tuple(one for one in objects if one.is_current)
        return Look(study, "", copies, current) if copies else Look(study, MOVED)

    def decided(self, looks: Iterable[Look]) -> Iterator[Look]:
        """Yield looks; those with the reason that nobody has asked for yet, for which there is one."""
        looks, holdings = list(looks), self._node.index.holdings
        processed = studies_of_open_items(self._node) if any(not each.reason for each in looks) else set()
        uids = [one.sop_instance_uid for each in looks for one in each.current]
        pending = holdings.asked_for(uids) if uids else set()
        awaited = holdings.awaited(uids, AWAITED_KINDS) if uids else set()
        for each in looks:
            mine = {one.sop_instance_uid for one in each.current}
            if not each.reason and each.study.study_instance_uid in processed:
                reason = TO_BE_PROCESSED
            else:
                reason = PENDING if mine & pending else AWAITED if mine & awaited else self._why_unmatched(each.current)
            yield each.kept(reason) if reason else each

    def _removed(self, objects: Iterable[HeldObject]) -> Iterator[StoredCopy]:
        takes_all, primary = self._rule.last_copy == DELETE, self._node.primary_volume.name
        return (copy for one in objects for copy in one.copies if takes_all or copy.volume == primary)

    def _why_kept(self, study: HeldStudy, objects: Sequence[HeldObject]) -> str:
        """Return why a study stays, empty if it may be deleted."""
        current = [one for one in objects if one.is_current]
        if not self._is_ordered and any(one.is_ordered for one in objects):
            return ORDERED
        if self._is_ordered and not all(one.is_ordered for one in objects if one.copies):
            return AGAIN
        if len(current) < study.instances or not all(one.copies for one in current):
            return LOST
        senders = [condition for keyword, _, condition in self._rule.conditions if keyword == CALLING_AE_TITLE]
        if not all(_is_sent_by(condition, one.calling_ae_title) for condition in senders for one in current):
            return UNMATCHED
        unproved = self._why_unproved(study, objects) or self._why_only_copy(objects)
        return unproved or self._why_in_conflict(study, current)

    def _why_unproved(self, study: HeldStudy, objects: Sequence[HeldObject]) -> str:
        """Return what is not known of a study that the rule demands, by its first alternative."""
        arrived = self._node.index.holdings.arrived(study)
        proofs = _Proofs(objects, arrived, self._rule.to, self._others, self._old_before)
        found = [next(filter(None, map(proofs.lacking, each)), "") for each in self._rule.after]
        return "" if "" in found else found[0]

    def _why_only_copy(self, objects: Sequence[HeldObject]) -> str:
        if self._rule.last_copy == DELETE or all(_is_good_on(one, self._others) for one in objects if one.copies):
            return ""
        return ONLY_COPY

    def _why_in_conflict(self, study: HeldStudy, current: Sequence[HeldObject]) -> str:
        uids = [one.sop_instance_uid for one in current]
        subjects = [study.study_instance_uid, *{one.series_instance_uid for one in current}]
        return CONFLICT if self._node.index.holdings.has_conflict(uids, subjects) else ""

    def _why_unmatched(self, current: Iterable[HeldObject]) -> str:
        """Return why a study is not meant by conditions for which the files are read."""
        conditions = [
            (keyword, condition)
            for keyword, _, condition in self._rule.conditions
            if keyword != CALLING_AE_TITLE and not _is_kept(keyword)
        ]
        if not conditions:
            return ""
        from medserver.routing.rules import is_fulfilled  # with pydicom

        for one in current:
            try:
                header = archive.read_header(self._node, one.copies[0])
            except StoreFailure:
                return UNREAD
            if not all(is_fulfilled(*each, header, one.calling_ae_title) for each in conditions):
                return UNMATCHED
        return ""


class _Proofs:
    """What is known of a study.

    An object and what was made from it are the same images: who has one has the other.

    Parameters
    ----------
    objects : sequence of HeldObject
        All of the study. A duplicate has to be proved as well: it is deleted with the instance.
    arrived : iterable of Arrived
        What was taken by whom.
    to : sequence of str
        Who must have it.
    others : collection of str
        The volumes, but the primary, that are present.
    old_before : datetime
        What was delivered later counts as not old enough.
    """

    def __init__(
        self,
        objects: Sequence[HeldObject],
        arrived: Iterable[Arrived],
        to: Sequence[str],
        others: Collection[str],
        old_before: datetime,
    ) -> None:
        self._families: defaultdict[int, list[HeldObject]] = defaultdict(list)
        for one in objects:
            self._families[one.origin].append(one)
        self._to = to
        self._others = others
        self._old_before = old_before
        self._arrived = {(one.sop_instance_uid, one.digest, one.destination): one for one in arrived}

    def lacking(self, proof: str) -> str:
        """Return what is not known, empty if the proof is given for all that is stored."""
        for family in self._families.values():
            if any(one.copies for one in family) and (reason := self._lacking(proof, family)):
                return reason
        return ""

    def _lacking(self, proof: str, family: Sequence[HeldObject]) -> str:
        if proof == ARCHIVED:
            return "" if any(_is_good_on(one, self._others) for one in family) else f"not {ARCHIVED}"
        for destination in self._to:
            keys = [(one.sop_instance_uid, one.digest, destination) for one in family]
            there = [self._arrived[key] for key in keys if key in self._arrived]
            if proof == COMMITTED:
                there = [one for one in there if one.is_committed]
            if not there:
                return f"not {proof} to {destination}" if proof != COMMITTED else f"not {proof} to by {destination}"
            if min(one.at for one in there) > self._old_before:
                return YOUNG
        return ""


def _is_good_on(one: HeldObject, volumes: Collection[str]) -> bool:
    return any(copy.state == GOOD and copy.volume in volumes for copy in one.copies)


def _is_sent_by(condition: Condition, calling_ae_title: str) -> bool:
    return matches(condition, calling_ae_title)
