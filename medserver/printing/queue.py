"""A film is asked for: its images are made durable, then it is entered together with the job that prints it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.errors import PrintQueueFull
from medserver.index import HIGH, LOW, MEDIUM, NewFilm, NewJob
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.printing.film import Film
from medserver.printing.film_file import write_film_file

PRINT = "print"
"""The kind of the job; its destination is the printer."""

PRINT_SCU, WORKITEM, STRUCTURED_DISPLAY = "print scu", "work item", "structured display"
COMMAND, RULE = "command", "rule"
ORIGINS = (PRINT_SCU, WORKITEM, STRUCTURED_DISPLAY, COMMAND, RULE)
"""How a film can be asked for."""

WAITING = ("PENDING", "PRINTING")

_PRIORITIES = {"HIGH": HIGH, "MED": MEDIUM, "LOW": LOW}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilmPayload(Payload):
    """A film that is to be printed.

    Parameters
    ----------
    uid : str
        Which.
    printing : int
        Which time, see `FilmRow.printings`: what is left of an earlier one does nothing.
    """

    uid: str
    printing: int = 0


@dataclass(frozen=True, slots=True)
class FilmRequest:
    """A film, and how it is asked for.

    Parameters
    ----------
    uid : str
        A new UID, or that of an earlier try.
    film : Film
        What is to be printed.
    printer : Printer
        On what.
    requested_by, origin : str
        The AE title, or what else asks, and one of `ORIGINS`.
    priority : str
        HIGH, MED or LOW.
    copies : int
        How often.
    request_uid : str
        The work item or the Print Job that it is part of, with others perhaps; empty if there is none.
    """

    uid: str
    film: Film
    printer: Printer
    requested_by: str
    origin: str
    priority: str = "MED"
    copies: int = 1
    request_uid: str = ""


def queue_film(node: Node, request: FilmRequest, images: Iterable[tuple[str, Iterable[bytes]]] = ()) -> bool:
    """Enter a film; when this returns it outlives the machine, and is printed.

    Parameters
    ----------
    node : Node
        Where.
    request : FilmRequest
        The film.
    images : iterable of (str, iterable of bytes)
        The images of its `ReceivedImage` boxes, see `film_file`.

    Returns
    -------
    bool
        False if there is a film of this UID: nothing was done.

    Raises
    ------
    PrintQueueFull
        Too many films wait for the printer.
    OutOfResources
        There is no space.
    StoreFailure, IndexFailure
        It cannot be written; nothing remains of it.
    """
    check_room(node, request.printer)
    brings_images = any(hasattr(box.image, "file") for box in request.film.boxes)
    volume = node.primary_volume
    if brings_images:
        write_film_file(volume, request.uid, images)
        crash_point("film file written")
    new = NewFilm(
        request.uid,
        request.printer.name,
        request.requested_by,
        request.origin,
        request.film.film_session_label,
        request.priority,
        request.copies,
        request.film.as_text(),
        volume.name if brings_images else "",
        request.request_uid,
    )
    job = NewJob(
        PRINT,
        FilmPayload(request.uid),
        destination=request.printer.name,
        priority=_PRIORITIES.get(request.priority, MEDIUM),
    )
    is_new = node.index.films.add(new, [job])
    crash_point("film queued")
    if is_new:
        logger.info(
            Event("film queued", uid=request.uid, printer=request.printer.name, requested_by=request.requested_by,
                  images=len(request.film.boxes))
        )  # fmt: skip
    return is_new


def check_room(node: Node, printer: Printer, count: int = 1) -> None:
    """Check that some more films may wait for a printer.

    Raises
    ------
    PrintQueueFull
        Too many do.
    """
    counts = node.index.films.counts()
    waiting = sum(counts.get((printer.name, state), 0) for state in WAITING)
    if waiting + count > printer.films_max:
        raise PrintQueueFull(f"{waiting} films wait for printer {printer.name}")
