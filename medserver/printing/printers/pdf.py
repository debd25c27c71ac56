"""A folder of PDF files as a printer: one file for each film, whole or not there at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shutil import copyfileobj

from medserver import modes
from medserver.errors import PrinterFailed, PrinterRefused
from medserver.printing.printers.printer import FAILURE, NORMAL, Handover, PrinterStatus, Progress


class PdfFolder:
    """A folder. See `printer.Output`.

    Parameters
    ----------
    folder : Path
        Where the files go; it is made if it does not exist.
    """

    knows_what_it_took = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def status(self) -> PrinterStatus:
        """Tell whether files can be written."""
        try:
            modes.make_directories(self._folder)
        except OSError as error:
            return PrinterStatus(FAILURE, "CHECK PRINTER", f"{self._folder}: {error.strerror}")
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return PrinterStatus(FAILURE, "CHECK PRINTER", f"{self._folder}: no files can be written")
        return PrinterStatus(NORMAL)

    def hand_over(self, handover: Handover) -> str:
        """Write the file; it is durable when this returns. Copies are left to who prints it.

        Raises
        ------
        PrinterRefused
            It cannot be written.
        PrinterFailed
            It was written, and may not be durable.
        """
        name = f"{handover.requested_at.astimezone():%Y%m%d-%H%M%S}-{handover.name}.pdf"
        temporary = self._folder / f".{handover.name}.part"
        with handover.document() as document:
            try:
                with temporary.open("wb") as file:
                    copyfileobj(document, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self._folder / name)
            except OSError as error:
                with suppress(OSError):
                    temporary.unlink()
                raise PrinterRefused(f"{self._folder}: {error.strerror or error}") from error
        try:
            self._flush()
        except OSError as error:
            raise PrinterFailed(f"{self._folder}: {error.strerror or error}") from error
        return name

    def _flush(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def find(self, name: str) -> str | None:
        """Return the name of the file of a film."""
        try:
            return next((path.name for path in self._folder.glob(f"*[0-9]-{name}.pdf")), None)
        except OSError as error:
            raise PrinterFailed(f"{self._folder}: {error.strerror or error}") from error

    def follow(self, reference: str) -> Progress:
        """Tell that it is done: the file is there, or somebody has taken it."""
        return Progress("DONE", "NORMAL", reference)

    def cancel(self, reference: str) -> bool:
        """Tell that it is too late."""
        del reference
        return False
