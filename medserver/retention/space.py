"""How much a volume is to be freed of, by a rule with a watermark.

It begins when more is taken than the watermark says, and ends when no more is taken than the rule's `until`: in between
it is noted that it has begun.
"""

from __future__ import annotations

from dataclasses import dataclass

from medserver.archive.follow_ups import REMOVE
from medserver.config import Retention, Watermark
from medserver.errors import StoreFailure
from medserver.node import Node
from medserver.safekeeping.deletion import DELETE


@dataclass(frozen=True, slots=True)
class Space:
    """What is taken of a volume, with what is to be left free on its disk.

    Parameters
    ----------
    volume : str
        Which.
    size_bytes, taken_bytes : int
        In all, and of that.
    is_begun : bool
        Whether it is being freed.
    is_settled : bool
        Whether everything is gone from it that was ordered to go: else nobody knows how much that frees.
    """

    volume: str
    size_bytes: int
    taken_bytes: int
    is_begun: bool
    is_settled: bool = True

    @property
    def percentage(self) -> float:
        """What is taken [%]."""
        return 100.0 * self.taken_bytes / self.size_bytes

    def excess_bytes(self, mark: Watermark) -> int:
        """Return of how much the volume is to be freed now; 0 if of nothing."""
        if not self.is_settled or (not self.is_begun and self.percentage <= mark.above):
            return 0
        return max(0, self.taken_bytes - self.size_bytes * mark.until // 100)


def space_of(node: Node, rule: Retention) -> Space | None:
    """Return what is taken of the volume of a rule; None if that does not matter to it.

    Raises
    ------
    StoreFailure
        The volume is away, or does not tell.
    """
    if rule.watermark is None:
        return None
    name = rule.watermark.volume
    condition = node.volume(name).condition()
    if not condition.size_bytes or condition.free_bytes is None:
        raise StoreFailure(f"volume {name} is {condition.state}: {condition.detail}")
    taken_bytes = condition.size_bytes - max(condition.free_bytes, 0)
    is_begun = node.index.progress.get(_key(rule)) is not None
    return Space(name, condition.size_bytes, taken_bytes, is_begun, _is_settled(node, name))


def set_begun(node: Node, rule: Retention, begun: bool) -> None:
    """Note whether a rule is freeing its volume."""
    node.index.progress.set(_key(rule), "begun" if begun else None)


def _is_settled(node: Node, volume: str) -> bool:
    return not any(
        one.kind == DELETE or (one.kind == REMOVE and one.destination == volume)
        for one in node.index.jobs.counts()
        if one.state != "dead"
    )


def _key(rule: Retention) -> str:
    return f"retention:freeing:{rule.name}"
