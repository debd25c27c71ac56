"""The objects of several volumes in the order in which they were received.

Sorted paths give the order to the minute; within a minute the file meta information tells. The order matters
where the first object counts: among objects with the same SOP Instance UID, and for what is known of a
patient. Copies of one object come one after the other, as the volumes are ordered.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from medserver.archive.adoption import received_at, record_of_file
from medserver.archive.findings import Finding, Problem
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import InstanceRecord
from medserver.store import Volume, paths

_Object = tuple[str, Volume]


def records_in_order(
    walks: Sequence[tuple[Volume, Iterable[str]]], *, verify: bool, report: Callable[[Finding], None]
) -> Iterator[InstanceRecord]:
    """Yield the row of each object, in the order of receipt.

    Parameters
    ----------
    walks : sequence of tuple (Volume, iterable of str)
        Where the objects lie, and the paths of those that are wanted, sorted.
    verify : bool
        See `record_of_file`.
    report : callable
        Takes a finding for each object that has no row to give.

    Yields
    ------
    InstanceRecord
        What is kept in memory meanwhile is no more than the paths of one minute.
    """
    merged = heapq.merge(*(_with_volume(*walk) for walk in walks), key=lambda one: one[0])
    for _, minute in groupby(merged, key=lambda one: paths.directory_of(one[0])):
        for path, volume in _in_order(list(minute), report):
            try:
                yield record_of_file(volume, path, verify=verify)
            except StoreFailure as error:
                report(_finding(volume, path, error))


def _with_volume(volume: Volume, sorted_paths: Iterable[str]) -> Iterator[_Object]:
    return ((path, volume) for path in sorted_paths)


def _in_order(minute: list[_Object], report: Callable[[Finding], None]) -> list[_Object]:
    if len(minute) == 1:
        return minute
    keyed: list[tuple[datetime, str, int]] = []
    for number, (path, volume) in enumerate(minute):
        try:
            keyed.append((received_at(volume, path), path, number))
        except StoreFailure as error:
            report(_finding(volume, path, error))
    return [minute[number] for _, _, number in sorted(keyed)]


def _finding(volume: Volume, path: str, error: StoreFailure) -> Finding:
    problem = Problem.DAMAGED if isinstance(error, DamagedObject) else Problem.UNREADABLE
    return Finding(problem, volume.name, path, str(error))
