"""Stored objects are compressed in the background: the job ``compress``. The originals are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver import archive
from medserver.archive.follow_ups import compression_job
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import CannotTranscode, StoreFailure, TransferSyntaxNotSupported
from medserver.index import GOOD, Job, StoredLocation
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import let_others_go_first, require_present, wait_until_writable

_PAGE_JOBS = 500

logger = logging.getLogger(__name__)


def compress(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Compress what a batch of jobs is about.

    Raises
    ------
    OutOfResources, StoreFailure
        The primary volume takes nothing.
    """
    if not wait_until_writable(node.primary_volume, lambda: batch.should_stop):
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
        require_present(node.primary_volume)
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
