"""How printers are: looked at now and then, noted when that changes, and told to who prints without asking the printer.

A printer that is off or hangs takes the time limit of each question. Nobody who waits for an answer of this node pays
for that: a job asks, and what it last heard is told.

References
----------
PS3.4 H.4.6, PS3.3 C.13.9
"""

from __future__ import annotations

import json
from typing import NamedTuple

from medserver.config import Printer
from medserver.errors import ConfigError, RemoteError
from medserver.index.jobs.batch import Batch
from medserver.node import Node
from medserver.printing.printers.outputs import output_of
from medserver.printing.printers.printer import FAILURE, NORMAL, WARNING

LOOK = "look_at_printers"
"""The kind of the job that asks all printers."""

INTERVAL_S = 30.0

EVENTS = {NORMAL: 1, WARNING: 2, FAILURE: 3}
"""Printer Status -> Event Type ID of the printer (PS3.4 H.4.6.2.1)."""


class PrinterState(NamedTuple):
    """Printer Status and Printer Status Info."""

    status: str
    info: str


def look_at_printers(node: Node, batch: Batch) -> None:
    """Ask every printer how it is, and note what has changed."""
    for printer in node.config.current.printers:
        if batch.should_stop:
            return
        look(node, printer)


def look(node: Node, printer: Printer) -> PrinterState:
    """Ask a printer how it is, and note it if it has changed.

    One that cannot print has a warning: films are taken, and wait for it or go to its substitute.
    """
    try:
        asked = output_of(node.config.current, printer).status()
        if asked.state == FAILURE:
            state = PrinterState(WARNING, asked.info or "CHECK PRINTER")
        else:
            state = PrinterState(asked.state, asked.info or "NORMAL")
    except (RemoteError, ConfigError):
        state = PrinterState(WARNING, "CHECK PRINTER")
    text = json.dumps(state)
    if node.index.progress.get(_name(printer)) != text:
        node.index.progress.set(_name(printer), text)
    return state


def known_state(node: Node, printer: Printer) -> PrinterState:
    """Return how a printer was when it was last asked; it is asked now if it never was."""
    text = node.index.progress.get(_name(printer))
    return look(node, printer) if text is None else PrinterState(*json.loads(text))


def _name(printer: Printer) -> str:
    return f"printer:{printer.name}"
