"""What every output is: four verbs, whoever prints (see `pdf`, `ipp`, `dicom`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from medserver.printing.film import Film
    from medserver.printing.images import GatheredImage

NORMAL, WARNING, FAILURE = "NORMAL", "WARNING", "FAILURE"
"""Printer Status (PS3.3 C.13.9)."""


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """How a printer is.

    Parameters
    ----------
    state : str
        Printer Status: NORMAL, WARNING or FAILURE (PS3.3 C.13.9). With FAILURE it takes no film.
    info : str
        Printer Status Info, such as SUPPLY EMPTY; empty with NORMAL.
    detail : str
        The same in words.
    """

    state: str
    info: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a printer has come with a film that it was handed.

    Parameters
    ----------
    state : str
        Execution Status: PENDING, PRINTING, DONE or FAILURE (PS3.3 C.13.8).
    info, detail : str
        Execution Status Info, and the same in words.
    """

    state: str
    info: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Handover:
    """A film that is handed over.

    Parameters
    ----------
    name : str
        `FilmRow.name` of the film: the name of its job, by which the printer can be asked for it.
    film : Film
        What is printed, with the warnings that are to stand on the sheet.
    requested_at : datetime
        When it was asked for.
    copies : int
        How often it is printed.
    priority : str
        HIGH, MED or LOW.
    label : str
        What people call it.
    images : tuple of GatheredImage
        Its images, for who takes these.
    images_file : file
        Where they lie.
    document : callable
        Returns a context manager with a file at its beginning: the composed page as a PDF.
    image_boxes : callable
        Takes a film, the most bits of a gray value, and whether there are colours, and returns a context manager with
        a file, and what lies in it: the images as an imager gets them, see `image_boxes`.
    """

    name: str
    film: Film
    requested_at: datetime
    copies: int
    priority: str
    label: str
    images: tuple[GatheredImage, ...]
    images_file: IO[bytes]
    document: Callable[[], AbstractContextManager[IO[bytes]]]
    image_boxes: Callable[[Film, int, bool], AbstractContextManager[tuple[IO[bytes], tuple[GatheredImage, ...]]]]


class Output(Protocol):
    """A printer, or a way to one.

    What fails because of the printer raises `RemoteError`; where it has taken nothing of a film for certain,
    `PrinterRefused`. What is ours raises another `MedserverError`.
    """

    def status(self) -> PrinterStatus:
        """Return how the printer is now."""

    def beginning(self, name: str) -> AbstractContextManager[None]:
        """Give the time in which a hand-over is noted as begun, and is done; before it nothing can be taken."""

    def hand_over(self, handover: Handover) -> str:
        """Give a film to the printer, and return what it calls it; when this returns the printer has the film whole."""

    def find(self, name: str) -> str | None:
        """Return what the printer calls a film that it may have been handed; None if it is not known to have it."""

    def has_not_taken(self, name: str) -> bool:
        """Tell whether what was last begun to hand over, and `find` does not know, was not taken for certain.

        Whoever asks has the film: what is left of that hand-over by somebody else is refused from then on.
        """

    def follow(self, reference: str) -> Progress:
        """Return how far the printer has come with a film."""

    def cancel(self, reference: str) -> bool:
        """Ask the printer not to print a film; False if it is too late."""
