"""The jobs that follow from what happens to an object. They are done by `medserver.safekeeping` and
`medserver.delivery`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from medserver.archive.payloads import (
    CompressionPayload,
    DecisionPayload,
    FilePayload,
    ReceiptPayload,
    RemovalPayload,
    RetirementPayload,
    StepPayload,
    StudyPayload,
    listed,
)
from medserver.index import HIGH, LOW, InstanceRecord, NewJob, ObjectKey
from medserver.node import Node

REPLICATE, REPAIR, REMOVE, COMPRESS, RETIRE = "replicate", "repair", "remove", "compress", "retire"
NOTE_DECISION = "note_decision"
ROUTE, ROUTE_STEP, RELEASE = "route", "route_step", "release"


def replication_jobs(node: Node, volume: str, path: str) -> list[NewJob]:
    """Return what makes the copies of a new object: a job for each other volume that is to have one.

    Parameters
    ----------
    node : Node
        Whose volumes.
    volume, path : str
        Where the object lies.
    """
    return [replication_job(name, volume, path) for name in node.replica_names if name != volume]


def replication_job(target: str, volume: str, path: str) -> NewJob:
    """Return what makes a copy of a file on the volume `target`."""
    return NewJob(REPLICATE, FilePayload(path, volume), destination=target)


def route_job_of(record: InstanceRecord) -> NewJob:
    """Return what decides to whom an object is sent, if that was not decided when it came."""
    return NewJob(ROUTE, ReceiptPayload(record.sop_instance_uid, record.digest, record.calling_ae_title or ""))


def step_route_job(sop_instance_uid: str) -> NewJob:
    """Return what decides to whom a performed procedure step is sent."""
    return NewJob(ROUTE_STEP, StepPayload(sop_instance_uid))


def release_job(study_instance_uid: str) -> NewJob:
    """Return what looks at once whether what is held of a study can be sent."""
    return NewJob(RELEASE, StudyPayload(study_instance_uid))


def note_complete(node: Node, evidence: str, studies: Iterable[str], at: datetime) -> None:
    """Note that studies seemed complete at a moment, if a rule goes by that (see `medserver.delivery.evidence`)."""
    studies = list(dict.fromkeys(studies))
    if studies and node.config.current.goes_by(evidence):
        node.index.completions.note(evidence, studies, at, map(release_job, studies))


def compression_job(volume: str, path: str, transfer_syntax_uid: str) -> NewJob:
    """Return what compresses an object. Nobody waits for it, so it comes after everything else."""
    return NewJob(COMPRESS, CompressionPayload(volume, path, transfer_syntax_uid), priority=LOW)


def retire_job(form: ObjectKey) -> NewJob:
    """Return what lets go of the original of a compressed form when that has proved itself."""
    return NewJob(RETIRE, RetirementPayload(listed(form)), priority=LOW)


def decision_job(note: Mapping[str, Any]) -> NewJob:
    """Return what writes a decision to the volumes, see `medserver.archive.decisions`."""
    return NewJob(NOTE_DECISION, DecisionPayload(dict(note)))


def removal_job(volume: str, paths: Sequence[str]) -> NewJob:
    """Return what removes files that the index does not know any more, of objects that were deleted on purpose."""
    return NewJob(REMOVE, RemovalPayload(tuple(paths)), destination=volume)


def surplus_job(volume: str, files: Sequence[tuple[str, ObjectKey]], *, where: str = "") -> NewJob:
    """Return what removes files that the index does not know any more, while something else is good.

    Parameters
    ----------
    volume : str
        Where they lie.
    files : sequence of tuple (str, ObjectKey)
        The path of each, and the object of which a good copy must be found.
    where : str
        The volume of that copy; empty if it may be on any.
    """
    surplus = tuple((path, *listed(key)) for path, key in files)
    return NewJob(REMOVE, RemovalPayload(surplus=surplus, where=where), destination=volume)


def repair_job(volume: str, path: str) -> NewJob:
    """Return what makes a bad copy good again. Whoever needs the object waits for it, so it goes first."""
    return NewJob(REPAIR, FilePayload(path), destination=volume, priority=HIGH)
