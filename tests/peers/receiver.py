"""pynetdicom, unchanged, as a storage SCP that does as it is told: a destination of deliveries and of C-MOVE."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.peers import Address
from tests.peers.ports import free_port


class Receiver:
    """A storage SCP that keeps the encoded data sets.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    contexts : mapping of str to sequence of str, optional
        The SOP classes that it takes, and their transfer syntaxes; all of pynetdicom by default.
    respond : callable, optional
        Takes the event of a C-STORE and returns its status; 0x0000 for all by default. May wait, or abort.
    port : int, optional
        Its port, a free one by default.
    """

    def __init__(
        self,
        ae_title: str,
        contexts: Mapping[str, Sequence[str]] | None = None,
        respond: Callable[[evt.Event], int] | None = None,
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
        self._respond = respond or (lambda event: 0x0000)
        self._lock = threading.Lock()
        ae = AE(ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = 100
        if contexts is None:
            ae.supported_contexts = AllStoragePresentationContexts
        for sop_class_uid, transfer_syntaxes in (contexts or {}).items():
            ae.add_supported_context(sop_class_uid, list(transfer_syntaxes))
        self._server = ae.start_server(
            (self.address.host, self.address.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )

    def _store(self, event: evt.Event) -> int:
        request = event.request
        code = self._respond(event)
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

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
