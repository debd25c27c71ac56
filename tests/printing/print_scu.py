"""A Print SCU in Python: what a workstation asks for, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import numpy as np
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicAnnotationBox,
    BasicColorImageBox,
    BasicColorPrintManagementMeta,
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
    BasicGrayscalePrintManagementMeta,
    PresentationLUT,
    Printer,
    PrinterConfigurationRetrieval,
    PrinterInstance,
    PrintJob,
)

from tests.peers import Address
from tests.peers.process import wait_until

ALL = (
    BasicGrayscalePrintManagementMeta, BasicColorPrintManagementMeta, PresentationLUT, BasicAnnotationBox, PrintJob,
    PrinterConfigurationRetrieval,
)  # fmt: skip


class PrintSCU:
    """An association with a printer.

    Parameters
    ----------
    address : Address
        Of the printer.
    classes : iterable of str
        What is proposed.
    ae_title : str
        Who calls.
    """

    def __init__(self, address: Address, classes: Iterable[str] = ALL, ae_title: str = "WS1") -> None:
        ae = AE(ae_title)
        ae.dimse_timeout = 5
        for each in classes:
            ae.add_requested_context(each)
        self.events: list[tuple[int, Dataset]] = []
        handlers = [(evt.EVT_N_EVENT_REPORT, self._on_event)]
        self.association = ae.associate(
            address.host, address.port, ae_title=address.ae_title, evt_handlers=handlers
        )
        assert self.association.is_established
        self.is_colour = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.association.release()

    @property
    def meta(self) -> str:
        """The meta SOP class of its commands."""
        return BasicColorPrintManagementMeta if self.is_colour else BasicGrayscalePrintManagementMeta

    def _free(self) -> Association:
        """Return the association once its own thread has noticed that it may go on.

        Else that takes the answer to the next request for a request, now and then, and nobody gets it.
        """
        wait_until(lambda: not self.association._is_paused)
        return self.association

    def _on_event(self, event: evt.Event) -> tuple[int, None]:
        self.events.append((event.event_type, event.event_information))
        return 0x0000, None

    def create_session(self, uid: str | None = "1.2.1", **attributes: object) -> tuple[int, Dataset | None]:
        """Create a film session."""
        asked = _dataset(**attributes)
        status, made = self._free().send_n_create(asked or None, BasicFilmSession, uid, meta_uid=self.meta)
        return _code(status), made

    def set_session(self, uid: str = "1.2.1", **attributes: object) -> int:
        """Change the film session."""
        asked = _dataset(**attributes)
        return _code(self._free().send_n_set(asked, BasicFilmSession, uid, meta_uid=self.meta)[0])

    def create_box(
        self, uid: str | None = "1.2.2", session: str | None = "1.2.1", **attributes: object
    ) -> tuple[int, Dataset | None]:
        """Create a film box."""
        asked = _dataset(**attributes)
        if session is not None:
            reference = _dataset(ReferencedSOPClassUID=BasicFilmSession, ReferencedSOPInstanceUID=session)
            asked.ReferencedFilmSessionSequence = [reference]
        status, made = self._free().send_n_create(asked or None, BasicFilmBox, uid, meta_uid=self.meta)
        return _code(status), made

    def set_image(self, uid: str, image: Dataset | None, position: int = 1, **attributes: object) -> int:
        """Set an image box; without an image, erase it."""
        asked = _dataset(ImageBoxPosition=position, **attributes)
        images = [] if image is None else [image]
        if self.is_colour:
            asked.BasicColorImageSequence = images
        else:
            asked.BasicGrayscaleImageSequence = images
        sop_class = BasicColorImageBox if self.is_colour else BasicGrayscaleImageBox
        return _code(self._free().send_n_set(asked, sop_class, uid, meta_uid=self.meta)[0])

    def set_annotation(self, uid: str, text: str, position: int = 1) -> int:
        """Set an annotation box."""
        asked = _dataset(AnnotationPosition=position, TextString=text)
        return _code(self._free().send_n_set(asked, BasicAnnotationBox, uid)[0])

    def print(self, sop_class: str = BasicFilmBox, uid: str = "1.2.2", action: int = 1) -> tuple[int, Dataset | None]:
        """Print a film box, or a film session."""
        status, reply = self._free().send_n_action(None, action, sop_class, uid, meta_uid=self.meta)
        return _code(status), reply

    def delete(self, sop_class: str, uid: str) -> int:
        """Delete a film box, or a film session."""
        return _code(self._free().send_n_delete(sop_class, uid, meta_uid=self.meta))

    def create_lut(self, uid: str | None = "1.2.3", **attributes: object) -> int:
        """Create a Presentation LUT."""
        return _code(self._free().send_n_create(_dataset(**attributes) or None, PresentationLUT, uid)[0])

    def get_printer(self, tags: list[int] | None = None) -> tuple[int, Dataset | None]:
        """Ask for the printer."""
        status, told = self._free().send_n_get(tags or [], Printer, PrinterInstance, meta_uid=self.meta)
        return _code(status), told

    def get_job(self, uid: str) -> tuple[int, Dataset | None]:
        """Ask for a print job."""
        status, told = self._free().send_n_get([], PrintJob, uid)
        return _code(status), told


def gray_image(rows: int = 20, columns: int = 30, bits: int = 8, **attributes: object) -> Dataset:
    """Return a gray image."""
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = (np.arange(rows * columns) % (1 << bits)).astype(dtype)
    content = pixels.tobytes()
    given = {
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": rows, "Columns": columns,
        "BitsAllocated": 8 if bits == 8 else 16, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 0,
    }  # fmt: skip
    dataset = _dataset(**given | attributes)
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    return dataset


def colour_image(rows: int = 20, columns: int = 30, planar: int = 0) -> Dataset:
    """Return a colour image: red from left to right, green from top to bottom."""
    pixels = np.zeros((rows, columns, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, columns).astype(np.uint8)
    pixels[..., 1] = np.linspace(0, 255, rows).astype(np.uint8)[:, np.newaxis]
    dataset = gray_image(rows, columns, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=planar)
    dataset.PixelData = (pixels if planar == 0 else pixels.transpose(2, 0, 1)).tobytes()
    return dataset


def _dataset(**attributes: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def _code(status: Dataset) -> int:
    assert "Status" in status, "the association has ended"
    return status.Status
