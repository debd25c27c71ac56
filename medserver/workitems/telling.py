"""What the audit trail tells of work items (PS3.15 A.5.3.15)."""

from __future__ import annotations

from collections.abc import Sequence

from medserver import trail
from medserver.audit import AuditRow, events
from medserver.dicom.json_model import JSON
from medserver.node import Node
from medserver.trail.acting import actor_here, is_remote
from medserver.trail.subjects import subject_of_step


def rows_of_new(node: Node, sop_instance_uid: str, content: JSON) -> list[AuditRow]:
    """Return what is told of an item that is created."""
    patient, studies = subject_of_step(sop_instance_uid, content)
    return trail.rows(node, [events.procedure_record(actor_here(node), "C", patient, studies)])


def rows_of_change(node: Node, sop_instance_uid: str, content: JSON, states: Sequence[str]) -> list[AuditRow]:
    """Return what is told of a change: of each by others, and of the states that an item of ours goes through."""
    if not states and not is_remote():  # the progress of what this node performs
        return []
    patient, studies = subject_of_step(sop_instance_uid, content)
    described = ", ".join(states)
    return trail.rows(
        node, [events.procedure_record(actor_here(node), "U", patient, studies, description=described)]
    )
