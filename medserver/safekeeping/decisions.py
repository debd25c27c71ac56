"""Decisions of people are noted on the volumes: the job ``note_decision``."""

from __future__ import annotations

from medserver.archive.decisions import write_decisions
from medserver.archive.payloads import DecisionPayload
from medserver.crash import crash_point
from medserver.index.jobs.batch import Batch
from medserver.node import Node


def note_decisions(node: Node, batch: Batch) -> None:
    """Write what a batch of jobs is about to every volume that can be reached.

    Raises
    ------
    StoreFailure
        That is none.
    """
    write_decisions(node, [DecisionPayload.of(job).note for job in batch])
    crash_point("decision noted")
