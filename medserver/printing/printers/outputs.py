"""Which output a printer of the configuration has.

Each is imported when a printer has it: who looks after the films of a folder needs no DICOM, and no IPP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from medserver.config import Config, Printer
from medserver.config.printer import DICOM, IPP, PDF
from medserver.errors import PrinterFailed

if TYPE_CHECKING:
    from medserver.printing.printers.printer import Output

_NEEDED = {PDF: ("reportlab",), IPP: ("ippx", "reportlab"), DICOM: ("reportlab",)}
"""What each output imports of the extra ``print``."""

_REFERENCES: Mapping[str, re.Pattern[str]] = {
    PDF: re.compile(r".+\.pdf"),
    IPP: re.compile(r"\d+( .*)?"),
    DICOM: re.compile(r"[0-9.]+|no Print Job"),
}
"""Output -> what it calls films."""


def output_of(config: Config, printer: Printer) -> Output:
    """Return the way to a printer.

    Raises
    ------
    PrinterFailed
        It has none that is known here, or the extra ``print`` is not installed.
    """
    for module in _NEEDED.get(printer.output, ()):
        if find_spec(module) is None:
            raise PrinterFailed(f"{module} is not installed: printers need the extra 'print'")
    if printer.output == PDF and printer.folder is not None:
        from medserver.printing.printers.pdf import PdfFolder

        return PdfFolder(printer.folder)
    if printer.output == IPP:
        from medserver.printing.printers.ipp import IppPrinter

        return IppPrinter(printer)
    if printer.output == DICOM:
        from medserver.printing.printers.dicom import DicomImager

        return DicomImager(config, printer)
    raise PrinterFailed(f"printer {printer.name} has no output {printer.output}")


def can_have(printer: Printer, reference: str) -> bool:
    """Tell whether a printer can call a film so: not if it had another output then, by its entry of that time."""
    return _REFERENCES[printer.output].fullmatch(reference) is not None
