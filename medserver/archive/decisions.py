"""Decisions of people as they lie on the volumes, beside the objects: an index that is made anew comes to the same.

A decision is a row and a job, in one transaction; the job writes the note, again and again until it is written.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from medserver.archive.follow_ups import NOTE_DECISION, decision_job
from medserver.archive.payloads import DecisionPayload
from medserver.archive.notes import load_notes, write_notes
from medserver.index import InstanceRecord, JobFilter, ObjectKey, Promotion, Resolution
from medserver.node import Node
from medserver.store import DECISIONS, Volume, paths

Decision = Promotion | Resolution

_PROMOTE, _CONFLICT = "promote", "conflict"


def note_of(decision: Decision) -> dict[str, Any]:
    """Return a decision as it is noted."""
    if isinstance(decision, Resolution):
        what = {"what": _CONFLICT, "kind": decision.kind, "subject": decision.subject}
        what["fingerprint"] = decision.fingerprint
    else:
        what = {
            "what": _PROMOTE,
            "sop_instance_uid": decision.sop_instance_uid,
            "digest": decision.digest,
            "transfer_syntax_uid": decision.transfer_syntax_uid,
            "forms": [_version(key) for key in decision.forms],
            "others": [_version(key) for key in decision.others],
            "paths": list(decision.paths),
        }
    moment = decision.decided_at.isoformat()
    return what | {"decided_at": moment, "by": decision.decided_by, "why": decision.reason}


def resolve_conflict(node: Node, number: int, *, by: str, why: str) -> bool:
    """Note what was decided about a conflict, in the index and on the volumes.

    Parameters
    ----------
    node : Node
        With the index that knows it.
    number : int
        Which conflict.
    by, why : str
        Who decided, and what.

    Returns
    -------
    bool
        False if there is none, or something was decided before.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    return node.index.resolve_conflict(number, by, why, lambda resolved: [decision_job(note_of(resolved))])


def write_decisions(node: Node, notes: Iterable[Mapping[str, Any]]) -> None:
    """Write decisions to every volume that can be reached; again is harmless.

    Raises
    ------
    StoreFailure
        That is none.
    """
    write_notes(node, DECISIONS, notes)


def write_waiting_decisions(node: Node) -> None:
    """Write the decisions of which the jobs have not been done: before something is made from the volumes alone.

    Raises
    ------
    StoreFailure, IndexFailure
        No volume can be reached, or the index does not work.
    """
    if notes := [DecisionPayload.of(job).note for job in node.index.jobs.list(JobFilter(NOTE_DECISION))]:
        write_decisions(node, notes)


def load_promotions(node: Node, volumes: Iterable[Volume] | None = None) -> list[Promotion]:
    """Return the promotions that all volumes, or some, tell of, each once, in the order in which they were decided."""
    known = (one for one in _load(node, volumes) if isinstance(one, Promotion))
    found = {(one.sop_instance_uid, one.decided_at): one for one in known}
    return sorted(found.values(), key=lambda one: one.decided_at)


def load_resolutions(node: Node, volumes: Iterable[Volume] | None = None) -> None:
    """Enter what was decided about conflicts, as all volumes or some tell it, into an index that has these conflicts.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    known = [one for one in _load(node, volumes) if isinstance(one, Resolution)]
    node.index.restore_resolutions(sorted(known, key=lambda one: one.decided_at))


def in_order(
    promotions: Iterable[Promotion], records: Iterable[InstanceRecord]
) -> Iterator[Promotion | InstanceRecord]:
    """Yield promotions where they belong among objects in the order of `receipts.records_in_order`.

    Parameters
    ----------
    promotions : iterable of Promotion
        In the order in which they were decided.
    records : iterable of InstanceRecord
        In the order of receipt.
    """
    return heapq.merge(promotions, records, key=_position)


def _position(one: Promotion | InstanceRecord) -> tuple[str, datetime]:
    """Return what sorts by the minute in which it was stored, within that by the moment of receipt."""
    if isinstance(one, Promotion):
        return paths.minute_directory(one.decided_at), one.decided_at
    return paths.directory_of(one.path), one.received_at


def _load(node: Node, volumes: Iterable[Volume] | None) -> list[Decision]:
    decisions: list[Decision] = []
    load_notes(node, DECISIONS, _decision, decisions.extend, volumes)
    return decisions


def _decision(fields: dict[str, Any]) -> Decision:
    what, moment = fields["what"], datetime.fromisoformat(fields["decided_at"])
    by, why = str(fields["by"]), str(fields["why"])
    if what == _CONFLICT:
        return Resolution(*(str(fields[name]) for name in ("kind", "subject", "fingerprint")), moment, by, why)
    if what != _PROMOTE:
        raise ValueError(what)
    uid = str(fields["sop_instance_uid"])
    forms, others = (
        tuple(ObjectKey(uid, str(digest), str(syntax)) for digest, syntax in fields[name])
        for name in ("forms", "others")
    )
    return Promotion(
        sop_instance_uid=uid,
        digest=str(fields["digest"]),
        transfer_syntax_uid=str(fields["transfer_syntax_uid"]),
        decided_at=moment,
        decided_by=by,
        reason=why,
        forms=forms,
        others=others,
        paths=tuple(map(str, fields["paths"])),
    )


def _version(key: ObjectKey) -> list[str]:
    return [key.digest, key.transfer_syntax_uid]
