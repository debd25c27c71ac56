"""Which output a printer of the configuration has."""

from __future__ import annotations

from medserver.config import Config, Printer
from medserver.config.printer import DICOM, IPP, PDF
from medserver.errors import PrinterFailed
from medserver.printing.printers.dicom import DicomImager
from medserver.printing.printers.ipp import IppPrinter
from medserver.printing.printers.pdf import PdfFolder
from medserver.printing.printers.printer import Output


def output_of(config: Config, printer: Printer) -> Output:
    """Return the way to a printer.

    Raises
    ------
    PrinterFailed
        It has none that is known here.
    """
    if printer.output == PDF and printer.folder is not None:
        return PdfFolder(printer.folder)
    if printer.output == IPP:
        return IppPrinter(printer)
    if printer.output == DICOM:
        return DicomImager(config, printer)
    raise PrinterFailed(f"printer {printer.name} has no output {printer.output}")
