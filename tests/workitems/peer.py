"""pynetdicom as requester, performer and watcher of work items: the SCU of Push, Pull, Watch and Query."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
    UPSGlobalSubscriptionInstance,
)

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.workitems.samples import new_item, performed

PUSH, PULL, WATCH = UnifiedProcedureStepPush, UnifiedProcedureStepPull, UnifiedProcedureStepWatch
QUERY, EVENT = UnifiedProcedureStepQuery, UnifiedProcedureStepEvent
ALL = UPSGlobalSubscriptionInstance


class Peer:
    """An association with the node for work items.

    Parameters
    ----------
    association : Association
        With contexts of all five SOP classes.
    """

    def __init__(self, association: Association) -> None:
        self.association = association

    def create(self, uid: str | None, attributes: Dataset | None = None) -> Dataset:
        """Create an item (N-CREATE); return the command set of the answer."""
        self._ready()
        return self.association.send_n_create(attributes or dataset(new_item()), PUSH, uid)[0]

    def set(self, uid: str, modifications: Dataset, named: str = PUSH) -> Dataset:
        """Change an item (N-SET on Pull)."""
        self._ready()
        return self.association.send_n_set(modifications, named, uid, meta_uid=PULL)[0]

    def get(self, uid: str, *tags: int, context: str = PULL) -> tuple[int, Dataset]:
        """Read an item (N-GET)."""
        self._ready()
        answer, attributes = self.association.send_n_get(list(tags), PUSH, uid, meta_uid=context)
        return answer.Status, attributes

    def act(self, uid: str, action: int, context: str, named: str = PUSH, **information: Any) -> int:
        """Do something to an item (N-ACTION); return the status."""
        self._ready()
        given = Dataset()
        for keyword, value in information.items():
            setattr(given, keyword, value)
        return self.association.send_n_action(given or None, action, named, uid, meta_uid=context)[0].Status

    def change_state(self, uid: str, state: str, transaction_uid: str = "", named: str = PUSH) -> int:
        """Change the state of an item."""
        return self.act(uid, 1, PULL, named, ProcedureStepState=state, TransactionUID=transaction_uid)

    def request_cancel(self, uid: str, context: str = PUSH, **information: Any) -> int:
        """Ask for an item to be cancelled."""
        return self.act(uid, 2, context, **information)

    def subscribe(self, receiver: str, uid: str = ALL, lock: bool = False) -> int:
        """Subscribe an AE."""
        return self.act(uid, 3, WATCH, ReceivingAE=receiver, DeletionLock="TRUE" if lock else "FALSE")

    def unsubscribe(self, receiver: str, uid: str = ALL) -> int:
        """End a subscription."""
        return self.act(uid, 4, WATCH, ReceivingAE=receiver)

    def suspend(self, receiver: str, uid: str = ALL) -> int:
        """Suspend a subscription to all."""
        return self.act(uid, 5, WATCH, ReceivingAE=receiver)

    def find(self, context: str = PULL, **keys: Any) -> list[Dataset]:
        """Search (C-FIND); return the matches."""
        self._ready()
        identifier = Dataset()
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        answers = list(self.association.send_c_find(identifier, context))
        assert answers[-1][0].Status == 0x0000, hex(answers[-1][0].Status)
        return [match for status, match in answers if status.Status in (0xFF00, 0xFF01)]

    def _ready(self) -> None:
        # Else pynetdicom's own thread, which has not noticed yet that it may go on, takes the answer for a request.
        wait_until(lambda: not self.association._is_paused, what="the thread of the association to go on")


@contextmanager
def associated(node: Node, ae_title: str) -> Iterator[Peer]:
    """Give an association with the node."""
    ae = AE(ae_title)
    for context in (PUSH, PULL, WATCH, QUERY, EVENT):
        ae.add_requested_context(context)
    association = ae.associate(node.address.host, node.address.port, ae_title=node.address.ae_title)
    assert association.is_established
    try:
        yield Peer(association)
    finally:
        association.release()


def dataset(content: dict[str, Any]) -> Dataset:
    """Return DICOM JSON as a data set."""
    return Dataset.from_json(content)


def done(**changes: Any) -> Dataset:
    """Return the modification list that a performer sends before the end."""
    return dataset(performed(**changes))
