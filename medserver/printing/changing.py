"""What is done to films from outside: cancel one, print one again, on another printer perhaps."""

from __future__ import annotations

import logging

from medserver.config import Printer
from medserver.errors import BadUsage, NoSuchInstance, RemoteError
from medserver.index import FilmRow, NewJob
from medserver.log import Event
from medserver.node import Node
from medserver.printing.calibration import is_wedge
from medserver.printing.printers.outputs import output_of
from medserver.printing.queue import PRINT, FilmPayload
from medserver.printing.states import Happening, change_film

logger = logging.getLogger(__name__)


def cancel_film(node: Node, uid: str, why: str = "cancelled by an administrator") -> bool:
    """Cancel a film, and ask the printer to stop if it has it; what is just being written into a folder is not.

    Parameters
    ----------
    node : Node
        Where.
    uid : str
        Which.
    why : str
        In words.

    Returns
    -------
    bool
        False if the printer has it and does not stop: it may be printed all the same.

    Raises
    ------
    NoSuchInstance
        There is no such film.
    ActionNotAppropriate
        It has ended.
    """
    change_film(node, uid, Happening.CANCEL, info="NORMAL", detail=why)
    row = required_film(node, uid)
    logger.info(Event("film cancelled", uid=uid, printer=row.printed_by or row.printer))
    if not row.handovers:
        return True
    printer = node.config.current.printer(row.printed_by)
    if printer is None:
        return False
    try:
        output = output_of(node.config.current, printer)
        if row.reference:
            return output.cancel(row.reference)
        return output.has_not_taken(row.name) and row.handovers == 1
    except RemoteError as error:
        logger.warning(Event("film not stopped", uid=uid, printer=printer.name, reason=str(error)))
        return False


def retry_film(node: Node, uid: str, printer: Printer | None = None) -> None:
    """Have a film printed again that has ended.

    Parameters
    ----------
    node : Node
        Where.
    uid : str
        Which.
    printer : Printer, optional
        On what; None: on the printer that it was asked for.

    Raises
    ------
    NoSuchInstance
        There is no such film.
    ActionNotAppropriate
        It has not ended, or somebody else has it printed again.
    BadUsage
        It is the step wedge of another printer.
    """
    row = required_film(node, uid)
    name = row.printer if printer is None else printer.name
    if name != row.printer and is_wedge(row):
        raise BadUsage(f"film {uid} is the step wedge of printer {row.printer}, and calibrates no other")
    job = NewJob(PRINT, FilmPayload(uid, row.printings + 1), destination=name)
    change_film(
        node, uid, Happening.RETRY, printings=row.printings, info="QUEUED", printed_by="", printer=name, jobs=[job],
        detail="printed again for an administrator",
    )  # fmt: skip
    logger.info(Event("film queued again", uid=uid, printer=name))


def required_film(node: Node, uid: str) -> FilmRow:
    """Return a film.

    Raises
    ------
    NoSuchInstance
        There is none of this UID.
    """
    row = node.index.films.get(uid)
    if row is None:
        raise NoSuchInstance(f"there is no film {uid}: it was never asked for, or is forgotten")
    return row
