"""Every copy is read again and again, and compared with its digests: the job ``verify``, and the same at once."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from medserver import archive
from medserver.archive import Finding, Problem
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import GOOD, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.presence import let_others_go_first, require_present
from medserver.store import Volume

logger = logging.getLogger(__name__)

RUN_S = 20.0
"""How long a job verifies; the next one goes on where it ended."""

READ_AGAIN_MAX = 200
"""How many copies that were found bad are read again by a job."""

NOTED_EVERY = 200
NOTED_EVERY_S = 1.0
BYTES_PER_MB = 1_000_000


def verify(node: Node, batch: Batch) -> None:
    """Verify for a while what is due on the volume `batch.destination`, the oldest first.

    Raises
    ------
    StoreFailure
        The volume is away.
    """
    volume = node.volumes.get(batch.destination)
    if volume is None:
        return
    require_present(volume)
    options = node.config.current.store
    before = node.clock() - timedelta(seconds=options.verify_interval)
    ends_at = time.monotonic() + RUN_S

    def should_stop() -> bool:
        return batch.should_stop or time.monotonic() >= ends_at

    let_others_go_first(node, should_stop)
    _read_bad_again(node, volume)
    due = due_for_verification(node, volume.name, before)
    for _ in verify_copies(node, due, Pace(options.verify_rate_max_mb_per_s * BYTES_PER_MB), should_stop=should_stop):
        pass  # what is found is in the log, noted in the index, and has a job


def _read_bad_again(node: Node, volume: Volume) -> None:
    """Read some of the copies again that were found bad: a cable or a mount may have been, and nobody would notice."""
    key = f"read again:{volume.name}"
    after = node.index.progress.get(key) or ""
    bad = (one for one in node.index.upkeep.bad() if one.volume == volume.name and one.path > after)
    page = list(islice(bad, READ_AGAIN_MAX))
    for copy in page:
        try:
            volume.verify(archive.as_stored(copy))
        except StoreFailure:
            require_present(volume)
        else:
            node.index.mark_location(copy.volume, copy.path, GOOD, verified_at=node.clock())
            logger.warning(Event("found good", volume=copy.volume, path=copy.path))
    node.index.progress.set(key, page[-1].path if len(page) == READ_AGAIN_MAX else None)


def due_for_verification(node: Node, volume: str, before: datetime) -> Iterator[StoredCopy]:
    """Yield the good copies on a volume that were neither written nor verified since a moment."""
    for copy in node.index.upkeep.to_verify(volume, before):
        if copy.verified_at is None and archive.sealed_at(copy) >= before:
            continue
        yield copy


def verify_copies(
    node: Node,
    copies: Iterable[StoredCopy],
    pace: Pace,
    *,
    progress: Callable[[int], None] = lambda count: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Finding]:
    """Read copies and compare them with their digests; note what is good, and have what is bad repaired.

    Parameters
    ----------
    node : Node
        Where they lie.
    copies : iterable of StoredCopy
        Which.
    pace : Pace
        How fast.
    progress : callable
        Called with the number of copies read since the last call.
    should_stop : callable
        Tells whether to end early.

    Yields
    ------
    Finding
        A copy that is bad or cannot be read.

    Raises
    ------
    StoreFailure, IndexFailure
        A volume is away, or the index failed.
    """
    verified: list[StoredCopy] = []
    noted_at = time.monotonic()
    try:
        for copy in copies:
            if should_stop():
                break
            finding = _verify_copy(node, copy)
            if finding is None:
                verified.append(copy)
            else:
                yield finding
            progress(1)
            pace.spend(copy.file_size_bytes)
            if len(verified) >= NOTED_EVERY or time.monotonic() >= noted_at + NOTED_EVERY_S:
                node.index.upkeep.note_verified(verified, node.clock())
                verified, noted_at = [], time.monotonic()
    finally:
        node.index.upkeep.note_verified(verified, node.clock())


def _verify_copy(node: Node, copy: StoredCopy) -> Finding | None:
    """Read a copy; None if it is good, or has been deleted meanwhile."""
    try:
        volume = node.volume(copy.volume)
        volume.verify(archive.as_stored(copy))
        return None
    except DamagedObject as error:
        problem, detail = Problem.DAMAGED, str(error)
    except StoreFailure as error:
        require_present(node.volume(copy.volume))
        if not _is_medium_error(error):
            return Finding(Problem.UNREADABLE, copy.volume, copy.path, str(error))
        problem, detail = Problem.DAMAGED, str(error)
    if not node.index.has_location(copy.volume, copy.path):
        return None
    archive.report_damage(node, copy.volume, copy.path, detail)
    return Finding(problem, copy.volume, copy.path, detail)


def _is_medium_error(error: StoreFailure) -> bool:
    """Tell whether the disk itself says that it cannot give the bytes: they are as good as changed."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO
