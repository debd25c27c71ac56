"""A destination that answers each C-STORE request as a test says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

from tests.peers import Address


class Destination:
    """A Storage SCP; a context manager.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    answer : callable
        Takes a SOP Instance UID, and returns the status of the answer. A test may replace it at any time.
    host : str
        The address on which it listens.

    Attributes
    ----------
    requests : list of tuple (str, int)
        The instances in the order in which they were sent to it, and what it has answered.
    stations : dict of str to set of str
        SOP Instance UID -> the values of Station Name with which it was sent.
    address : Address
        Where it listens.
    """

    def __init__(
        self,
        ae_title: str = "ARCHIVE",
        answer: Callable[[str], int] = lambda uid: 0x0000,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer = answer
        self.requests: list[tuple[str, int]] = []
        self.stations: defaultdict[str, set[str]] = defaultdict(set)
        ae = AE(ae_title)
        for sop_class in (CTImageStorage, MRImageStorage):
            ae.add_supported_context(sop_class)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server((host, 0), block=False, evt_handlers=handlers)
        self.address = Address(ae_title, self._server.socket.getsockname()[1], host)

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()

    @property
    def taken(self) -> list[str]:
        """What it has taken, in order."""
        return [uid for uid, code in self.requests if code == 0]

    @property
    def first_requests(self) -> list[str]:
        """Everything in the order in which it was sent for the first time."""
        return list(dict.fromkeys(uid for uid, _ in self.requests))

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.stations[uid].add(str(event.dataset.get("StationName", "")))
        code = self.answer(uid)
        self.requests.append((uid, code))
        return code
