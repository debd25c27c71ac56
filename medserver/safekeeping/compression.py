"""Stored objects are compressed in the background: the jobs ``compress`` and ``retire``.

``retire`` removes an original, and only when its compressed form has been read to its end on every volume that is to
have a copy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver import archive
from medserver.archive.follow_ups import compression_job
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import CannotTranscode, StoreFailure, TransferSyntaxNotSupported
from medserver.index import GOOD, Job, StoredLocation, Superseded
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.deletion import deletion_jobs
from medserver.safekeeping.drained import is_draining
from medserver.safekeeping.presence import let_others_go_first, require_present, wait_until_writable

RETIRE = "retire"
RETIRE_INTERVAL_S = 60.0

BY, REASON = "compression", "its compressed form has taken its place"

_PAGE_JOBS = 500

logger = logging.getLogger(__name__)


def compress(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Compress what a batch of jobs is about.

    Raises
    ------
    OutOfResources, StoreFailure
        The primary volume takes nothing.
    """
    if not wait_until_writable(node, node.primary_volume, lambda: batch.should_stop):
        return
    for job in batch:
        let_others_go_first(node, lambda: batch.should_stop)
        if batch.should_stop:
            return
        yield _compress(node, job)


def _compress(node: Node, job: Job) -> Outcome:
    location = node.index.location(job.payload["volume"], job.payload["path"])
    if location is None or not is_compressible(location):
        return done(job)
    try:
        archive.compress_object(node, location, job.payload["to"])
    except (CannotTranscode, TransferSyntaxNotSupported) as error:  # it stays as it is
        logger.info(Event("not compressed", sop_instance_uid=location.sop_instance_uid, reason=str(error)))
    except StoreFailure as error:
        require_present(node, node.primary_volume)
        return failed(job, str(error))
    return done(job)


def is_compressible(location: StoredLocation) -> bool:
    """Tell whether an object is one that may be compressed: an instance, and neither compressed nor put aside."""
    syntax = transfer_syntax(location.transfer_syntax_uid)
    return location.role == "instance" and not syntax.encapsulated and not syntax.deflated


def queue_compression(node: Node, transfer_syntax_uid: str) -> int:
    """Have everything compressed that is stored uncompressed; return how many jobs that are."""
    count = 0
    jobs = []
    for location in node.index.locations((node.primary_volume.name, "")):
        if location.volume != node.primary_volume.name:
            break
        if location.state == GOOD and is_compressible(location):
            jobs.append(compression_job(location.volume, location.path, transfer_syntax_uid))
        if len(jobs) == _PAGE_JOBS:
            count += len(node.index.add_jobs(jobs))
            jobs.clear()
    return count + len(node.index.add_jobs(jobs) if jobs else [])


def retire(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Remove the originals whose compressed form is safe; the others are looked at again the next time."""
    for job in batch:
        after = 0
        ready: list[Superseded] = []
        while not batch.should_stop and (page := node.index.originals.superseded(after)):
            ready += [one for _, one in page if _is_safe(node, one)]
            after = page[-1][0]
        originals = [one.original for one in ready]
        yield done(job, *deletion_jobs(node, originals, by=BY, reason=REASON))


def _is_safe(node: Node, superseded: Superseded) -> bool:
    """Read the compressed form on each volume that is to have it, unless that was done since it was written."""
    wanted = {name for name in node.volumes if not is_draining(node, name)}
    for copy in node.index.copies_of(superseded.compressed):
        if copy.state != GOOD or copy.volume not in wanted:
            continue
        if copy.verified_at is None:
            try:
                node.volume(copy.volume).verify(archive.as_stored(copy))
            except StoreFailure as error:
                logger.warning(Event("not retired", volume=copy.volume, path=copy.path, reason=str(error)))
                continue
            node.index.mark_location(copy.volume, copy.path, GOOD, verified_at=node.clock())
        wanted.discard(copy.volume)
    return not wanted
