"""An AE that has images, answers queries and C-GETs, and misbehaves where a test wants it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from tests.peers import Address
from tests.peers.ports import free_port

Misbehave = Callable[[evt.Event, str], int]
"""Takes a request and its Study Instance UID (empty if it names none); returns a status to answer, 0 for the truth."""

_NAMED = {
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
}


def abort(event: evt.Event) -> int:
    """Abort the association, as a source does that stumbles over a study."""
    event.assoc.abort()
    return 0xC000


class Source:
    """The AE, which listens until it is closed.

    Parameters
    ----------
    paths : iterable of Path
        The files that it has: CT images.
    on_find, on_get : callable, optional
        What it does instead.
    """

    def __init__(
        self, paths: Iterable[Path], *, on_find: Misbehave | None = None, on_get: Misbehave | None = None
    ) -> None:
        self.datasets = [pydicom.dcmread(path) for path in paths]
        self.asked: list[Dataset] = []
        """The identifiers of the queries."""
        self.limit = (1_000_000, 0)
        """How many studies an answer has at most, and the status where there are more; 0 if nothing tells that."""
        self.fetched: list[str] = []
        """The Study Instance UID of each C-GET."""
        self.address = Address("SOURCE", free_port())
        self._on_find = on_find or (lambda event, study: 0)
        self._on_get = on_get or (lambda event, study: 0)
        self._lock = threading.Lock()
        ae = AE(self.address.ae_title)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
        ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
        self._server = ae.start_server(
            (self.address.host, self.address.port),
            block=False,
            evt_handlers=[(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)],
        )

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        with self._lock:
            self.asked.append(asked)
        if code := self._on_find(event, str(asked.get("StudyInstanceUID") or "")):
            yield code, None
            return
        level = asked.QueryRetrieveLevel
        matches: dict[str, Dataset] = {}
        for each in self.datasets:
            if all(asked.get(name) in (None, "", each.get(name)) for name in _NAMED[level]) and _is_of_day(asked, each):
                match = matches.setdefault(str(each[_NAMED[level][min(len(_NAMED[level]) - 1, 2)]].value), Dataset())
                match.QueryRetrieveLevel = level
                for name in _NAMED[level]:
                    setattr(match, name, each.get(name))
                if level == "STUDY":
                    of_study = [one for one in self.datasets if one.StudyInstanceUID == each.StudyInstanceUID]
                    match.NumberOfStudyRelatedInstances = len(of_study)
        limit, code = self.limit if level == "STUDY" else (len(matches), 0)
        for match in list(matches.values())[:limit]:
            yield 0xFF00, match
        if len(matches) > limit and code:
            yield code, None

    def _get(self, event: evt.Event) -> Iterator[int | tuple[int, Dataset | None]]:
        asked = event.identifier
        with self._lock:
            self.fetched.append(str(asked.StudyInstanceUID))
        if code := self._on_get(event, str(asked.StudyInstanceUID)):
            yield 0
            yield code, None
            return
        wanted = asked.SOPInstanceUID
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        found = [each for each in self.datasets if each.SOPInstanceUID in wanted]
        yield len(found)
        for each in found:
            yield 0xFF00, each

    @property
    def associations(self) -> int:
        """How many associations there are now."""
        return len(self._server.active_associations)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _is_of_day(asked: Dataset, dataset: Dataset) -> bool:
    """Tell whether a Study Date matches a range or a single value, if one is asked for."""
    wanted = str(asked.get("StudyDate") or "")
    first, dash, last = wanted.partition("-")
    if not dash:
        return wanted in ("", dataset.StudyDate)
    return first <= dataset.StudyDate <= (last or "9")
