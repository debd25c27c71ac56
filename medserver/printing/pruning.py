"""Films that have ended are forgotten after a while: the jobs ``film_prune`` and ``film_orphans``.

The row goes first, and only then the images: in between somebody could ask for the film to be printed again. A crash
there, or between the images and the row of a film that was never queued, leaves a file that no row knows. What has no
row for a day has none any more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver.config.printer import KEEP_DEFAULT_S
from medserver.crash import crash_point
from medserver.errors import StoreFailure
from medserver.index import FilmRow, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node

FILM_PRUNE, FILM_ORPHANS = "film_prune", "film_orphans"

INTERVAL_S = 3600.0
ORPHAN_AGE = timedelta(days=1)
NAMES_MAX = 100
"""How many files one job looks at."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OrphansPayload(Payload):
    """Files of films that had no row.

    Parameters
    ----------
    volume : str
        Where they are.
    names : tuple of str
        Theirs.
    """

    volume: str
    names: tuple[str, ...]


def prune_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Forget films that have ended, and have files looked at that no row knows."""
    for job in batch:
        config, forgotten = node.config.current, 0
        for name in {printer for printer, _ in node.index.films.counts()}:
            printer = config.printer(name)
            before = node.clock() - timedelta(seconds=KEEP_DEFAULT_S if printer is None else printer.keep_s)
            while not batch.should_stop and (rows := node.index.films.ended(name, before)):
                forgotten += _forgotten(node, rows, before)
        if forgotten:
            logger.info(Event("films forgotten", count=forgotten))
        yield done(job, *_orphans(node))


def remove_orphans(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Remove files of films that have no row still."""
    for job in batch:
        payload = OrphansPayload.of(job)
        orphans = [name for name in payload.names if node.index.films.get(name) is None]
        try:
            volume = node.volume(payload.volume)
            present = {*volume.films.names()}
            for name in orphans:
                volume.films.delete(name)
        except StoreFailure as error:
            yield failed(job, str(error))
            continue
        if removed := present.intersection(orphans):
            logger.warning(Event("images of no film removed", volume=payload.volume, count=len(removed)))
        yield done(job)


def _forgotten(node: Node, rows: Sequence[FilmRow], before: datetime) -> int:
    """Forget films, and return how many."""
    node.index.films.forget([row.uid for row in rows], before)
    crash_point("film forgotten")
    gone = [row for row in rows if node.index.films.get(row.uid) is None]
    for row in gone:
        if not row.volume:
            continue
        try:
            node.volume(row.volume).films.delete(row.uid)
        except StoreFailure as error:  # it is an orphan now
            logger.warning(Event("images of a film not removed", uid=row.uid, reason=str(error)))
    return len(gone)


def _orphans(node: Node) -> Iterator[NewJob]:
    """Yield jobs that look once more, in a day, at files that no row knows now."""
    due_at = node.clock() + ORPHAN_AGE
    for volume in node.volumes.values():
        try:
            names = [name for name in volume.films.names() if node.index.films.get(name) is None]
        except StoreFailure:  # it is away: another time
            continue
        for start in range(0, len(names), NAMES_MAX):
            payload = OrphansPayload(volume.name, tuple(names[start : start + NAMES_MAX]))
            yield NewJob(FILM_ORPHANS, payload, destination=volume.name, due_at=due_at)
