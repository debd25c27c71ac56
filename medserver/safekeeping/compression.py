"""Stored objects are compressed in the background, and their originals let go: the jobs ``compress`` and ``retire``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import takewhile

from medserver import archive
from medserver.archive.follow_ups import compression_job
from medserver.archive.payloads import CompressionPayload, RetirementPayload
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import CannotTranscode, StoreFailure, TransferSyntaxNotSupported
from medserver.index import GOOD, Job, ObjectKey, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, early, failed
from medserver.index.jobs.pages import in_pages
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import let_others_go_first, require_present, wait_until_writable


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
    payload = CompressionPayload.of(job)
    location = node.index.location(payload.volume, payload.path)
    if location is not None and not is_compressible(location):
        return done(job)
    try:
        if location is None:
            archive.remove_left_form(node, payload.path)
            return done(job)
        archive.compress_object(node, location, payload.to)
    except (CannotTranscode, TransferSyntaxNotSupported) as error:  # it stays as it is
        logger.info(Event("not compressed", sop_instance_uid=location.sop_instance_uid, reason=str(error)))
    except StoreFailure as error:
        require_present(node.primary_volume)
        return failed(job, str(error))
    return done(job)


def retire(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Let go of the originals of the compressed forms that a batch of jobs is about.

    Raises
    ------
    OutOfResources, IndexFailure
        There is no space to decode them, or the index does not work.
    """
    for job in batch:
        let_others_go_first(node, lambda: batch.should_stop)
        if batch.should_stop:
            return
        key = RetirementPayload.of(job).object
        yield _retire(node, job, ObjectKey(*key)) if key else done(job)  # those of earlier versions have none


def _retire(node: Node, job: Job, form: ObjectKey) -> Outcome:
    try:
        lacking = archive.retire_original(node, form)
    except StoreFailure as error:
        return failed(job, str(error))
    return early(job, f"its compressed form is not yet on {', '.join(lacking)}") if lacking else done(job)


def is_compressible(location: StoredCopy) -> bool:
    """Tell whether an object is one that may be compressed: the current one, and not compressed."""
    syntax = transfer_syntax(location.transfer_syntax_uid)
    return location.is_current and not syntax.encapsulated and not syntax.deflated


def queue_compression(node: Node, transfer_syntax_uid: str) -> int:
    """Have everything compressed that is stored uncompressed; return how many jobs that are."""
    primary = node.primary_volume.name
    on_primary = takewhile(lambda location: location.volume == primary, node.index.locations((primary, "")))
    jobs = (
        compression_job(location.volume, location.path, transfer_syntax_uid)
        for location in on_primary
        if location.state == GOOD and is_compressible(location)
    )
    return sum(len(node.index.add_jobs(page)) for page in in_pages(jobs))
