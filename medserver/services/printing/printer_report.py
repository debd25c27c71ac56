"""Printer events: how the printer is has changed, told on the associations that print on it (PS3.4 H.4.6.2.1)."""

from __future__ import annotations

from medserver.dicom.json_model import write_json
from medserver.dicom.print_classes import PRINTER, PRINTER_INSTANCE
from medserver.printing.printer_states import EVENTS, PrinterState
from medserver.services.reporting import EventReport
from medserver.wire.association import AcceptedContext
from medserver.workitems.content import data_set


class PrinterReport:
    """One event of the printer (see `reporting.Report`).

    It is made between two requests, and does not wait: an association that asks nothing is not kept for it.

    Parameters
    ----------
    context : AcceptedContext
        Of a meta SOP class, or of the Printer SOP class.
    printer_name : str
        Of the printer.
    state : PrinterState
        How it is now.
    """

    def __init__(self, context: AcceptedContext, printer_name: str, state: PrinterState) -> None:
        self._context = context
        self._printer_name = printer_name
        self._state = state

    def take(self) -> EventReport:
        """Return the event."""
        information = {}
        if self._state.status in ("WARNING", "FAILURE"):
            information = data_set(PrinterStatusInfo=self._state.info, PrinterName=self._printer_name)
        encoded = write_json(information, self._context.transfer_syntax_uid)
        event_type_id = EVENTS[self._state.status]
        return EventReport(self._context.context_id, PRINTER, PRINTER_INSTANCE, event_type_id, encoded)

    def settle(self, code: int) -> None:
        """Take notice that the peer has answered, whatever it says."""

    def abandon(self) -> None:
        """Tell nobody: the peer can ask with an N-GET."""
