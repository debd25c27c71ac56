"""Somebody asks for a print of instances: they become films, and the films are queued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.dicom.uids import uid_of
from medserver.node import Node
from medserver.printing.displays import films_of_display
from medserver.printing.film import Film
from medserver.printing.format import FilmFormat
from medserver.printing.pictures import Frames, subject_of
from medserver.printing.queue import FilmRequest, queue_film
from medserver.printing.requests import films_of
from medserver.processing.requests import Reference

PRIORITIES: Mapping[str, str] = {"HIGH": "HIGH", "MEDIUM": "MED", "LOW": "LOW"}
"""Scheduled Procedure Step Priority -> Print Priority."""


def films_for(
    node: Node, references: Iterable[Reference], frames: Frames, wanted: FilmFormat, printer: Printer
) -> list[Film]:
    """Return the films of what is named, which is stored here.

    Parameters
    ----------
    node : Node
        Where.
    references : iterable of Reference
        Studies, series or instances; presentation states and Basic Structured Displays among them.
    frames : Mapping
        The frames that are meant of some instances.
    wanted : FilmFormat
        How.
    printer : Printer
        On what.

    Raises
    ------
    IncompleteObjectSet, ObjectTypeNotSupported, TooLargeToProcess, StoreFailure
        As for `pictures.subject_of` and `requests.films_of`.
    """
    subject = subject_of(node, references, frames)
    films = films_of(subject.pictures, wanted, printer) if subject.pictures else []
    for display in subject.displays:
        films += films_of_display(node, display, wanted, printer)
    return films


def queue_films(
    node: Node,
    films: Sequence[Film],
    printer: Printer,
    *,
    request_uid: str,
    requested_by: str,
    origin: str,
    copies: int = 1,
    priority: str = "MED",
) -> list[str]:
    """Queue the films of one request, and return their UIDs.

    They are made of the UID of the request: whoever repeats that after a crash queues what is lacking.

    Raises
    ------
    OutOfResources
        Too many films wait for the printer; some may be queued.
    """
    uids = []
    for number, film in enumerate(films, 1):
        uid = uid_of("film", request_uid, str(number))
        queue_film(
            node,
            FilmRequest(uid, film, printer, requested_by, origin, priority, copies, request_uid=request_uid),
        )
        crash_point("film queued")
        uids.append(uid)
    return uids
