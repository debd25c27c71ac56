"""A film is asked for: its images are made durable, then it is entered together with the job that prints it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.errors import OutOfResources, PrintQueueFull, StoreFailure
from medserver.index import HIGH, LOW, MEDIUM, NewFilm, NewJob
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.printing.film import Film
from medserver.store import Volume

PRINT = "print"
"""The kind of the job; its destination is the printer."""

PRINT_SCU, WORKITEM, STRUCTURED_DISPLAY = "print scu", "work item", "structured display"
COMMAND, RULE = "command", "rule"
ORIGINS = (PRINT_SCU, WORKITEM, STRUCTURED_DISPLAY, COMMAND, RULE)
"""How a film can be asked for."""

WAITING = ("PENDING", "PRINTING")

_PRIORITIES = {"HIGH": HIGH, "MED": MEDIUM, "LOW": LOW}

Images = Iterable[tuple[str, Iterable[bytes]]]
"""The names and the bytes of the images that a film brings."""

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


def queue_film(node: Node, request: FilmRequest, images: Images = ()) -> bool:
    """Enter a film, see `queue_together`; False if there is one of this UID."""
    return bool(queue_together(node, [(request, images)]))


def queue_together(node: Node, wanted: Sequence[tuple[FilmRequest, Images]]) -> list[str]:
    """Enter films; when this returns they outlive the machine, and are printed. All that are new are entered, or none.

    Parameters
    ----------
    node : Node
        Where.
    wanted : sequence of (FilmRequest, iterable of (str, iterable of bytes))
        The films, all of one printer, in the order in which they are printed; with the images of their `ReceivedImage`
        boxes, see `film_file`.

    Returns
    -------
    list of str
        The UIDs of those that were entered: of the others there were films before, to which nothing was done.

    Raises
    ------
    PrintQueueFull
        Too many films wait for the printer.
    OutOfResources
        There is no space.
    StoreFailure, IndexFailure
        They cannot be written. What was written of their images is removed, at once or later, see `pruning`.
    """
    new = [(request, images) for request, images in wanted if node.index.films.get(request.uid) is None]
    if not new:
        return []
    printer = new[0][0].printer
    check_room(node, printer, len(new))
    volumes = _written(node.primary_volume, new)
    films: list[tuple[NewFilm, list[NewJob]]] = []
    for request, _ in new:
        priority = _PRIORITIES.get(request.priority, MEDIUM)
        job = NewJob(PRINT, FilmPayload(request.uid), destination=printer.name, priority=priority)
        films.append((_new_film(request, volumes[request.uid]), [job]))
    entered = node.index.films.add_together(films)
    crash_point("film queued")
    for uid in entered:
        logger.info(Event("film queued", uid=uid, printer=printer.name, requested_by=new[0][0].requested_by))
    return entered


def _written(volume: Volume, new: Sequence[tuple[FilmRequest, Images]]) -> dict[str, str]:
    """Write the images of films, and return the volume of each, empty for one that brings none.

    Raises
    ------
    OutOfResources, StoreFailure
        They cannot be written. Those of the films before are removed: nobody fills a volume with what is not printed.
    """
    volumes: dict[str, str] = {}
    try:
        for request, images in new:
            volumes[request.uid] = ""
            if any(hasattr(box.image, "file") for box in request.film.boxes):
                from medserver.printing.film_file import write_film_file  # zipfile: most commands bring none

                write_film_file(volume, request.uid, images)
                volumes[request.uid] = volume.name
                crash_point("film file written")
    except (OutOfResources, StoreFailure):
        for uid in (uid for uid, name in volumes.items() if name):
            with suppress(StoreFailure, OutOfResources):
                volume.films.delete(uid)
        raise
    return volumes


def _new_film(request: FilmRequest, volume: str) -> NewFilm:
    return NewFilm(
        request.uid,
        request.printer.name,
        request.requested_by,
        request.origin,
        request.film.film_session_label,
        request.priority,
        request.copies,
        request.film.as_text(),
        volume,
        request.request_uid,
    )


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
