"""Films are printed: the jobs ``print``, which hands one over, and ``follow_film``, which sees it to its end.

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
from medserver.printing.image_boxes import image_boxes
from medserver.printing.images import gathered_images
from medserver.printing.printers.outputs import output_of
from medserver.printing.printers.printer import FAILURE, Handover, Output
from medserver.printing.queue import FilmPayload
from medserver.printing.sheet import POSSIBLE_REPRINT
from medserver.printing.states import DONE, FINAL, PENDING, Happening, change_film

FOLLOW = "follow_film"
"""The kind of the job that asks the printer how far it has come."""

LOOK_AGAIN_S = 30.0
"""How often is looked at a printer that cannot print."""

FOLLOW_EVERY_S, FOLLOW_SELDOM_S = 2.0, 60.0
"""How often a printer is asked about a film: at first, and later, where it takes long."""

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
    """

    def __init__(self, info: str, detail: str) -> None:
        super().__init__(detail)
        self.info, self.detail = info, detail


class _Refused(_Waits):
    """A printer has taken nothing of a film."""


def print_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Hand films over to a printer."""
    for job in batch:
        if batch.should_stop:
            return
        yield _printed(node, job)


def follow_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Ask a printer how far it has come with films; one that does not answer is asked for one film only."""
    silent = ""
    for job in batch:
        if batch.should_stop:
            return
        try:
            yield failed(job, silent) if silent else _followed(node, job)
        except RemoteError as error:
            silent = str(error)
            yield failed(job, silent)


def _printed(node: Node, job: Job) -> Outcome:
    """Hand a film over, or say why not."""
    uid, printing = (payload := FilmPayload.of(job)).uid, payload.printing
    row = node.index.films.get(uid)
    if row is None or row.state in FINAL or row.reference or row.printings != printing:
        return done(job)
    try:
        try:
            _hand_over(node, row)
        except (WorkerDied, WorkTooLong) as error:
            if job.attempts >= BREAKS_MAX:
                _given_up(node, uid, error)
                return done(job)
            change_film(node, uid, Happening.WAITS, info="QUEUED", detail=str(error))
            return failed(job, str(error))
        except _Waits as wait:
            change_film(node, uid, Happening.WAITS, info=wait.info, detail=wait.detail)
            return held(job, wait.detail, LOOK_AGAIN_S)
    except ActionNotAppropriate as error:  # somebody has cancelled it, or has it
        logger.info(Event("film left", uid=uid, reason=str(error)))
    return done(job)


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
    if row.handovers and output.knows_what_it_took:
        _not_taken(node, row.uid, row.handovers)
        row = replace(row, handovers=row.handovers - 1)
    film, may_be_printed = _marked(row)
    if film is None:
        _given_up(node, row.uid, CannotUnderstand("the film cannot be read"))
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
        with gathered_images(node, row, film) as (file, images):
            document = partial(page_document, node, film, file, images, printer, row.label or row.uid)
            handover = Handover(
                row.name, film, row.created_at, row.copies, row.priority, row.label, images, file, document,
                partial(image_boxes, node, file, images),
            )  # fmt: skip
            change_film(node, row.uid, Happening.HANDOVER_BEGUN, handovers=row.handovers, printed_by=printer.name)
            begun = row.handovers + 1
            crash_point("film begun")
            reference = output.hand_over(handover)
            crash_point("film handed over")
            return reference
    except PrinterRefused as error:
        _not_taken(node, row.uid, begun)
        raise _Refused("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    except RemoteError as error:  # whether it was taken is not known: the next try asks for it first
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    except (WorkerDied, WorkTooLong):
        _not_taken(node, row.uid, begun)
        raise
    except _OF_THE_FILM as error:
        if printer.name != row.printer:  # what a substitute cannot do, the printer may
            _not_taken(node, row.uid, begun)
            raise _Refused("CHECK PRINTER", f"printer {printer.name}: {error}") from error
        _given_up(node, row.uid, error)
        return None
    except ActionNotAppropriate:
        raise
    except (MedserverError, OSError) as error:  # ours: a disk, the memory, a volume that is away
        _not_taken(node, row.uid, begun)
        raise _Waits("QUEUED", f"not the printer's fault: {error}") from error


def _not_taken(node: Node, uid: str, begun: int) -> None:
    """Take back that a hand-over was begun: the printer has nothing of it."""
    if begun:
        change_film(node, uid, Happening.NOT_TAKEN, handovers=begun)


def _noted(node: Node, row: FilmRow, handovers: int, printer: Printer, output: Output, reference: str) -> None:
    """Note that a printer has a film, and have it followed. If it was cancelled meanwhile, it is to stop.

    Raises
    ------
    ActionNotAppropriate
        It was cancelled, or somebody else has it.
    """
    follow = NewJob(FOLLOW, FilmPayload(row.uid, row.printings), destination=printer.name)
    try:
        change_film(
            node, row.uid, Happening.HANDED_OVER, handovers=handovers, reference=reference, printed_by=printer.name,
            info="NORMAL", detail=f"printer {printer.name} has it as {reference}", jobs=[follow],
        )  # fmt: skip
    except ActionNotAppropriate:
        with suppress(RemoteError):
            output.cancel(reference)
        raise
    crash_point("film noted")
    logger.info(Event("film handed over", uid=row.uid, printer=printer.name, reference=reference))


def _given_up(node: Node, uid: str, error: MedserverError) -> None:
    change_film(node, uid, Happening.FAILED, info="INVALID PAGE DES", detail=str(error))
    logger.error(Event("film not printed", uid=uid, reason=str(error)))


def _followed(node: Node, job: Job) -> Outcome:
    """Ask for one film.

    Raises
    ------
    RemoteError
        The printer does not answer.
    """
    uid, printing = (payload := FilmPayload.of(job)).uid, payload.printing
    row = node.index.films.get(uid)
    if row is None or row.state in FINAL or row.state == PENDING or not row.reference or row.printings != printing:
        return done(job)
    config = node.config.current
    printer = config.printer(row.printed_by)
    if printer is None:
        return held(job, f"no [printer {row.printed_by}] in the configuration", LOOK_AGAIN_S)
    try:
        progress = output_of(config, printer).follow(row.reference)
    except RemoteError as error:
        with suppress(ActionNotAppropriate):  # it was cancelled
            change_film(node, uid, Happening.WAITS, handovers=row.handovers, info="PRINTER DOWN", detail=str(error))
        raise
    happening = {DONE: Happening.PRINTED, "FAILURE": Happening.FAILED}.get(progress.state, Happening.FOLLOWED)
    try:
        if happening is not Happening.FOLLOWED or (progress.info, progress.detail) != (row.status_info, row.detail):
            change_film(
                node, uid, happening, handovers=row.handovers, info=progress.info, detail=progress.detail
            )
    except ActionNotAppropriate as error:
        logger.info(Event("film left", uid=uid, reason=str(error)))
        return done(job)
    crash_point("film ended")
    if happening is Happening.FOLLOWED:
        since_s = (node.clock() - row.changed_at).total_seconds()
        return held(job, progress.detail, min(max(since_s / 10, FOLLOW_EVERY_S), FOLLOW_SELDOM_S))
    logger.info(Event("film ended", uid=uid, printer=printer.name, state=progress.state))
    return done(job)
