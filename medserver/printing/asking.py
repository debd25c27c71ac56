"""Somebody asks for a print of instances: they become films, and the films are queued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from medserver.config import Printer
from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import new_uid, uid_of
from medserver.errors import IncompleteObjectSet, NoSuchInstance, TooLargeToProcess, UnusableParameters
from medserver.index import Query
from medserver.node import Node
from medserver.printing.displays import films_of_display
from medserver.printing.film import Film, ReferencedImage
from medserver.printing.format import FilmFormat, format_of, printer_for
from medserver.printing.pictures import subject_of
from medserver.printing.queue import COMMAND, FilmRequest, queue_together
from medserver.printing.requests import films_of
from medserver.processing.requests import Reference, parse_outputs

PRIORITIES: Mapping[str, str] = {"HIGH": "HIGH", "MEDIUM": "MED", "LOW": "LOW"}
"""Scheduled Procedure Step Priority -> Print Priority."""


def films_for(
    node: Node, references: Iterable[Reference], wanted: FilmFormat, printer: Printer
) -> list[Film]:
    """Return the films of what is named, which is stored here.

    Parameters
    ----------
    node : Node
        Where.
    references : iterable of Reference
        Studies, series or instances; presentation states and Basic Structured Displays among them.
    wanted : FilmFormat
        How.
    printer : Printer
        On what.

    Raises
    ------
    IncompleteObjectSet, ObjectTypeNotSupported, TooLargeToProcess, StoreFailure
        As for `pictures.subject_of` and `requests.films_of`; and there are more films than may ever wait.
    """
    subject = subject_of(node, references)
    films = films_of(subject.pictures, wanted, printer) if subject.pictures else []
    for display in subject.displays:
        films += films_of_display(node, display, wanted, printer)
    if len(films) > printer.films_max:
        raise TooLargeToProcess(f"{len(films)} films: {printer.films_max} may wait for printer {printer.name}")
    _check_states(node, films)
    return films


def _check_states(node: Node, films: Iterable[Film]) -> None:
    """Refuse films of which a presentation state is not stored: without it the images would look different."""
    images = (box.image for film in films for box in film.boxes)
    named = {image.presentation_state_uid for image in images if isinstance(image, ReferencedImage)} - {""}
    missing = named - set(node.index.instances(sorted(named)))
    if missing:
        raise IncompleteObjectSet(f"presentation state {min(missing)} is not stored here")


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
    """Queue the films of one request, all or none, and return their UIDs.

    They are made of the UID of the request: whoever repeats that after a crash finds them queued.

    Raises
    ------
    PrintQueueFull
        Too many films wait for the printer.
    StoreFailure, IndexFailure
        They cannot be entered.
    """
    wanted = [
        FilmRequest(
            uid_of("film", request_uid, str(number)), film, printer, requested_by, origin, priority=priority,
            copies=copies, request_uid=request_uid,
        )
        for number, film in enumerate(films, 1)
    ]  # fmt: skip
    queue_together(node, [(request, ()) for request in wanted])
    return [request.uid for request in wanted]


def references_named(node: Node, texts: Iterable[str]) -> list[Reference]:
    """Return what people mean by UIDs of what is stored here.

    Parameters
    ----------
    texts : iterable of str
        The UID of a study, a series or an instance; behind an instance its frames, ``1.2.3:5,7-9``.

    Raises
    ------
    NoSuchInstance
        Nothing of a UID is stored.
    UnusableParameters
        The numbers of frames cannot be understood.
    """
    references: list[Reference] = []
    for text in texts:
        uid, _, numbers = text.partition(":")
        references.append(with_frames(_reference(node, uid), numbers))
    return references


def with_frames(reference: Reference, numbers: str) -> Reference:
    """Return a reference with the numbers of the frames that are meant of its instance; empty: all are.

    Raises
    ------
    UnusableParameters
        They cannot be understood, or it names no instance.
    """
    if not numbers:
        return reference
    if not reference.instances:
        raise UnusableParameters("a series or study has no frames: name an instance of it")
    return replace(reference, frames=((reference.instances[0][1], parse_outputs(numbers)),))


def _reference(node: Node, uid: str) -> Reference:
    keys = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    for keyword in keys:
        query = Query("IMAGE", (SingleValue(keyword, uid),), (*keys, "SOPClassUID"))
        for row in list(node.index.find(query))[:1]:
            study, series, instance = (str(row[key] or "") for key in keys)
            named = ((str(row["SOPClassUID"] or ""), instance),) if keyword == "SOPInstanceUID" else ()
            return Reference(study, "" if keyword == "StudyInstanceUID" else series, named)
    raise NoSuchInstance(f"there is no study, series or instance {uid}")


def print_instances(
    node: Node, texts: Iterable[str], given: Mapping[str, object], *, requested_by: str, priority: str = "MEDIUM"
) -> list[str]:
    """Print what is stored here, and return the UIDs of the films.

    Parameters
    ----------
    texts : iterable of str
        As for `references_named`.
    given : Mapping
        Format information, as for `format.format_of`.
    requested_by : str
        Who asks.
    priority : str
        HIGH, MEDIUM or LOW.

    Raises
    ------
    NoSuchInstance, UnusableParameters, IncompleteObjectSet, ObjectTypeNotSupported, TooLargeToProcess
        It cannot be printed.
    PrintQueueFull
        Too many films wait for the printer.
    StoreFailure, IndexFailure
        The node cannot.
    """
    wanted = format_of(given)
    printer = printer_for(node.config.current, wanted)
    films = films_for(node, references_named(node, texts), wanted, printer)
    return queue_films(
        node, films, printer, request_uid=new_uid(), requested_by=requested_by, origin=COMMAND, copies=wanted.copies,
        priority=PRIORITIES[priority],
    )  # fmt: skip
