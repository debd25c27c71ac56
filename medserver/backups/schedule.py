"""Backups at regular intervals: the jobs ``backup-survey`` and ``backup``."""

from __future__ import annotations

from collections.abc import Iterator

from medserver.backups.creation import create_backup
from medserver.backups.retention import remove_old_backups
from medserver.index import Interrupted, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node

SURVEY, BACKUP = "backup-survey", "backup"

SURVEY_INTERVAL_S = 60.0


def survey(node: Node, batch: Batch) -> None:
    """Add the next backup if it is time for it."""
    interval_s = node.config.current.backup.interval
    if interval_s:
        node.index.jobs.add_periodic(BACKUP, interval_s, NewJob(BACKUP))


def back_up(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Make a backup on the volume that the configuration names, and remove those that are too old.

    Raises
    ------
    OutOfResources, StoreFailure, IndexFailure
        It cannot be made; the earlier ones stay.
    """
    config = node.config.current
    volume = node.volume(config.backup_volume.name)
    for job in batch:
        try:
            made = create_backup(node, volume, lambda: batch.should_stop)
        except Interrupted:
            return
        if made is None:
            return
        remove_old_backups(volume, config.backup.keep, made, node.clock())
        yield done(job)
