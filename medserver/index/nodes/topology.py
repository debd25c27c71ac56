"""Which nodes may share an index.

One node may do as it likes. Several need something that all of them reach, or what one host has received would be gone
with its disk, and be missing for the others:

* the same primary volume, on which the journal of each lies; or
* ``copies_before_success = 2`` or more on each node that receives, and a volume that all of them have.

A name means one volume: what the index says of it would be true on one host and false on the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from medserver.index.nodes.records import NodeRecord


def problem_of(node: NodeRecord, others: Iterable[NodeRecord]) -> str | None:
    """Return why a node cannot share the index with others, and what to do; None if it can."""
    others = [other for other in others if other.uuid != node.uuid]
    for other in others:
        for name in sorted(node.serves.volumes.keys() & other.serves.volumes.keys()):
            if node.serves.volumes[name] != other.serves.volumes[name]:
                return (
                    f"volume {name} is another one here than on {other.name}: let both be the same, or call this one "
                    f"otherwise{_if_gone(other)}"
                )
    every = [node, *others]
    if len({record.serves.volumes.get(record.serves.primary) for record in every}) == 1:
        return None
    shared = set.intersection(*(set(record.serves.volumes.values()) for record in every))
    alone = [one for one in every if one.serves.processes and one.serves.copies_before_success < 2]
    if shared and not alone:
        return None
    names = ", ".join(sorted(other.name for other in others))
    return (
        f"what is received here would be on the disk of one host alone, and {names} uses the index as well: let all "
        "have the same primary volume, or set [store] copies_before_success = 2 with a volume that all have"
        f"{_if_gone(others[0])}"
    )


def _if_gone(other: NodeRecord) -> str:
    return f"; if {other.name} is gone for good: medserver nodes forget {other.uuid}"
