"""What was made from what, over several steps: from what a UID names back to its sources, and on to all made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from medserver.errors import NoSuchInstance
from medserver.index.derivations import Derivation, DerivedInstance
from medserver.node import Node

STEPS_MAX = 1000
"""So many steps are told."""


@dataclass(frozen=True, slots=True)
class Part:
    """What of one series went into a step, or came out of it.

    Parameters
    ----------
    study_instance_uid, series_instance_uid : str
        The series.
    instances : tuple of str
        SOP Instance UIDs.
    stored : frozenset of str
        Those of them that are still stored here.
    """

    study_instance_uid: str
    series_instance_uid: str
    instances: tuple[str, ...]
    stored: frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one work item has made.

    Parameters
    ----------
    derivation : Derivation
        As it was noted.
    before, after : tuple of Part
        What went in, and what came out.
    """

    derivation: Derivation
    before: tuple[Part, ...]
    after: tuple[Part, ...]


def lineage_of(node: Node, uid: str) -> list[Step]:
    """Return the steps that lead to what a UID names, and those that go on from it, in the order of time.

    Parameters
    ----------
    uid : str
        Of an instance, a series or a work item.

    Raises
    ------
    NoSuchInstance
        Nothing was made of it, and it was made of nothing.
    """
    found = _derivations(node, uid)
    if not found:
        raise NoSuchInstance(f"{uid}: nothing that was processed here has been made of it, nor has it been")
    return [_step(node, each) for each in sorted(found, key=lambda each: (each.made_at, each.workitem_uid))]


def _derivations(node: Node, uid: str) -> list[Derivation]:
    derivations = node.index.derivations
    item = derivations.of_item(uid)
    if item is not None:
        before, after = [item], [item]
    else:
        of_uid = derivations.of(uid)
        before = [each for each in of_uid if _names(each.outputs, uid)]
        after = [each for each in of_uid if _names(each.inputs, uid)]
    found = _walked(node, before, _inputs, _outputs) | _walked(node, after, _outputs, _inputs)
    return list(found.values())[:STEPS_MAX]


def _names(instances: Iterable[DerivedInstance], uid: str) -> bool:
    return any(uid in (one.sop_instance_uid, one.series_instance_uid) for one in instances)


Side = Callable[[Derivation], Sequence[DerivedInstance]]


def _inputs(derivation: Derivation) -> Sequence[DerivedInstance]:
    return derivation.inputs


def _outputs(derivation: Derivation) -> Sequence[DerivedInstance]:
    return derivation.outputs


def _walked(node: Node, begin: Iterable[Derivation], near: Side, far: Side) -> dict[str, Derivation]:
    """Return derivations by their work items, and those that are reached from them in one direction.

    Parameters
    ----------
    near, far : callable
        The side of a derivation from which it goes on, and the side of the next one that it meets.
    """
    found = {each.workitem_uid: each for each in begin}
    waiting = list(found.values())
    while waiting and len(found) < STEPS_MAX:
        for each in _beside(node, near(waiting.pop()), far):
            if each.workitem_uid not in found:
                found[each.workitem_uid] = each
                waiting.append(each)
    return found


def _beside(node: Node, instances: Sequence[DerivedInstance], far: Side) -> Iterator[Derivation]:
    """Yield the derivations that have one of these instances on a side."""
    uids = {one.sop_instance_uid for one in instances}
    for place in {one.series_instance_uid or one.sop_instance_uid for one in instances}:
        for each in node.index.derivations.of(place):
            if any(one.sop_instance_uid in uids for one in far(each)):
                yield each


def _step(node: Node, derivation: Derivation) -> Step:
    return Step(derivation, _parts(node, derivation.inputs), _parts(node, derivation.outputs))


def _parts(node: Node, instances: Iterable[DerivedInstance]) -> tuple[Part, ...]:
    def series_of(one: DerivedInstance) -> tuple[str, str]:
        return one.study_instance_uid, one.series_instance_uid

    return tuple(
        _part(node, *series, [one.sop_instance_uid for one in of_it])
        for series, of_it in groupby(sorted(instances, key=series_of), series_of)
    )


def _part(node: Node, study_instance_uid: str, series_instance_uid: str, uids: Sequence[str]) -> Part:
    return Part(study_instance_uid, series_instance_uid, tuple(uids), frozenset(node.index.instances(uids)))
