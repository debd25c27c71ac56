"""A new index from the volumes: they are the truth, the index only finds things in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from medserver.archive.adoption import adopt
from medserver.archive.decisions import in_order, load_promotions, load_resolutions
from medserver.archive.findings import Finding, Problem
from medserver.archive.follow_ups import removal_job
from medserver.archive.marks import Mark, Marks
from medserver.archive.performed_steps import load_steps
from medserver.archive.promotion import enter_promotion
from medserver.archive.receipts import records_in_order
from medserver.archive.tombstones import load_tombstones
from medserver.errors import StoreFailure
from medserver.index import InstanceRecord, Promotion
from medserver.node import Node
from medserver.store import Volume, paths


def rebuild(
    node: Node,
    progress: Callable[[int], None] = lambda count: None,
    *,
    verify: bool = False,
    noted_every: int = 500,
) -> Iterator[Finding]:
    """Enter every object of every volume into the index, in the order of receipt, and what was decided between them.

    Any one volume with all objects yields the same index; several yield it with all copies.

    An index that this fills from nothing equals the one that it replaces, but for what had been decided
    between objects that arrived at the same moment. When it is interrupted, calling it again on the same
    index goes on where it was; what it had found until then, `interrupted_rebuild` tells.

    Parameters
    ----------
    node : Node
        With an index that `can_rebuild` allows. Nobody else writes meanwhile.
    progress : callable
        Called with the number of objects done since the last call.
    verify : bool
        Read every data set to its end and compare it with its digest; one that differs is not entered.
    noted_every : int
        How many objects are entered at least between two notes of how far it went. To enter one again changes
        nothing.

    Yields
    ------
    Finding
        An object that cannot be entered or is not needed, or a volume that cannot be read (with an empty path).
        Nothing is deleted.

    Raises
    ------
    IndexFailure, OutOfResources
        The index does not work.
    """
    _marks(node, not verify).clear()
    load_tombstones(node)
    load_steps(node)
    marks = _marks(node, verify)
    mark = _mark(node, verify)
    marks.set(mark)
    reported: list[Finding] = []
    found, done, minute = mark.found, 0, ""
    for record in _in_order(node, mark, verify, progress, reported.append):
        if isinstance(record, Promotion):
            reported.extend(enter_promotion(node, record))
            continue
        yield from reported
        found += len(reported)
        # A minute is done when the next one begins: within it, the order of receipt is not that of the paths.
        if paths.directory_of(record.path) != minute and done >= noted_every:
            behind = sum(paths.directory_of(finding.path) > minute for finding in reported if finding.path)
            marks.set(Mark(mark.volume, _last_of(minute), found - behind))
            done = 0
        reported.clear()
        minute = paths.directory_of(record.path)
        done += 1
        for finding in _enter(node, record):
            yield finding
            found += 1
    yield from reported
    load_resolutions(node)
    marks.clear()


def _in_order(
    node: Node, mark: Mark, verify: bool, progress: Callable[[int], None], report: Callable[[Finding], None]
) -> Iterator[InstanceRecord | Promotion]:
    """Yield the objects behind a mark, and among them all promotions: those that the index has change nothing."""
    walks = [
        (volume, _counted(_walk(volume, mark.path or None, report), progress)) for volume in node.volumes.values()
    ]
    return in_order(load_promotions(node), records_in_order(walks, verify=verify, report=report))


def interrupted_rebuild(node: Node, *, verify: bool = False) -> list[Mark]:
    """Return where `rebuild` with the same `verify` goes on, if it had begun: in all volumes at the same path."""
    return _marks(node, verify).all()


def can_rebuild(node: Node, *, verify: bool = False) -> bool:
    """Tell whether `rebuild` makes of this index what the volumes hold.

    It does of an empty one, and of one that an interrupted rebuild with the same `verify` left: what another one
    entered may not have been looked at closely enough.
    """
    return bool(interrupted_rebuild(node, verify=verify)) or not node.index.counts().locations


def count_objects(node: Node, *, verify: bool = False) -> int:
    """Return how many objects a rebuild has still to look at, copies counted."""
    after = _mark(node, verify).path or None
    return sum(sum(1 for _ in _walk(volume, after, lambda finding: None)) for volume in node.volumes.values())


def _walk(volume: Volume, after: str | None, report: Callable[[Finding], None]) -> Iterator[str]:
    """Yield the objects of a volume; one that cannot be reached is reported, the others have copies."""
    try:
        yield from volume.walk(after)
    except StoreFailure as error:
        report(Finding(Problem.UNREADABLE, volume.name, "", str(error)))


def _enter(node: Node, record: InstanceRecord) -> Iterator[Finding]:
    added = adopt(node, record, in_bulk=True)
    if added.outcome == "deleted":
        node.index.add_jobs([removal_job(record.volume, [record.path])])
        yield Finding(Problem.SURPLUS, record.volume, record.path, "deleted on purpose, and removed when the node runs")
    elif not added.file_needed:
        detail = (
            "refused: another object has its SOP Instance UID"
            if added.outcome == "rejected"
            else "stored twice"
        )
        yield Finding(Problem.SURPLUS, record.volume, record.path, detail)


def _counted(walk: Iterator[str], progress: Callable[[int], None]) -> Iterator[str]:
    for path in walk:
        yield path
        progress(1)


def _mark(node: Node, verify: bool) -> Mark:
    """Return where the rebuild goes on: one mark for all volumes, under the name of the primary one."""
    volume = node.primary_volume.name
    return _marks(node, verify).get(volume) or Mark(volume, "", 0)


def _marks(node: Node, verify: bool) -> Marks:
    return Marks(node, "rebuild with digests" if verify else "rebuild")


def _last_of(minute: str) -> str:
    """Return what sorts behind all objects of a minute, and before those of the next."""
    return f"{minute}/~"
