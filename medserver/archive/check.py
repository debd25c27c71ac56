"""Index and volumes compared, both ways: a row without its file, a file without its row, a file that has
changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile

from medserver.archive.copies import as_stored
from medserver.archive.findings import Finding, Problem
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import StoredLocation
from medserver.node import Node
from medserver.store import Volume

_PROGRESS = "check"
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

    A running node may receive meanwhile: an object that it is just about to enter is not reported.

    Parameters
    ----------
    node : Node
        Whose index and volumes.
    progress : callable
        Called with the number of objects done since the last call.
    digests : bool
        Read every object to its end and compare it with its digests. Otherwise only sizes are compared.
    noted_every : int
        How many objects are compared between two notes of how far it went.

    Yields
    ------
    Finding
        In the order of volumes and paths.

    Raises
    ------
    StoreFailure, IndexFailure
        A directory of a volume, or the index, cannot be read.
    """
    for name in _volume_names(node):
        volume = node.volumes.get(name)
        if volume is None:
            detail = "the index has objects here, the configuration has no such volume"
            yield Finding(Problem.UNKNOWN_VOLUME, name, "", detail)
        else:
            yield from _check_volume(node, volume, progress, digests, noted_every)
    restart_check(node)


def restart_check(node: Node) -> None:
    """Forget how far an interrupted check went."""
    for name in node.volumes:
        node.index.progress_set(_key(name), None)


def _volume_names(node: Node) -> list[str]:
    """Return the names of the volumes that are configured or have rows."""
    names = set(node.volumes)
    location = next(node.index.locations(), None)
    while location is not None:
        names.add(location.volume)
        location = next(node.index.locations((location.volume, _BEHIND_ALL)), None)
    return sorted(names)


def _check_volume(
    node: Node, volume: Volume, progress: Callable[[int], None], digests: bool, noted_every: int
) -> Iterator[Finding]:
    key = _key(volume.name)
    after = node.index.progress_get(key)
    locations = node.index.locations((volume.name, after or ""))
    both = pairs(takewhile(lambda one: one.volume == volume.name, locations), volume.walk(after))
    for number, (path, location, _) in enumerate(both, start=1):
        if isinstance(location, StoredLocation):
            yield from _check_location(volume, location, digests)
        elif not node.index.has_location(volume.name, path) and _exists(volume, path):
            yield Finding(Problem.NOT_INDEXED, volume.name, path, "the index has no row for this file")
        progress(1)
        if number % noted_every == 0:
            node.index.progress_set(key, path)


def pairs(
    locations: Iterator[StoredLocation], walk: Iterator[str]
) -> Iterator[tuple[str, StoredLocation | None, bool]]:
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


def _check_location(volume: Volume, location: StoredLocation, digests: bool) -> Iterator[Finding]:
    try:
        expected_bytes = location.data_set_offset + location.size_bytes
        size_bytes = volume.stat(location.path).size_bytes
        if size_bytes != expected_bytes:
            raise DamagedObject(f"{size_bytes} bytes instead of {expected_bytes}")
        if digests:
            volume.verify(as_stored(location))
    except DamagedObject as error:
        problem = Problem.DAMAGED if _exists(volume, location.path) else Problem.MISSING
        yield Finding(problem, volume.name, location.path, str(error))
    except (StoreFailure, ValueError) as error:
        yield Finding(Problem.UNREADABLE, volume.name, location.path, str(error))


def _exists(volume: Volume, path: str) -> bool:
    try:
        volume.stat(path)
    except DamagedObject:
        return False
    return True


def _key(volume: str) -> str:
    return f"{_PROGRESS}:{volume}"
