"""pynetdicom, unchanged, as an independent client and as a C-MOVE destination that does as it is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from medserver.dicom import uids
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role

from tests.peers import Address
from tests.peers.ports import free_port

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN
ALL_TRANSFER_SYNTAXES = tuple(syntax.uid for syntax in uids.TRANSFER_SYNTAXES)


@contextmanager
def associated(
    remote: Address,
    contexts: Iterable[PresentationContext | str],
    *,
    calling_ae_title: str = "FINDSCU",
    extended: Mapping[str, bytes] | None = None,
    handlers: Sequence[tuple[Any, Callable]] = (),
    receives: Iterable[str] = (),
) -> Iterator[Association]:
    """Open an association with pynetdicom; whether it is established is for the test to see.

    Parameters
    ----------
    contexts : iterable of PresentationContext or str
        A SOP class stands for the two common transfer syntaxes.
    extended : mapping of str to bytes
        SOP Class Extended Negotiation.
    receives : iterable of str
        The SOP classes that it wants to receive as the SCP of the sub-operations of a C-GET.
    """
    ae = AE(calling_ae_title)
    requested = [
        build_context(one, [EXPLICIT, IMPLICIT]) if isinstance(one, str) else one
        for one in [*contexts, *receives]
    ]
    items: list[Any] = [build_role(uid, scp_role=True) for uid in receives]
    for sop_class_uid, information in (extended or {}).items():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
        items.append(item)
    association = ae.associate(
        remote.host,
        remote.port,
        requested,
        remote.ae_title,
        ext_neg=items,
        evt_handlers=list(handlers),
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def answers(responses: Iterable[tuple[Dataset, Dataset | None]]) -> tuple[tuple[int, ...], list[Dataset]]:
    """Return the statuses and the pending identifiers of what `send_c_find` gives."""
    statuses, identifiers = [], []
    for response, identifier in responses:
        statuses.append(response.Status)
        if identifier is not None and response.Status in (0xFF00, 0xFF01):
            identifiers.append(identifier)
    return tuple(statuses), identifiers


class Receiver:
    """A storage SCP that keeps the encoded data sets.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    contexts : mapping of str to sequence of str
        The SOP classes that it takes, and their transfer syntaxes.
    respond : callable, optional
        SOP Instance UID to the status of its C-STORE; 0x0000 for all by default. May wait.
    port : int, optional
        Its port, a free one by default.
    """

    def __init__(
        self,
        ae_title: str,
        contexts: Mapping[str, Sequence[str]],
        respond: Callable[[str], int] | None = None,
        port: int | None = None,
    ) -> None:
        self.address = Address(ae_title, port or free_port())
        self.received: dict[str, tuple[str, bytes]] = {}
        """SOP Instance UID to transfer syntax and data set."""
        self.originators: list[tuple[str, int]] = []
        """Move Originator AE title and Message ID of each C-STORE."""
        self.associations: Counter[int] = Counter()
        """How many instances came over each association."""
        self.callers: set[str] = set()
        self._respond = respond or (lambda sop_instance_uid: 0x0000)
        self._lock = threading.Lock()
        ae = AE(ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = 100
        for sop_class_uid, transfer_syntaxes in contexts.items():
            ae.add_supported_context(sop_class_uid, list(transfer_syntaxes))
        self._server = ae.start_server(
            (self.address.host, self.address.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: evt.Event) -> int:
        request = event.request
        code = self._respond(str(request.AffectedSOPInstanceUID))
        with self._lock:
            self.associations[id(event.assoc)] += 1
            self.callers.add(event.assoc.requestor.ae_title)
            self.originators.append(
                (request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID)
            )
            if code == 0x0000 or code >> 12 == 0xB:
                data_set = request.DataSet.getvalue()
                self.received[str(request.AffectedSOPInstanceUID)] = (event.context.transfer_syntax, data_set)
        return code

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
