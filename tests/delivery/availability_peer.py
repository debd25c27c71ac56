"""pynetdicom, unchanged, as an SCP of Instance Availability Notification and of performed procedure steps."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from tests.peers import Address
from tests.peers.ports import free_port


class InformationSystem:
    """It takes notifications and steps, and remembers them in their order.

    Attributes
    ----------
    notifications : list of (str, Dataset)
        SOP Instance UID and attribute list of each notification.
    steps : list of (str, str, Dataset)
        Of each N-CREATE and N-SET of a step: the operation, the SOP Instance UID and the attributes.
    answer : callable
        Returns the status of the answer to an operation.
    """

    def __init__(self, ae_title: str) -> None:
        self.address = Address(ae_title, free_port())
        self.notifications: list[tuple[str, Dataset]] = []
        self.steps: list[tuple[str, str, Dataset]] = []
        self.answer: Callable[[str], int] = lambda operation: 0x0000
        self._server = None

    def start(self) -> InformationSystem:
        """Listen."""
        ae = AE(self.address.ae_title)
        ae.add_supported_context(InstanceAvailabilityNotification)
        ae.add_supported_context(ModalityPerformedProcedureStep)
        handlers = [(evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set)]
        self._server = ae.start_server((self.address.host, self.address.port), block=False, evt_handlers=handlers)
        return self

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _create(self, event: evt.Event) -> tuple[int, Dataset | None]:
        uid = str(event.request.AffectedSOPInstanceUID)
        if event.request.AffectedSOPClassUID == InstanceAvailabilityNotification:
            code = self.answer("notify")
            if code == 0x0000:
                self.notifications.append((uid, event.attribute_list))
            return code, None
        self.steps.append(("create", uid, event.attribute_list))
        return self.answer("create"), None

    def _set(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self.steps.append(("set", str(event.request.RequestedSOPInstanceUID), event.modification_list))
        return self.answer("set"), None
