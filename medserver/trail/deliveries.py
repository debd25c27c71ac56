"""What was sent by rules, told in the transaction that notes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from medserver.audit import Actor, AuditRow, events
from medserver.audit.codes import SERIOUS_FAILURE, SUCCESS
from medserver.index.jobs.outcome import Sent
from medserver.node import Node
from medserver.trail.recording import node_actor, rows
from medserver.trail.subjects import by_patient


def rows_of_sent(node: Node, sent: Sequence[Sent]) -> list[AuditRow]:
    """Return the messages of what was sent to other AEs, or could not be: of each destination and patient one.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    groups: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in sent:
        groups[each.ae_title, each.host, each.problem].append(each.sop_instance_uid)
    ours = node_actor(node.config.current)
    told = [
        events.instances_transferred(
            ours, Actor(ae_title, host), patient, studies, ours,
            outcome=SERIOUS_FAILURE if problem else SUCCESS, description=problem,
        )
        for (ae_title, host, problem), uids in groups.items()
        for patient, studies in by_patient(node.index.subjects_of(uids))
    ]  # fmt: skip
    return rows(node, told)
