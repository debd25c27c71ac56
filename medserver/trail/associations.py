"""What comes over an association is counted in the transactions that enter it, and told at its end, study by study.

So a C-STORE costs one row that is counted up, and what was acknowledged is told although the process was killed: the
rows of an association whose process is gone are summed up by the next start, or by whoever seals.
"""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from medserver.audit import Actor, AuditEvent, AuditRow, events, rows_of
from medserver.audit.codes import SERIOUS_FAILURE
from medserver.errors import MedserverError
from medserver.host import is_dead, this_process
from medserver.index import Transfer, Transferred
from medserver.log import Event
from medserver.node import Node
from medserver.trail.recording import node_actor, source_of

logger = logging.getLogger(__name__)


class Carried:
    """What an association has carried towards this node.

    Parameters
    ----------
    node : Node
        This node.
    association_id : str
        What the log calls the association.
    remote : Actor
        Who is at the other end.
    is_requestor : bool
        Whether that one has opened it.
    """

    def __init__(self, node: Node, association_id: str, remote: Actor, *, is_requestor: bool = True) -> None:
        self._node = node
        self._remote = remote
        ours = node_actor(node.config.current)
        parties = {"source": _fields(remote), "destination": _fields(ours), "requestor": is_requestor}
        self.transfer = Transfer(
            f"{_process_name(node)}:{association_id}", json.dumps(parties, separators=(",", ":"))
        )
        self._has_any = False
        self._failed: dict[tuple[str, str], int] = {}

    def begin(self) -> Transfer:
        """Return what is given to a reception on it."""
        self._has_any = True
        return self.transfer

    def fail(self, study_instance_uid: str, sop_class_uid: str) -> None:
        """Note that an instance was refused, or could not be stored."""
        key = (study_instance_uid, sop_class_uid)
        self._failed[key] = self._failed.get(key, 0) + 1

    def end(self) -> None:
        """Let what was counted become rows. What fails is left to whoever sums up, and is in the log."""
        if not self._has_any and not self._failed:
            return
        failed = [
            Transferred(
                self.transfer.association, study, sop_class, "C", SERIOUS_FAILURE, self.transfer.parties, "", "", count
            )
            for (study, sop_class), count in self._failed.items()
        ]
        try:
            _finish(self._node, self.transfer.association, failed)
        except MedserverError as error:
            logger.error(Event("audit trail", problem=str(error), left="what an association has carried"))


def finish_left(node: Node) -> int:
    """Sum up the associations whose process is gone; return how many those were.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    process = this_process(node.config.current.node.data)
    left = [each for each in node.index.audit.associations() if is_dead(each, process)]
    for association in left:
        _finish(node, association)
    return len(left)


def _finish(node: Node, association: str, more: Sequence[Transferred] = ()) -> None:
    now, source = node.clock(), source_of(node.config.current)

    def build(carried: Sequence[Transferred]) -> list[AuditRow]:
        return rows_of(_told([*carried, *more]), now, source)

    node.index.audit.finish(association, build)


def _told(carried: Sequence[Transferred]) -> Iterator[AuditEvent]:
    """Yield a message for each study, and for each thing that has become of its instances (PS3.15 A.5.2)."""
    patients = {each.study_instance_uid: events.Patient(each.patient_id, each.patient_name) for each in carried[::-1]}
    groups: defaultdict[tuple[str, str, int, str], dict[str, int]] = defaultdict(dict)
    for each in carried:
        group = groups[each.study_instance_uid, each.action, each.outcome, each.parties]
        group[each.sop_class_uid] = group.get(each.sop_class_uid, 0) + each.count
    for (study, action, outcome, parties), sop_classes in sorted(groups.items()):
        told = json.loads(parties)
        source, destination = Actor(*told["source"]), Actor(*told["destination"])
        yield events.instances_transferred(
            source,
            destination,
            patients[study],
            [events.Study(study, sop_classes)],
            source if told["requestor"] else destination,
            action=action,
            outcome=outcome,
            description="refused, or not stored" if outcome else "",
        )


def _fields(actor: Actor) -> list[str]:
    return [actor.ae_title, actor.address, actor.process, actor.user, actor.certificate]


_process_names: dict[tuple[int, str], str] = {}
"""By process ID and data folder: what was true before a fork is not behind it."""


def _process_name(node: Node) -> str:
    key = (os.getpid(), str(node.config.data))
    name = _process_names.get(key)
    if name is None:
        name = _process_names[key] = str(this_process(node.config.current.node.data))
    return name
