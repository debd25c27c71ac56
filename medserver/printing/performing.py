"""Films are printed: the jobs ``print``, which hands one over, and ``follow_film``, which sees it to its end.

What may have been printed is never printed again without a word: a hand-over is noted before it is begun, a printer is
asked for what it may have, and where it cannot tell, the sheet says "possible reprint".
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from medserver.config import Printer
from medserver.errors import (
    ActionNotAppropriate,
    CannotRender,
    CannotTranscode,
    CannotUnderstand,
    DamagedObject,
    MedserverError,
    NoSuchInstance,
    RemoteError,
    TransferSyntaxNotSupported,
    WorkerDied,
)
from medserver.index import FilmRow, Job, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed, held
from medserver.log import Event
from medserver.node import Node
from medserver.printing.document import page_document
from medserver.printing.film import film_of
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

FOLLOW_EVERY_S = 2.0

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


def print_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Hand films over to a printer."""
    for job in batch:
        if batch.should_stop:
            return
        yield _printed(node, job)


def follow_films(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Ask a printer how far it has come with films."""
    for job in batch:
        if batch.should_stop:
            return
        yield _followed(node, job)


def _printed(node: Node, job: Job) -> Outcome:
    """Hand a film over, or say why not."""
    uid = FilmPayload.of(job).uid
    row = node.index.films.get(uid)
    if row is None or row.state in FINAL:
        return done(job)
    try:
        _hand_over(node, row)
    except _Waits as wait:
        change_film(node, uid, Happening.WAITS, info=wait.info, detail=wait.detail)
        return held(job, wait.detail, LOOK_AGAIN_S)
    except ActionNotAppropriate as error:  # somebody has cancelled it, or has it
        logger.info(Event("film left", uid=uid, reason=str(error)))
    return done(job)


def _hand_over(node: Node, row: FilmRow) -> None:
    """Hand a film over.

    Raises
    ------
    _Waits
        Not now.
    ActionNotAppropriate
        Somebody else has it, or nobody wants it any longer.
    """
    printer, output = _printer_for(node, row)
    if row.handovers and not row.reference:
        found = _asked(printer, output.find, row.uid)
        if found is not None:
            _noted(node, row.uid, row.handovers, printer, found)
            return
    may_be_printed = row.handovers > 0 and not output.knows_what_it_took
    begun = 0
    try:
        film = film_of(row.content)
        if may_be_printed:
            film = replace(film, warnings=(*film.warnings, POSSIBLE_REPRINT))
        with gathered_images(node, row, film) as (file, images):
            document = partial(page_document, node, film, file, images, printer, row.label or row.uid)
            handover = Handover(
                row.uid, film, row.created_at, row.copies, row.priority, row.label, images, file, document
            )
            change_film(node, row.uid, Happening.HANDOVER_BEGUN, handovers=row.handovers, printed_by=printer.name)
            begun = row.handovers + 1
            reference = output.hand_over(handover)
    except RemoteError as error:
        # Whether it was taken is not known: the next try asks for it first.
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error
    except WorkerDied as error:
        raise _Waits("QUEUED", str(error)) from error
    except _OF_THE_FILM as error:
        _given_up(node, row.uid, begun, error)
        return
    except ActionNotAppropriate:
        raise
    except MedserverError as error:  # ours: a disk, the memory
        if begun:
            change_film(node, row.uid, Happening.NOT_TAKEN, handovers=begun)
        raise _Waits("QUEUED", f"not the printer's fault: {error}") from error
    if may_be_printed:
        logger.warning(Event("possible reprint", uid=row.uid, printer=printer.name))
    _noted(node, row.uid, begun, printer, reference)


def _printer_for(node: Node, row: FilmRow) -> tuple[Printer, Output]:
    """Return what prints a film: its printer, or the substitute of that if it cannot.

    Raises
    ------
    _Waits
        Neither can.
    """
    config = node.config.current
    name = row.printer if row.handovers == 0 or not row.printed_by else row.printed_by
    printer = config.printer(name)
    if printer is None:
        raise _Waits("CHECK PRINTER", f"no [printer {name}] in the configuration")
    status = _asked(printer, output_of(config, printer).status)
    if status.state != FAILURE:
        return printer, output_of(config, printer)
    substitute = config.printer(printer.substitute) if row.handovers == 0 else None
    if substitute is not None and _asked(substitute, output_of(config, substitute).status).state != FAILURE:
        logger.warning(Event("substitute printer", uid=row.uid, printer=printer.name, substitute=substitute.name))
        return substitute, output_of(config, substitute)
    raise _Waits(status.info or "CHECK PRINTER", f"printer {printer.name}: {status.detail}")


def _asked(printer: Printer, question, *arguments):  # noqa: ANN001, ANN002, ANN202 - whatever the verb takes and gives
    """Ask a printer something.

    Raises
    ------
    _Waits
        It does not answer.
    """
    try:
        return question(*arguments)
    except RemoteError as error:
        raise _Waits("CHECK PRINTER", f"printer {printer.name}: {error}") from error


def _noted(node: Node, uid: str, handovers: int, printer: Printer, reference: str) -> None:
    """Note that a printer has a film, and have it followed."""
    follow = NewJob(FOLLOW, FilmPayload(uid), destination=printer.name)
    change_film(
        node, uid, Happening.HANDED_OVER, handovers=handovers, reference=reference, printed_by=printer.name,
        info="PRINTING", detail=f"printer {printer.name} has it as {reference}", jobs=[follow],
    )  # fmt: skip
    logger.info(Event("film handed over", uid=uid, printer=printer.name, reference=reference))


def _given_up(node: Node, uid: str, begun: int, error: MedserverError) -> None:
    change_film(node, uid, Happening.FAILED, handovers=begun, info="INVALID PAGE DES", detail=str(error))
    logger.error(Event("film not printed", uid=uid, reason=str(error)))


def _followed(node: Node, job: Job) -> Outcome:
    """Ask for one film."""
    uid = FilmPayload.of(job).uid
    row = node.index.films.get(uid)
    if row is None or row.state in FINAL or row.state == PENDING or not row.reference:
        return done(job)
    config = node.config.current
    printer = config.printer(row.printed_by)
    if printer is None:
        return held(job, f"no [printer {row.printed_by}] in the configuration", LOOK_AGAIN_S)
    try:
        progress = output_of(config, printer).follow(row.reference)
    except RemoteError as error:
        return failed(job, str(error))
    happening = {DONE: Happening.PRINTED, "FAILURE": Happening.FAILED}.get(progress.state, Happening.FOLLOWED)
    try:
        if happening is not Happening.FOLLOWED or (progress.info, progress.detail) != (row.status_info, row.detail):
            change_film(
                node, uid, happening, handovers=row.handovers, info=progress.info, detail=progress.detail
            )
    except ActionNotAppropriate as error:
        logger.info(Event("film left", uid=uid, reason=str(error)))
        return done(job)
    if happening is Happening.FOLLOWED:
        return held(job, progress.detail, FOLLOW_EVERY_S)
    logger.info(Event("film ended", uid=uid, printer=printer.name, state=progress.state))
    return done(job)
