"""Where ``medserver workitem`` finds work items: in the index of this node, or at another AE. Both do the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from pydicom.dataset import Dataset

from medserver.cli.invocation import Invocation
from medserver.cli.peer import Peer, failure
from medserver.dicom import status, uids
from medserver.dicom.dataset_values import value_of
from medserver.dicom.keys import parse_key
from medserver.dicom.uids import new_uid
from medserver.node import Node, open_node
from medserver.scu import query
from medserver.scu import workitems as scu
from medserver.scu.exchange import Response
from medserver.services.workitem import REQUEST_CANCEL, SUBSCRIBE, SUSPEND, UNSUBSCRIBE
from medserver.wire.association import Association
from medserver.wire.requestor import Proposal
from medserver.workitems import cancelling, creating, retrieving, subscribing
from medserver.workitems.content import data_set
from medserver.workitems.searching import search

Content = Mapping[str, Any]
"""Attributes as DICOM JSON."""


class Here(AbstractContextManager):
    """The index of this node.

    Parameters
    ----------
    invocation : Invocation
        Which node.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._stack = ExitStack()

    def __enter__(self) -> Here:
        self.node: Node = open_node(self._invocation.config_file)
        self._stack.callback(self.node.close)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def find(self, identifier: Dataset) -> Iterator[Content]:
        """Yield the items that match."""
        keys = (
            parse_key(element.keyword, element.VR, value_of(identifier, element.keyword))
            for element in identifier
            if element.keyword
        )
        for row in search(self.node, [key for key in keys if key is not None]):
            if row is not None:
                yield retrieving.attributes_of(row)

    def get(self, uid: str) -> Content:
        """Return the attributes of an item."""
        return retrieving.retrieve(self.node, uid)

    def create(self, uid: str, attributes: Content) -> tuple[str, str]:
        """Create an item, and return its UID."""
        created = creating.create(self.node, uid, attributes, self._ae_title)
        return created.sop_instance_uid, str(created.remark or "")

    def cancel(self, uid: str, request: Content) -> str:
        """Have an item cancelled."""
        return str(cancelling.request_cancel(self.node, uid, self._ae_title, request) or "")

    def subscribe(self, uid: str, receiver: str, has_lock: bool) -> str:
        """Have an AE told of an item, or of all."""
        subscribing.subscribe(self.node, uid, receiver, has_lock)
        return ""

    def unsubscribe(self, uid: str, receiver: str) -> str:
        """Have an AE told no longer."""
        subscribing.unsubscribe(self.node, uid, receiver)
        return ""

    def suspend(self, receiver: str) -> str:
        """Have an AE told of no new items."""
        subscribing.suspend(self.node, uids.UPS_GLOBAL_SUBSCRIPTION_INSTANCE, receiver)
        return ""

    @property
    def _ae_title(self) -> str:
        return self.node.config.current.node.ae_title


class There(AbstractContextManager):
    """Another AE. One association for all, opened when it is needed.

    Parameters
    ----------
    peer : Peer
        The AE.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stack = ExitStack()
        self._association: Association | None = None

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def find(self, identifier: Dataset) -> Iterator[Content]:
        """Yield the items that match."""
        sop_class_uid = uids.UNIFIED_PROCEDURE_STEP_PULL
        for response in query.find(self._associated(), sop_class_uid, identifier):
            if status.is_pending(response.code):
                yield _json(response.identifier)
        if response.code != status.SUCCESS:
            raise failure(self._peer, "C-FIND", response)

    def get(self, uid: str) -> Content:
        """Return the attributes of an item."""
        response = scu.get(self._associated(), scu.PULL, uid)
        self._check("N-GET", response)
        return _json(response.identifier)

    def create(self, uid: str, attributes: Content) -> tuple[str, str]:
        """Create an item, and return its UID."""
        uid = uid or new_uid()
        return uid, self._check("N-CREATE", scu.create(self._associated(), uid, attributes))

    def cancel(self, uid: str, request: Content) -> str:
        """Have an item cancelled."""
        return self._act(scu.PUSH, uid, REQUEST_CANCEL, request)

    def subscribe(self, uid: str, receiver: str, has_lock: bool) -> str:
        """Have an AE told of an item, or of all."""
        lock = "TRUE" if has_lock else "FALSE"
        return self._act(scu.WATCH, uid, SUBSCRIBE, data_set(ReceivingAE=receiver, DeletionLock=lock))

    def unsubscribe(self, uid: str, receiver: str) -> str:
        """Have an AE told no longer."""
        return self._act(scu.WATCH, uid, UNSUBSCRIBE, data_set(ReceivingAE=receiver))

    def suspend(self, receiver: str) -> str:
        """Have an AE told of no new items."""
        everything = uids.UPS_GLOBAL_SUBSCRIPTION_INSTANCE
        return self._act(scu.WATCH, everything, SUSPEND, data_set(ReceivingAE=receiver))

    def _act(self, proposal: Proposal, uid: str, action_type_id: int, information: Content) -> str:
        return self._check("N-ACTION", scu.act(self._associated(), proposal, uid, action_type_id, information))

    def _check(self, operation: str, response: Response) -> str:
        """Return what is to be said of an operation.

        Raises
        ------
        RemoteError
            It was refused.
        """
        if not status.is_performed(response.code):
            raise failure(self._peer, operation, response)
        return status.describe(response.code, response.comment) if status.is_warning(response.code) else ""

    def _associated(self) -> Association:
        if self._association is None:
            proposals = [scu.PUSH, scu.PULL, scu.WATCH]
            self._association = self._stack.enter_context(self._peer.associated(proposals))
        return self._association


def place_of(invocation: Invocation, peer: Peer | None) -> Here | There:
    """Return where the items are: at a peer, or here."""
    return Here(invocation) if peer is None else There(peer)


def _json(dataset: Dataset | None) -> Content:
    return dataset.to_json_dict(suppress_invalid_tags=True) if dataset is not None else {}
