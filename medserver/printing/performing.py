"""Films are printed: the job ``print``, which hands one over; `following` sees it to its end.

What may have been printed is never printed again without a word: a hand-over is noted before it is begun, a printer is
asked for what it may have, and where it cannot tell, the sheet says "possible reprint".
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.errors import (
    ActionNotAppropriate,
    CannotRender,
    CannotTranscode,
    CannotUnderstand,
    DamagedObject,
    MedserverError,
    NoSuchInstance,
    PrinterRefused,
    RemoteError,
    TransferSyntaxNotSupported,
    WorkerDied,
    WorkTooLong,
)
from medserver.index import FilmRow, Job, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed, held
from medserver.log import Event
from medserver.node import Node
from medserver.printing.calibration import is_wedge
from medserver.printing.document import page_document
from medserver.printing.film import Film, film_of
from medserver.printing.following import FOLLOW
from medserver.printing.image_boxes import image_boxes
from medserver.printing.images import gathered_images
from medserver.printing.printers.outputs import output_of
from medserver.printing.printers.printer import FAILURE, Handover, Output
from medserver.printing.queue import FilmPayload
from medserver.printing.sheet import POSSIBLE_REPRINT
from medserver.printing.states import FINAL, Happening, change_film

LOOK_AGAIN_S = 30.0
"""How often is looked at a printer that cannot print."""

LEFT_TO_OTHERS_S = 2.0
"""For how long a film is left that another host can print: then whichever host comes first looks at it."""

BREAKS_MAX = 5
"""So often a film is tried with which a process that composes it dies, or takes too long."""

_OF_THE_FILM = (
    CannotRender, CannotTranscode, CannotUnderstand, DamagedObject, NoSuchInstance, TransferSyntaxNotSupported,
)  # fmt: skip
"""What will not be different the next time."""

logger = logging.getLogger(__name__)


class _Waits(Exception):
    """A film is not printed now.

    Parameters
    ----------
    info, detail : str
        Execution Status Info, and the same in words.
    look_again_s : float
        When to try again [s].
    """

    def __init__(self, info: str, detail: str, look_again_s: float = LOOK_AGAIN_S) -> None:
        super().__init__(detail)
        self.info, self.detail, self.look_again_s = info, detail, look_again_s


class _Refused(_Waits):
    """A printer has taken nothing of a film."""


def print_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Hand films over to a printer."""
    for job in batch:
        if batch.should_stop:
            return
        yield _printed(node, job)


def _printed(node: Node, job: Job) -> Outcome:
    """Hand a film over, or say why not."""
    uid, printing = (payload := FilmPayload.of(job)).uid, payload.printing
    row = node.index.films.get(uid)
    if row is None or row.state in FINAL or row.reference or row.printings != printing:
        return done(job)
    try:
        try:
            _check_reachable(node, row)
            _hand_over(node, row)
        except (WorkerDied, WorkTooLong) as error:
            if job.attempts >= BREAKS_MAX:
                _given_up(node, row, error)
                return done(job)
            _waits(node, row, "QUEUED", str(error))
            return failed(job, str(error))
        except _Waits as wait:
            _waits(node, row, wait.info, wait.detail)
            return held(job, wait.detail, wait.look_again_s)
    except (ActionNotAppropriate, NoSuchInstance) as error:  # somebody has cancelled it, or has it, or it is forgotten
        logger.info(Event("film left", uid=uid, reason=str(error)))
    return done(job)


def _waits(node: Node, row: FilmRow, info: str, detail: str) -> None:
    """Say why a film waits."""
    change_film(node, row.uid, Happening.WAITS, printings=row.printings, info=info, detail=detail)


def _check_reachable(node: Node, row: FilmRow) -> None:
    """Leave a film whose images lie on a volume that this host does not have to one that does.

    Raises
    ------
    _Waits
        This host does not have it.
    """
    if row.volume and row.volume not in node.volumes:
        is_elsewhere = row.volume in node.index.nodes.volumes()
        where = "another host has" if is_elsewhere else "no host has"
        look_again_s = LEFT_TO_OTHERS_S if is_elsewhere else LOOK_AGAIN_S
        raise _Waits("QUEUED", f"its images are on volume {row.volume}, which {where}", look_again_s)


def _hand_over(node: Node, row: FilmRow) -> None:
    """Hand a film over to the first of its printers that takes it.

    Raises
    ------
    _Waits
        None does now.
    WorkerDied, WorkTooLong
        It could not be composed, this time.
    ActionNotAppropriate
        Somebody else has it, or nobody wants it any longer.
    """
    refusals: list[_Waits] = []
    for printer in _printers_for(node, row):
        try:
            _try_printer(node, row, printer)
        except _Refused as refusal:
            refusals.append(refusal)
            continue
        if refusals:
            logger.warning(Event("substitute printer", uid=row.uid, printer=row.printer, substitute=printer.name))
        return
    raise _Waits(refusals[0].info, "; ".join(map(str, refusals)))


def _printers_for(node: Node, row: FilmRow) -> list[Printer]:
    """Return what may print a film: its printer and the substitute of that; or the one that may have it already.

    Raises
    ------
    _Waits
        The configuration has no such printer.
    """
    config = node.config.current
    name = row.printed_by if row.handovers and row.printed_by else row.printer
    printer = config.printer(name)
    if printer is None:
        raise _Waits("CHECK PRINTER", f"no [printer {name}] in the configuration")
    substitute = config.printer(printer.substitute) if row.handovers == 0 and printer.substitute else None
    return [printer] if substitute is None or is_wedge(row) else [printer, substitute]


def _try_printer(node: Node, row: FilmRow, printer: Printer) -> None:
    """Hand a film over to a printer.

    Raises
    ------
    _Refused
        The printer has taken nothing of it, for certain.
    _Waits, WorkerDied, WorkTooLong, ActionNotAppropriate
        As `_hand_over`.
    """
    try:
        output = output_of(node.config.current, printer)
        status = output.status()
    except RemoteError as error:
        raise _Refused("PRINTER DOWN", f"printer {printer.name}: {error}") from error
    if status.state == FAILURE:
        raise _Refused(status.info or "CHECK PRINTER", f"printer {printer.name}: {status.detail}")
    if row.handovers and _is_found(node, row, printer, output):
        return
    if row.handovers and _has_not_taken(row, printer, output):
        _not_taken(node, row, row.handovers)
        row = replace(row, handovers=row.handovers - 1)
    film, may_be_printed = _marked(row)
    if film is None:
        _given_up(node, row, CannotUnderstand("the film cannot be read"))
        return
    reference = _given_to(node, row, _on_medium(film, printer), printer, output)
    if reference is None:
        return
    if may_be_printed:
        logger.warning(Event("possible reprint", uid=row.uid, printer=printer.name, handovers=row.handovers + 1))
    _noted(node, row, row.handovers + 1, printer, output, reference)


def _is_found(node: Node, row: FilmRow, printer: Printer, output: Output) -> bool:
    """Tell whether a printer has a film that it may have been handed, and note it then.

    Raises
    ------
    _Waits
        It does not say: what it may have is not handed over again before that is known.
    """
    try:
        found = output.find(row.name)
    except RemoteError as error:
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    if found is not None:
        _noted(node, row, row.handovers, printer, output, found)
    return found is not None


def _has_not_taken(row: FilmRow, printer: Printer, output: Output) -> bool:
    """Tell whether a printer has certainly not taken what it was last begun to be handed.

    Raises
    ------
    _Waits
        It does not say.
    """
    try:
        return output.has_not_taken(row.name)
    except RemoteError as error:
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error


def _marked(row: FilmRow) -> tuple[Film | None, bool]:
    """Return a film with the mark of what may have been printed, and whether it has that; None if it cannot be read."""
    may_be_printed = row.handovers > 0
    try:
        film = film_of(row.content)
    except CannotUnderstand:
        return None, False
    if may_be_printed:
        film = replace(film, warnings=(*film.warnings, POSSIBLE_REPRINT))
    return film, may_be_printed


def _on_medium(film: Film, printer: Printer) -> Film:
    """Return a film on a medium that a printer has: the substitute of its printer may have no film of its size."""
    if film.film_size_id in ("", *printer.media):
        return film
    said = f"made for {film.film_size_id}, printed on {printer.media[0]}"
    return replace(film, film_size_id=printer.media[0], warnings=(*film.warnings, said))


def _given_to(node: Node, row: FilmRow, film: Film, printer: Printer, output: Output) -> str | None:
    """Note that a hand-over begins, hand a film over and return what the printer calls it; None if it can never be.

    Raises
    ------
    _Refused, _Waits, WorkerDied, WorkTooLong, ActionNotAppropriate
        As `_try_printer`.
    """
    begun = 0
    try:
        with gathered_images(node, row, film) as (file, images), output.beginning(row.name):
            document = partial(page_document, node, film, file, images, printer, row.label or row.uid)
            handover = Handover(
                row.name, film, row.created_at, row.copies, row.priority, row.label, images, file, document,
                partial(image_boxes, node, file, images),
            )  # fmt: skip
            change_film(
                node, row.uid, Happening.HANDOVER_BEGUN, printings=row.printings, handovers=row.handovers,
                printed_by=printer.name,
            )  # fmt: skip
            begun = row.handovers + 1
            crash_point("film begun")
            reference = output.hand_over(handover)
            crash_point("film handed over")
            return reference
    except PrinterRefused as error:
        _not_taken(node, row, begun)
        raise _Refused("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    except RemoteError as error:  # whether it was taken is not known: the next try asks for it first
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    except (WorkerDied, WorkTooLong):
        _not_taken(node, row, begun)
        raise
    except _OF_THE_FILM as error:
        if printer.name != row.printer:  # what a substitute cannot do, the printer may
            _not_taken(node, row, begun)
            raise _Refused("CHECK PRINTER", f"printer {printer.name}: {error}") from error
        _given_up(node, row, error)
        return None
    except ActionNotAppropriate:
        raise
    except (MedserverError, OSError) as error:  # ours: a disk, the memory, a volume that is away
        _not_taken(node, row, begun)
        raise _Waits("QUEUED", f"not the printer's fault: {error}") from error


def _not_taken(node: Node, row: FilmRow, begun: int) -> None:
    """Take back that a hand-over was begun: the printer has nothing of it."""
    if begun:
        change_film(node, row.uid, Happening.NOT_TAKEN, printings=row.printings, handovers=begun)


def _noted(node: Node, row: FilmRow, handovers: int, printer: Printer, output: Output, reference: str) -> None:
    """Note that a printer has a film, and have it followed. If it was cancelled meanwhile, it is to stop.

    Raises
    ------
    ActionNotAppropriate, NoSuchInstance
        It was cancelled, or somebody else has it, or it is forgotten.
    """
    follow = NewJob(FOLLOW, FilmPayload(row.uid, row.printings), destination=printer.name)
    try:
        change_film(
            node, row.uid, Happening.HANDED_OVER, printings=row.printings, handovers=handovers, reference=reference,
            printed_by=printer.name, info="NORMAL", detail=f"printer {printer.name} has it as {reference}",
            jobs=[follow],
        )  # fmt: skip
    except (ActionNotAppropriate, NoSuchInstance):
        with suppress(RemoteError):
            output.cancel(reference)
        raise
    crash_point("film noted")
    logger.info(Event("film handed over", uid=row.uid, printer=printer.name, reference=reference))


def _given_up(node: Node, row: FilmRow, error: MedserverError) -> None:
    change_film(
        node, row.uid, Happening.FAILED, printings=row.printings, info="INVALID PAGE DES", detail=str(error)
    )
    logger.error(Event("film not printed", uid=row.uid, reason=str(error)))
