"""How safe the objects are, at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver.index import JobCount, Tally, VolumeTally
from medserver.node import Node
from medserver.safekeeping.drained import is_draining
from medserver.store import READY, paths

UNKNOWN, DRAINING = "not configured", "draining"


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    """One volume.

    Parameters
    ----------
    name, role : str
        As in the configuration; the role is ``draining`` if it is to be empty.
    state, detail : str
        See `medserver.store.condition`; ``not configured`` if only the index knows it.
    free_bytes : int or None
        What it still takes.
    copies, bad, missing : int
        How many copies it has, how many of these are bad, and how many objects have none here.
    unverified_since : datetime or None
        When the good copy was written or verified for which that is the longest ago; None if there is none.
    """

    name: str
    role: str
    state: str
    detail: str
    free_bytes: int | None
    copies: int
    bad: int
    missing: int
    unverified_since: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """All volumes, all objects, and what is to be done.

    Parameters
    ----------
    volumes : tuple of VolumeStatus
        In the order of reading.
    copies : Mapping of int to int
        The number of good copies -> how many objects have so many.
    objects, lost : int
        How many objects there are, and how many of them have no good copy.
    originals, originals_bytes : int
        How many of them were replaced by compressed forms of themselves and are kept, and how long those are together.
    jobs : tuple of JobCount
        What waits, runs or is dead.
    conflicts, new_conflicts : int
        How many conflicts nobody has decided on, and how many of them were found in the last day.
    """

    volumes: tuple[VolumeStatus, ...]
    copies: Mapping[int, int]
    objects: int
    lost: int
    originals: int
    originals_bytes: int
    jobs: tuple[JobCount, ...]
    conflicts: int = 0
    new_conflicts: int = 0

    @property
    def unverified_since(self) -> datetime | None:
        """When the copy was verified, of all, for which it is the longest ago."""
        return min((one.unverified_since for one in self.volumes if one.unverified_since), default=None)

    @property
    def is_well(self) -> bool:
        """Whether nothing is bad, missing or away."""
        return not self.lost and all(
            not one.bad and (not one.missing or one.role == DRAINING) and one.state == READY
            for one in self.volumes
        )


def status_of(node: Node) -> Status:
    """Look at every volume, and count in the index.

    Raises
    ------
    IndexFailure
        The index cannot be read.
    """
    tally, removed = node.index.upkeep.tally(), node.index.removals.counts()
    originals, originals_bytes = node.index.forms.kept()
    conflicts, new_conflicts = node.index.unresolved_conflicts(node.clock() - timedelta(days=1))
    names = [*node.volumes, *(name for name in tally.volumes if name not in node.volumes)]
    return Status(
        volumes=tuple(_volume_status(node, name, tally, removed.get(name, 0)) for name in names),
        copies=tally.copies,
        objects=tally.objects,
        lost=tally.copies.get(0, 0),
        originals=originals,
        originals_bytes=originals_bytes,
        jobs=tuple(node.index.jobs.counts()),
        conflicts=conflicts,
        new_conflicts=new_conflicts,
    )


def _volume_status(node: Node, name: str, tally: Tally, removed: int) -> VolumeStatus:
    here = tally.volumes.get(name, VolumeTally())
    volume = node.volumes.get(name)
    role, state, detail, free_bytes = "-", UNKNOWN, "", None
    if volume is not None:
        condition = volume.condition()
        state, detail, free_bytes = condition.state, condition.detail, condition.free_bytes
        role = next(one.role for one in node.config.current.volumes if one.name == name)
    if is_draining(node, name):
        role = DRAINING
    return VolumeStatus(
        name=name,
        role=role,
        state=state,
        detail=detail,
        free_bytes=free_bytes,
        copies=here.copies,
        bad=here.bad,
        # An object has one copy on a volume, so what is not there is missing, unless it was removed on purpose.
        missing=0 if volume is None else max(0, tally.objects - here.copies - removed),
        unverified_since=_unverified_since(here),
    )


def _unverified_since(here: VolumeTally) -> datetime | None:
    never = paths.sealed_minute(here.first_never_verified) if here.first_never_verified else None
    return min((moment for moment in (never, here.first_verified_at) if moment), default=None)
