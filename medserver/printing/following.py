"""Films that a printer has are followed: the job ``follow_film``, which asks the printer how far it has come."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.errors import ActionNotAppropriate, NoSuchInstance, RemoteError
from medserver.index import FilmRow, Job
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed, held
from medserver.log import Event
from medserver.node import Node
from medserver.printing.printers.outputs import can_have, output_of
from medserver.printing.printers.printer import FAILURE, Progress
from medserver.printing.queue import FilmPayload
from medserver.printing.states import DONE, FINAL, PENDING, Happening, change_film

FOLLOW = "follow_film"
"""The kind of the job."""

FOLLOW_EVERY_S, FOLLOW_SELDOM_S = 2.0, 60.0
"""How often a printer is asked about a film: at first, and later, where it takes long."""

LOOK_AGAIN_S = 30.0
"""How often is looked whether a printer is in the configuration again."""

logger = logging.getLogger(__name__)


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
    try:
        return _looked_at(node, job, row)
    except (ActionNotAppropriate, NoSuchInstance) as error:  # it was cancelled, or is forgotten
        logger.info(Event("film left", uid=uid, reason=str(error)))
        return done(job)


def _looked_at(node: Node, job: Job, row: FilmRow) -> Outcome:
    """Ask the printer that has a film, and note what it says.

    Raises
    ------
    RemoteError
        The printer does not answer.
    ActionNotAppropriate, NoSuchInstance
        The film was cancelled, or is forgotten.
    """
    printer = node.config.current.printer(row.printed_by)
    if printer is None:
        missing = f"no [printer {row.printed_by}] in the configuration, which has it as {row.reference}"
        _learnt(node, row, Happening.WAITS, Progress("", "CHECK PRINTER", missing))
        return held(job, missing, LOOK_AGAIN_S)
    try:
        progress = _progress(node, row, printer)
    except RemoteError as error:
        _learnt(node, row, Happening.WAITS, Progress("", "PRINTER DOWN", str(error)))
        raise
    happening = {DONE: Happening.PRINTED, "FAILURE": Happening.FAILED}.get(progress.state, Happening.FOLLOWED)
    _learnt(node, row, happening, progress)
    crash_point("film ended")
    if happening is Happening.FOLLOWED:
        since_s = (node.clock() - row.changed_at).total_seconds()
        return held(job, progress.detail, min(max(since_s / 10, FOLLOW_EVERY_S), FOLLOW_SELDOM_S))
    logger.info(Event("film ended", uid=row.uid, printer=printer.name, state=progress.state))
    return done(job)


def _progress(node: Node, row: FilmRow, printer: Printer) -> Progress:
    """Return how far a printer has come; FAILURE if its entry says since that it is another kind of printer.

    Raises
    ------
    RemoteError
        It does not answer.
    """
    if not can_have(printer, row.reference):
        detail = f"printer {printer.name} is another one now, and does not know {row.reference}: see if it is printed"
        return Progress(FAILURE, "CHECK PRINTER", detail)
    return output_of(node.config.current, printer).follow(row.reference)


def _learnt(node: Node, row: FilmRow, happening: Happening, progress: Progress) -> None:
    """Note what was learnt of a film, if it is news."""
    is_news = happening in (Happening.PRINTED, Happening.FAILED)
    if is_news or (progress.info, progress.detail) != (row.status_info, row.detail):
        change_film(
            node, row.uid, happening, printings=row.printings, handovers=row.handovers, info=progress.info,
            detail=progress.detail,
        )  # fmt: skip
