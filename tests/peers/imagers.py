"""DICOM imagers: dcmprscp of DCMTK, which keeps what it is sent, and one in Python that can be told what to answer."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicAnnotationBox,
    BasicColorImageBox,
    BasicColorPrintManagementMeta,
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
    BasicGrayscalePrintManagementMeta,
    PresentationLUT,
    PrintJob,
)

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Server

DCMTK_CONFIGURATION = Path("/etc/dcmtk/dcmpstat.cfg")


class DcmPrintSCP:
    """A running dcmprscp.

    Parameters
    ----------
    folder : Path
        Where it keeps what it prints.
    profile : str
        A printer of DCMTK's configuration: IHEFULL or IHERESTRICTED.
    """

    def __init__(self, folder: Path, profile: str) -> None:
        self.address = Address(profile, free_port())
        self.database = folder / "database"
        for name in ("database", "spool", "log", "lut", "reports"):
            (folder / name).mkdir(parents=True)
        text = DCMTK_CONFIGURATION.read_text("latin-1")
        text = re.sub(rf"(\[{profile}\].*?\nPort = )\d+", rf"\g<1>{self.address.port}", text, count=1, flags=re.DOTALL)
        configuration = folder / "dcmpstat.cfg"
        configuration.write_text(text, "latin-1")
        arguments = ["dcmprscp", "-v", "-d", "-c", configuration, "-p", profile]
        self.server = Server(arguments, log=folder / "dcmprscp.log", directory=folder)
        self.server.wait_for_port(self.address)

    def hardcopies(self) -> list[pydicom.FileDataset]:
        """Return the images that it was sent (Hardcopy Grayscale Image)."""
        return self._of("1.2.840.10008.5.1.1.29")

    def films(self) -> list[pydicom.FileDataset]:
        """Return the films that it has printed (Stored Print)."""
        return self._of("1.2.840.10008.5.1.1.27")

    def _of(self, sop_class_uid: str) -> list[pydicom.FileDataset]:
        read = [pydicom.dcmread(path) for path in sorted(self.database.glob("*.dcm"))]
        return [each for each in read if each.SOPClassUID == sop_class_uid]


class PythonImager:
    """An imager of pynetdicom: gray and colour, annotations, Presentation LUTs and Print Jobs.

    Parameters
    ----------
    classes : sequence of str
        The SOP classes that it serves.
    boxes : int, optional
        How many image boxes a film has; as many as its format says by default (``STANDARD\\columns,rows``).

    Attributes
    ----------
    answers : dict of (str, str) to int
        What it answers to an operation on a SOP class, by both their names, where that is not success.
    printed : list of dict
        For each film that it was told to print, its data sets by the names of their SOP classes.
    jobs : dict of str to (str, str)
        Execution Status and its Info of the Print Jobs that it knows.
    job : tuple of str
        What a new one has.
    printer_status : tuple of str
        Printer Status and its Info.
    on_action : callable
        Called when it is told to print, before it answers.
    """

    ALL = (
        BasicGrayscalePrintManagementMeta, BasicColorPrintManagementMeta, PresentationLUT, BasicAnnotationBox, PrintJob,
    )  # fmt: skip

    def __init__(self, classes: tuple[str, ...] = ALL, boxes: int | None = None) -> None:
        self.answers: dict[tuple[str, str], int] = {}
        self.printed: list[dict[str, list[Dataset]]] = []
        self.jobs: dict[str, tuple[str, str]] = {}
        self.job = ("PENDING", "QUEUED")
        self.printer_status = ("NORMAL", "NORMAL")
        self.on_action: Callable[[], None] = lambda: None
        self._boxes = boxes
        self._has_jobs = PrintJob in classes
        self._has_annotations = BasicAnnotationBox in classes
        self._lock = threading.Lock()
        self._films: dict[Any, dict[str, list[Dataset]]] = {}
        ae = AE("IMAGER")
        for each in classes:
            ae.add_supported_context(each)
        handlers = [
            (evt.EVT_N_CREATE, self._create), (evt.EVT_N_SET, self._set), (evt.EVT_N_ACTION, self._action),
            (evt.EVT_N_GET, self._get), (evt.EVT_N_DELETE, self._delete),
        ]  # fmt: skip
        self.address = Address("IMAGER", free_port())
        self._server = ae.start_server((self.address.host, self.address.port), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        """End it."""
        with suppress(ValueError):  # it has ended
            self._server.shutdown()

    def associations(self) -> list[Any]:
        """Return the associations that it has."""
        return list(self._server.active_associations)

    def _answer(self, operation: str, sop_class_uid: str) -> int:
        return self.answers.get((operation, _NAMES.get(sop_class_uid, "Printer")), 0x0000)

    def _noted(self, event: evt.Event, sop_class_uid: str, dataset: Dataset) -> None:
        film = self._films.setdefault(event.assoc, {})
        film.setdefault(_NAMES[sop_class_uid], []).append(dataset)

    def _create(self, event: evt.Event) -> tuple[int, Dataset]:
        request = event.request
        attributes = Dataset(event.attribute_list)
        kind = request.AffectedSOPClassUID
        self._noted(event, kind, attributes)
        answer = deepcopy(attributes)
        if kind == BasicFilmBox:
            columns, rows = map(int, attributes.ImageDisplayFormat.partition("\\")[2].split(","))
            count = columns * rows if self._boxes is None else self._boxes
            is_colour = event.context.abstract_syntax == BasicColorPrintManagementMeta
            image_box = BasicColorImageBox if is_colour else BasicGrayscaleImageBox
            answer.ReferencedImageBoxSequence = [_reference(image_box) for _ in range(count)]
            if self._has_annotations and "AnnotationDisplayFormatID" in attributes:
                answer.ReferencedBasicAnnotationBoxSequence = [_reference(BasicAnnotationBox) for _ in range(2)]
        return self._answer("N-CREATE", kind), answer

    def _set(self, event: evt.Event) -> tuple[int, Dataset]:
        kind = event.request.RequestedSOPClassUID
        self._noted(event, kind, Dataset(event.modification_list))
        return self._answer("N-SET", kind), Dataset()

    def _action(self, event: evt.Event) -> tuple[int, Dataset | None]:
        code = self._answer("N-ACTION", event.request.RequestedSOPClassUID)
        with self._lock:
            if code < 0xC000 and code not in (0x0110, 0x0213):
                self.printed.append(self._films.get(event.assoc, {}))
            self.on_action()
            if not self._has_jobs:
                return code, None
            reply = Dataset()
            job = _reference(PrintJob)
            reply.ReferencedPrintJobSequence = [job]
            self.jobs[job.ReferencedSOPInstanceUID] = self.job
            return code, reply

    def _get(self, event: evt.Event) -> tuple[int, Dataset | None]:
        found, kind = Dataset(), event.request.RequestedSOPClassUID
        if kind == PrintJob:
            job = self.jobs.get(event.request.RequestedSOPInstanceUID)
            if job is None:
                return 0x0112, None
            found.ExecutionStatus, found.ExecutionStatusInfo = job
        else:
            found.PrinterStatus, found.PrinterStatusInfo = self.printer_status
        return self._answer("N-GET", kind), found

    def _delete(self, event: evt.Event) -> int:
        return self._answer("N-DELETE", event.request.RequestedSOPClassUID)


_NAMES = {
    BasicFilmSession: "session",
    BasicFilmBox: "film box",
    BasicGrayscaleImageBox: "image box",
    BasicColorImageBox: "image box",
    BasicAnnotationBox: "annotation",
    PresentationLUT: "lut",
}


def _reference(sop_class_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, generate_uid()
    return item
