"""pynetdicom, unchanged, as an AE that is told of changes of work items."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepEvent

from tests.peers import Address
from tests.peers.ports import free_port


class Told(NamedTuple):
    """One N-EVENT-REPORT."""

    sop_instance_uid: str
    event_type_id: int
    information: Dataset
    sop_class_uid: str

    @property
    def state(self) -> str:
        """The Procedure Step State, or that of the SCP."""
        return str(self.information.get("ProcedureStepState") or self.information.get("SCPStatus") or "")


class Watcher:
    """An SCU of the UPS Event SOP class, which is the acceptor of associations.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    respond : callable, optional
        Takes the event and returns its status; 0x0000 for all by default. May wait, or abort.
    port : int, optional
        Its port, a free one by default.
    """

    def __init__(
        self, ae_title: str, respond: Callable[[evt.Event], int] | None = None, port: int | None = None
    ) -> None:
        self.address = Address(ae_title, port or free_port())
        self.told: list[Told] = []
        self._respond = respond or (lambda event: 0x0000)
        self._lock = threading.Lock()
        ae = AE(ae_title)
        ae.require_called_aet = True
        ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=False, scp_role=True)
        self._server = ae.start_server(
            (self.address.host, self.address.port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._take)]
        )

    def of(self, sop_instance_uid: str) -> list[tuple[int, str]]:
        """Return the types of events that were told of an item, with the state, in their order."""
        with self._lock:
            return [(one.event_type_id, one.state) for one in self.told if one.sop_instance_uid == sop_instance_uid]

    def _take(self, event: evt.Event) -> tuple[int, None]:
        code = self._respond(event)
        if code == 0x0000:
            request = event.request
            with self._lock:
                self.told.append(
                    Told(
                        str(request.AffectedSOPInstanceUID),
                        request.EventTypeID,
                        event.event_information,
                        str(request.AffectedSOPClassUID),
                    )
                )
        return code, None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
