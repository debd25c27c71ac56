"""A new index from the volumes: they are the truth, the index only finds things in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from medserver.archive.findings import Finding, Problem
from medserver.archive.receipts import records_in_order
from medserver.archive.tombstones import load_tombstones
from medserver.index import InstanceRecord
from medserver.node import Node
from medserver.store import Volume, paths

_PROGRESS = "rebuild"


def rebuild(
    node: Node,
    progress: Callable[[int], None] = lambda count: None,
    *,
    verify: bool = False,
    noted_every: int = 500,
) -> Iterator[Finding]:
    """Enter every object of every volume into the index, in the order of receipt.

    An index that this fills from nothing equals the one that it replaces, but for what had been decided
    between objects that arrived at the same moment. When it is interrupted, calling it again on the same
    index goes on where it was.

    Parameters
    ----------
    node : Node
        With an empty index, or with one that an interrupted rebuild left. Nobody else writes meanwhile.
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
        An object that cannot be entered or is not needed. Nothing is deleted.

    Raises
    ------
    StoreFailure, IndexFailure, OutOfResources
        A volume or the index does not work.
    """
    load_tombstones(node)
    for name in sorted(node.volumes):
        yield from _rebuild_volume(node, node.volumes[name], progress, verify, noted_every)
    for name in node.volumes:
        node.index.progress_set(_key(name), None)


def is_rebuilding(node: Node) -> bool:
    """Tell whether an interrupted rebuild waits to be continued."""
    return any(node.index.progress_get(_key(name)) is not None for name in node.volumes)


def count_objects(node: Node) -> int:
    """Return how many objects a rebuild has still to look at."""
    return sum(sum(1 for _ in volume.walk(_resume(node, name))) for name, volume in node.volumes.items())


def _rebuild_volume(
    node: Node, volume: Volume, progress: Callable[[int], None], verify: bool, noted_every: int
) -> Iterator[Finding]:
    findings: list[Finding] = []
    key = _key(volume.name)
    node.index.progress_set(key, _resume(node, volume.name) or "")
    done, minute = 0, ""
    walk = _counted(volume.walk(_resume(node, volume.name)), progress)
    for record in records_in_order(volume, walk, verify=verify, report=findings.append):
        # A minute is done when the next one begins: within it, the order of receipt is not that of the paths.
        if paths.directory_of(record.path) != minute and done >= noted_every:
            node.index.progress_set(key, _last_of(minute))
            done = 0
        minute = paths.directory_of(record.path)
        done += 1
        findings.extend(_enter(node, record))
        yield from findings
        findings.clear()
    yield from findings


def _enter(node: Node, record: InstanceRecord) -> Iterator[Finding]:
    if node.index.tombstones.is_deleted(record):
        yield Finding(Problem.SURPLUS, record.volume, record.path, "deleted on purpose")
        return
    added = node.index.add(record)
    if not added.file_needed:
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


def _resume(node: Node, volume: str) -> str | None:
    return node.index.progress_get(_key(volume)) or None


def _key(volume: str) -> str:
    return f"{_PROGRESS}:{volume}"


def _last_of(minute: str) -> str:
    """Return what sorts behind all objects of a minute, and before those of the next."""
    return f"{minute}/~"
