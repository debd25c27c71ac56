"""Every table of the index, and what a power cut may take of it.

On PostgreSQL every commit is flushed. On SQLite (WAL, ``synchronous = NORMAL``) a commit outlives the process, and the
machine only after the next flush of the log: a power cut takes the last transactions, all behind some moment, and the
index is what it was at that moment. Hence the two kinds of tables:

*remade*
    What was lost is made again, by the next start from the volumes, or by whoever made it, from what the index was.
    Nothing is flushed.
*authoritative*
    What was answered stands here alone. A transaction that changes such a table is flushed before `Writer.run` returns;
    those who wait at the same moment share one flush.

A table that is not declared counts as authoritative, and a test refuses it. Those of the queue, ``huey_...``, are
Huey's and hold messages that cost time only.

Jobs are remade. Those that follow from an object are added in the transaction of its row: a power cut takes both or
none, and who adopts the object adds its jobs again. Those that follow from an authoritative row (a deletion, a report
on a commitment, the forwarding of a performed procedure step) are flushed with it. Those that follow from a job are
added in the transaction in which that ends: if it is taken, the job is there again, and is done again, which every kind
of job allows; a delivery may be sent twice. What is left is the hand of an administrator, on jobs and with nothing else
in the transaction: `Jobs` flushes that.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

REMADE, AUTHORITATIVE = "remade", "authoritative"


@dataclass(frozen=True, slots=True)
class Table:
    """What is declared of a table.

    Parameters
    ----------
    kind : str
        `REMADE` or `AUTHORITATIVE`.
    why : str
        By whom it is made again, or what was answered that stands here.
    lost_by_rebuild : str
        What an administrator is told that a rebuild from the volumes does not bring back, in the plural; empty if it
        does, or if it is of no consequence.
    counted : str
        The condition, in SQL, on the rows of which that is true.
    """

    kind: str
    why: str
    lost_by_rebuild: str = ""
    counted: str = "1 = 1"


_OF_OBJECTS = Table(REMADE, "from the objects, by the next start")
_STEPS = Table(AUTHORITATIVE, "N-CREATE and N-SET were answered; a rebuild reads the notes on the volumes")
_ACTION = "N-ACTION and N-EVENT-REPORT were answered"
_PAUSES = Table(AUTHORITATIVE, "an administrator paused it", "pauses of jobs", "paused = 1")

TABLES: Mapping[str, Table] = {
    "patients": _OF_OBJECTS,
    "studies": _OF_OBJECTS,
    "series": _OF_OBJECTS,
    "instances": _OF_OBJECTS,
    "objects": _OF_OBJECTS,
    "locations": Table(
        REMADE, "from the objects; those of replicas by the jobs that look for missing copies",
        "verdicts on bad copies", "state = 'bad'",
    ),
    "conflicts": Table(AUTHORITATIVE, "an administrator resolved it; a rebuild reads the notes on the volumes"),
    "promotions": Table(AUTHORITATIVE, "an administrator decided; a rebuild reads the notes on the volumes"),
    "volumes": Table(AUTHORITATIVE, "an administrator added or detached it; a rebuild reads the markers"),
    "nodes": Table(REMADE, "by the next heartbeat"),
    "index_lock": Table(AUTHORITATIVE, "a restore has begun, and nobody uses what it has not finished"),
    "writers": Table(REMADE, "by the next connection (PostgreSQL)"),
    "unknown_callers": Table(REMADE, "by the next call", "unknown callers"),
    "tombstones": Table(AUTHORITATIVE, "a deletion was ordered; a rebuild reads the notes on the volumes"),
    "deletions": Table(AUTHORITATIVE, "a deletion was ordered, or withdrawn by C-STORE", "deletions not yet done"),
    "removed_copies": Table(
        REMADE, "by the rule that wants it, when they were made again",
        "copies that a rule has removed from the primary volume, which are made there again",
    ),
    "performed_steps": _STEPS,
    "performed_step_studies": _STEPS,
    "performed_step_series": _STEPS,
    "workitems": Table(AUTHORITATIVE, "N-CREATE, N-SET and N-ACTION were answered", "work items"),
    "workitem_subscriptions": Table(AUTHORITATIVE, "N-ACTION was answered"),
    "workitem_global_subscriptions": Table(AUTHORITATIVE, "N-ACTION was answered", "subscriptions to all work items"),
    "commitments": Table(AUTHORITATIVE, _ACTION, "transactions of storage commitment"),
    "commitment_instances": Table(AUTHORITATIVE, _ACTION),
    "completions": Table(AUTHORITATIVE, "a release of an association, which does not come again"),
    "progress": Table(
        AUTHORITATIVE, "an administrator began to drain a volume; a poll was answered",
        "volumes that are drained, and last polls", "name LIKE 'drain:%' OR name LIKE 'poll:%'",
    ),
    "jobs": Table(REMADE, "see above", "jobs, such as deliveries that wait"),
    "rule_versions": Table(AUTHORITATIVE, "a delivery was decided by it, and is made as it says"),
    "delivered": Table(
        REMADE, "its job, which ends in the same transaction, is done again", "what is known to have been delivered"
    ),
    "films": Table(AUTHORITATIVE, "N-ACTION was answered, or a film was asked for otherwise", "films to be printed"),
    "accounts": Table(AUTHORITATIVE, "an administrator added or changed it", "users and tokens"),
    "derivations": Table(
        REMADE, "by the work item, which is completed behind it and is performed again", "what was made from what"
    ),
    "derivation_instances": Table(REMADE, "by the work item, which is completed behind it and is performed again"),
    "audit_pending": Table(AUTHORITATIVE, "what it tells of was answered", "audit messages that are not sealed"),
    "audit_trail": Table(AUTHORITATIVE, "the audit trail", "audit messages"),
    "audit_chain": Table(AUTHORITATIVE, "the audit trail goes on from here"),
    "audit_repositories": Table(REMADE, "what was sent since is sent again"),
    "audit_transfers": Table(REMADE, "with the objects that it counts: what is adopted again is counted again"),
    "job_kinds": _PAUSES,
    # Made with the first job, hence flushed: so is the first row of a new archive, by which a start knows that there
    # was an index, and that what it adopts is to be routed.
    "job_lanes": _PAUSES,
    "job_schedule": Table(REMADE, "by the next worker: what is periodic comes too early once"),
    "schema_migrations": Table(REMADE, "by the next start: it is lost with all that the migration did"),
}  # fmt: skip
"""Table -> what is declared of it."""

_REMADE = frozenset(name for name, table in TABLES.items() if table.kind == REMADE)


def has_authoritative(names: Set[str]) -> bool:
    """Tell whether a transaction that changes some tables is to be flushed."""
    return not names <= _REMADE
