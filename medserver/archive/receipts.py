"""The objects of a volume in the order in which they were received.

Sorted paths give the order to the minute; within a minute the file meta information tells. The order matters
where the first object counts: among objects with the same SOP Instance UID, and for what is known of a
patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from medserver.archive.adoption import received_at, record_of_file
from medserver.archive.findings import Finding, Problem
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import InstanceRecord
from medserver.store import Volume, paths


def records_in_order(
    volume: Volume, sorted_paths: Iterable[str], *, verify: bool, report: Callable[[Finding], None]
) -> Iterator[InstanceRecord]:
    """Yield the row of each object, in the order of receipt.

    Parameters
    ----------
    volume : Volume
        Where the objects lie.
    sorted_paths : iterable of str
        Which ones.
    verify : bool
        See `record_of_file`.
    report : callable
        Takes a finding for each object that has no row to give.

    Yields
    ------
    InstanceRecord
        What is kept in memory meanwhile is no more than the paths of one minute.
    """
    for _, minute in groupby(sorted_paths, key=paths.directory_of):
        for path in _in_order(volume, list(minute), report):
            try:
                yield record_of_file(volume, path, verify=verify)
            except StoreFailure as error:
                report(_finding(volume, path, error))


def _in_order(volume: Volume, minute: list[str], report: Callable[[Finding], None]) -> list[str]:
    if len(minute) == 1:
        return minute
    keyed = []
    for path in minute:
        try:
            keyed.append((received_at(volume, path), path))
        except StoreFailure as error:
            report(_finding(volume, path, error))
    return [path for _, path in sorted(keyed)]


def _finding(volume: Volume, path: str, error: StoreFailure) -> Finding:
    problem = Problem.DAMAGED if isinstance(error, DamagedObject) else Problem.UNREADABLE
    return Finding(problem, volume.name, path, str(error))
