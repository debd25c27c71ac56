"""pynetdicom, unchanged, as an SCU of storage commitment: it asks, and takes reports wherever they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from medserver.dicom import uids
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import wait_until

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN

Reference = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""


@dataclass
class Reported:
    """One N-EVENT-REPORT."""

    event_type_id: int
    information: Dataset
    by_requestor: bool
    """Whether it came on an association that this peer asked for."""
    safe: list[Reference] = field(default_factory=list)
    failed: dict[Reference, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in self.information.get("ReferencedSOPSequence") or ():
            self.safe.append((str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)))
        for item in self.information.get("FailedSOPSequence") or ():
            reference = (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            self.failed[reference] = item.FailureReason


def action_information(transaction_uid: str, references: Iterable[Reference]) -> Dataset:
    """Return what an N-ACTION asks."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        information.ReferencedSOPSequence.append(item)
    return information


class CommitmentScu:
    """A peer that asks for commitment.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    respond : callable, optional
        Returns the status of the answer to each report; 0x0000 by default.
    """

    def __init__(self, ae_title: str, respond: Callable[[], int] = lambda: 0x0000) -> None:
        self.address = Address(ae_title, free_port())
        self.reports: list[Reported] = []
        self._respond = respond
        self._server = None

    def listen(self, **roles: bool) -> CommitmentScu:
        """Take reports on associations that the other side opens, with these roles of the other side."""
        ae = AE(self.address.ae_title)
        ae.require_called_aet = True
        roles = roles or {"scp_role": True, "scu_role": False}
        ae.add_supported_context(StorageCommitmentPushModel, [EXPLICIT, IMPLICIT], **roles)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = ae.start_server((self.address.host, self.address.port), block=False, evt_handlers=handlers)
        return self

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    @contextmanager
    def associated(
        self,
        remote: Address,
        transfer_syntaxes: Sequence[str] = (EXPLICIT, IMPLICIT),
        *,
        takes_reports: bool = True,
        roles: tuple[bool, bool] | None = None,
    ) -> Iterator[Association]:
        """Open an association to ask on, and take reports there; without a handler pynetdicom answers 0110.

        With `roles` the roles of SCU and SCP are proposed for this side (PS3.7 D.3.3.4).

        It is aborted at the end: pynetdicom's release sometimes waits for ever when a report arrives, or is being
        answered, at that moment.
        """
        ae = AE(self.address.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel, list(transfer_syntaxes))
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)] if takes_reports else []
        selection = []
        if roles is not None:
            scu_role, scp_role = roles
            selection = [build_role(StorageCommitmentPushModel, scu_role=scu_role, scp_role=scp_role)]
        association = ae.associate(
            remote.host, remote.port, ae_title=remote.ae_title, evt_handlers=handlers, ext_neg=selection
        )
        try:
            yield association
        finally:
            if association.is_established:
                association.abort()

    def ask(
        self,
        association: Association,
        references: Iterable[Reference],
        transaction_uid: str | None = None,
        *,
        action_type: int = 1,
        instance: str = StorageCommitmentPushModelInstance,
    ) -> tuple[int | None, str]:
        """Ask for commitment; return the status of the answer, and the Transaction UID."""
        transaction_uid = transaction_uid or uids.new_uid()
        information = action_information(transaction_uid, references)
        response, _ = association.send_n_action(information, action_type, StorageCommitmentPushModel, instance)
        return response.get("Status"), transaction_uid

    def ask_and_go(self, remote: Address, references: Iterable[Reference], transaction_uid: str | None = None) -> str:
        """Ask for commitment on an association of its own that ends at once; return the Transaction UID."""
        with self.associated(remote, takes_reports=False) as association:
            code, transaction_uid = self.ask(association, references, transaction_uid)
            assert code == 0x0000
        return transaction_uid

    def wait_for(self, transaction_uid: str, *, deadline_s: float = 20, count: int = 1) -> Reported:
        """Return the report of a transaction, when there are so many."""

        def found() -> list[Reported]:
            reports = [one for one in self.reports if one.information.TransactionUID == transaction_uid]
            return reports if len(reports) >= count else []

        return wait_until(found, deadline_s=deadline_s, what="a report")[-1]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        code = self._respond()
        self.reports.append(Reported(event.event_type, event.event_information, event.assoc.is_requestor))
        return code, None
