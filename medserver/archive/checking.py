"""Index and volumes compared, both ways: a row without its file, a file without its row, a file that has
changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile

from medserver.archive.copies import as_stored
from medserver.archive.findings import Finding, Problem
from medserver.archive.follow_ups import REMOVE
from medserver.archive.payloads import RemovalPayload
from medserver.archive.marks import Mark, Marks
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import BAD, GOOD, JobFilter, StoredCopy
from medserver.node import Node
from medserver.store import Volume

# Sorts behind every path.
_BEHIND_ALL = "~"


def check(
    node: Node,
    progress: Callable[[int], None] = lambda count: None,
    *,
    digests: bool = False,
    noted_every: int = 1000,
) -> Iterator[Finding]:
    """Compare index and volumes. When it is interrupted, the next call goes on where it was.

    What the interrupted one had found is not found again: `interrupted_check` tells how much that was. A running node
    may receive meanwhile: an object that it is just about to enter is not reported.

    Parameters
    ----------
    node : Node
        Whose index and volumes.
    progress : callable
        Called with the number of objects done since the last call.
    digests : bool
        Read every object to its end and compare it with its digests. Otherwise only sizes are compared. The two
        do not go on where the other one was interrupted.
    noted_every : int
        How many objects are compared between two notes of how far it went.

    Yields
    ------
    Finding
        In the order of volumes and paths.

    Raises
    ------
    StoreFailure, IndexFailure
        A directory of the primary volume, or the index, cannot be read. Of another volume that is a finding.
    """
    for name in _volume_names(node):
        volume = node.volumes.get(name)
        if volume is None:
            detail = "the index has objects here, the configuration has no such volume"
            yield Finding(Problem.UNKNOWN_VOLUME, name, "", detail)
        else:
            yield from _check_readable(node, volume, progress, digests, noted_every)
    restart_check(node, digests=digests)


def interrupted_check(node: Node, *, digests: bool = False) -> list[Mark]:
    """Return where `check` with the same `digests` goes on, in each volume that it had begun."""
    return _marks(node, digests).all()


def restart_check(node: Node, *, digests: bool = False) -> None:
    """Forget how far an interrupted check went."""
    _marks(node, digests).clear()


def _volume_names(node: Node) -> list[str]:
    """Return the names of the volumes that are configured or have rows."""
    names = set(node.volumes)
    location = next(node.index.locations(), None)
    while location is not None:
        names.add(location.volume)
        location = next(node.index.locations((location.volume, _BEHIND_ALL)), None)
    return sorted(names)


def _check_readable(
    node: Node, volume: Volume, progress: Callable[[int], None], digests: bool, noted_every: int
) -> Iterator[Finding]:
    """Check a volume; if it cannot be reached, and is not the primary, the others are checked all the same."""
    try:
        yield from _check_volume(node, volume, progress, digests, noted_every)
    except StoreFailure as error:
        if volume is node.primary_volume:
            raise
        yield Finding(Problem.UNREADABLE, volume.name, "", str(error))


def _check_volume(
    node: Node, volume: Volume, progress: Callable[[int], None], digests: bool, noted_every: int
) -> Iterator[Finding]:
    marks = _marks(node, digests)
    mark = marks.get(volume.name) or Mark(volume.name, "", 0)
    ordered = _to_be_removed(node, volume)
    found = mark.found
    locations = node.index.locations((volume.name, mark.path))
    both = pairs(takewhile(lambda one: one.volume == volume.name, locations), volume.walk(mark.path or None))
    for number, (path, location, _) in enumerate(both, start=1):
        if location is None and path in ordered:
            continue  # a job removes it, and looks once more before
        for finding in _check_path(node, volume, path, location, digests):
            yield finding
            found += 1
        progress(1)
        if number % noted_every == 0:
            marks.set(Mark(volume.name, path, found))


def _to_be_removed(node: Node, volume: Volume) -> set[str]:
    """Return the paths of the files that jobs remove from a volume, of which the index has no rows any more."""
    paths: set[str] = set()
    for job in node.index.jobs.list(JobFilter(REMOVE, volume.name)):
        payload = RemovalPayload.of(job)
        paths.update(payload.paths)
        paths.update(path for path, *_ in payload.surplus)
    return paths


def pairs(
    locations: Iterator[StoredCopy], walk: Iterator[str]
) -> Iterator[tuple[str, StoredCopy | None, bool]]:
    """Merge the two sorted sequences: yield each path once, with its row if there is one, and whether there is a
    file."""
    location, path = next(locations, None), next(walk, None)
    while location is not None or path is not None:
        if location is None or (path is not None and path < location.path):
            yield path, None, True
            path = next(walk, None)
        else:
            yield location.path, location, path == location.path
            if path == location.path:
                path = next(walk, None)
            location = next(locations, None)


def _check_path(
    node: Node, volume: Volume, path: str, location: StoredCopy | None, digests: bool
) -> Iterator[Finding]:
    if location is not None:
        yield from _check_location(node, volume, location, digests)
    elif not node.index.has_location(volume.name, path) and _exists(volume, path):
        from medserver.archive.surplus import why_surplus  # it reads the header, which brings pydicom

        if why := why_surplus(node, volume, path):
            yield Finding(Problem.SURPLUS, volume.name, path, why[1])
        else:
            yield Finding(Problem.NOT_INDEXED, volume.name, path, _what_is_known(node, volume.name, path))


def _check_location(node: Node, volume: Volume, location: StoredCopy, digests: bool) -> Iterator[Finding]:
    try:
        expected_bytes = location.file_size_bytes
        size_bytes = volume.stat(location.path).size_bytes
        if size_bytes != expected_bytes:
            raise DamagedObject(f"{size_bytes} bytes instead of {expected_bytes}")
        if digests:
            volume.verify(as_stored(location))
        elif location.state == BAD:
            raise DamagedObject("it was found to be damaged, and has not been repaired")
    except DamagedObject as error:
        problem = Problem.DAMAGED if _exists(volume, location.path) else Problem.MISSING
        yield Finding(problem, volume.name, location.path, f"{error}; {_others(node, location)}")
    except (StoreFailure, ValueError) as error:
        yield Finding(Problem.UNREADABLE, volume.name, location.path, str(error))


def _others(node: Node, location: StoredCopy) -> str:
    """Say which other copies there are."""
    good = [copy.volume for copy in node.index.copies_of(location) if copy.state == GOOD]
    others = [volume for volume in good if volume != location.volume]
    return f"good copies: {', '.join(others)}" if others else "no other good copy"


def _what_is_known(node: Node, volume: str, path: str) -> str:
    """Say of a file without a row whether it is a copy: those of an object have the same path on every volume."""
    known = [name for name in node.volumes if name != volume and node.index.has_location(name, path)]
    return "the index has no row for this file" + (f"; it has one for the copy on {', '.join(known)}" if known else "")


def _exists(volume: Volume, path: str) -> bool:
    try:
        volume.stat(path)
    except DamagedObject:
        return False
    return True


def _marks(node: Node, digests: bool) -> Marks:
    return Marks(node, "check with digests" if digests else "check")
