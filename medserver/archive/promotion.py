"""A person decides which object of an instance is the current one.

First the rows are changed for good, with the job that notes it on the volumes, then the notes are written. A crash in
between leaves the job. What is decided on is what was received: where something was made from that and has taken its
place, that becomes the current object.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from medserver.archive.adoption import record_of_file, warn_of_conflicts
from medserver.archive.damage import report_damage
from medserver.archive.decisions import note_of
from medserver.archive.findings import Finding, Problem
from medserver.archive.follow_ups import compression_job, decision_job
from medserver.crash import crash_point
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import BadUsage, DamagedObject, IndexUnavailable, StoreFailure
from medserver.index import GOOD, InstanceRecord, NewJob, ObjectKey, ObjectVersion, Promotion, StoredCopy
from medserver.index.objects.lineage import leading
from medserver.log import Event
from medserver.node import Node
from medserver.store import paths

_ATTEMPTS_MAX = 8

logger = logging.getLogger(__name__)


def promote(node: Node, key: ObjectKey, *, by: str, why: str) -> Promotion:
    """Make an object the current one of its instance, or what was made from it and has taken its place.

    A copy of it is read in full before. Nothing is routed: nobody has sent anything. The conditions of acquisition are
    read anew from its header, as those of every instance that has none.

    Parameters
    ----------
    node : Node
        Where it is stored.
    key : ObjectKey
        Which object.
    by, why : str
        Who decides, and why.

    Returns
    -------
    Promotion
        What was decided; durable. It names the object that is the current one now.

    Raises
    ------
    BadUsage
        It is the current object, is to be deleted, or is not there.
    DamagedObject
        No copy of it is what was stored.
    StoreFailure, IndexFailure
        No copy of it can be read, or the index does not work.
    """
    for _ in range(_ATTEMPTS_MAX):  # it is made anew by what comes between reading and writing
        record = _read_good(node, _candidates(node.index.versions.of(key.sop_instance_uid), key))
        performed = node.index.promotions.perform(
            record, by=by, why=why, sealed_at=paths.sealed_minute, jobs_of=partial(_jobs, node, record)
        )
        if performed is None:
            continue
        promotion, conflicts = performed
        crash_point("decision committed")
        logger.warning(
            Event("promoted", sop_instance_uid=promotion.sop_instance_uid, digest=promotion.digest, by=by, reason=why)
        )
        warn_of_conflicts(record, conflicts)
        return promotion
    raise IndexUnavailable("index: others kept changing the same instance")


def enter_promotion(node: Node, promotion: Promotion) -> Iterator[Finding]:
    """Enter what a note tells, among the objects that were received before; what the index knows changes nothing.

    Yields
    ------
    Finding
        The object cannot be read, and what was current stays that.

    Raises
    ------
    IndexFailure, OutOfResources
        The index does not work.
    """
    if node.index.promotions.is_known(promotion):
        return
    target, record = node.index.promotions.target(promotion), None
    for copy in node.index.copies_of(target) if target is not None else ():
        try:
            record = record_of_file(node.volume(copy.volume), copy.path, verify=False)
            break
        except StoreFailure as error:
            problem = Problem.DAMAGED if isinstance(error, DamagedObject) else Problem.UNREADABLE
            yield Finding(problem, copy.volume, copy.path, str(error))
    node.index.promotions.enter(promotion, record)


def _candidates(versions: Sequence[ObjectVersion], key: ObjectKey) -> list[ObjectVersion]:
    """Return what can become the current object: what has taken the place of the one that is meant, then that.

    Raises
    ------
    BadUsage
        Nothing can.
    """
    meant = next((one for one in versions if one.key == key), None)
    if meant is None:
        raise BadUsage("the object is not stored any more")
    first = leading(versions, meant)
    if meant.is_current:
        raise BadUsage(f"object {meant.number} is the current one already")
    if first.is_current and _has_good(first):
        raise BadUsage(f"object {meant.number} is the current one already, as object {first.number}, made from it")
    candidates = [first, meant] if first is not meant and not first.is_current else [meant]
    if any(one.is_to_be_deleted for one in candidates):
        raise BadUsage(f"object {meant.number} is to be deleted: its deletion was ordered")
    return candidates


def _has_good(version: ObjectVersion) -> bool:
    return any(copy.state == GOOD for copy in version.copies)


def _read_good(node: Node, candidates: Sequence[ObjectVersion]) -> InstanceRecord:
    """Return the record of the first of some objects of which a copy is what was stored: all of it is read."""
    failure: StoreFailure | None = None
    for copy in (copy for one in candidates for copy in one.copies if copy.state == GOOD):
        try:
            return _read(node, copy)
        except DamagedObject as error:
            report_damage(node, copy.volume, copy.path, str(error))
            failure = failure or error
        except StoreFailure as error:
            failure = failure or error
    raise failure or DamagedObject("no copy of the object is good")


def _read(node: Node, copy: StoredCopy) -> InstanceRecord:
    record = record_of_file(node.volume(copy.volume), copy.path, verify=True)
    if (record.key, record.meta_digest) != (copy.key, copy.meta_digest):
        raise DamagedObject(f"{copy.volume}:{copy.path}: the file meta information is not what was stored")
    return record


def _jobs(node: Node, record: InstanceRecord, promotion: Promotion) -> Iterator[NewJob]:
    """Yield what follows. Copies are made of every object, whether it is current or not; only these are compressed."""
    yield decision_job(note_of(promotion))
    syntax = transfer_syntax(record.transfer_syntax_uid)
    compress_to = node.config.current.compress_to_of(record.calling_ae_title or "")
    if compress_to and record.original is None and not syntax.encapsulated and not syntax.deflated:
        yield compression_job(record.volume, record.path, compress_to)
