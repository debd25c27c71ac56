"""A folder of PDF files as a printer: one file for each film, whole or not there at all.

Whoever prints the files may take them away at once, and the folder may be another one the next time (another entry, a
volume that is away): that a film is not there says nothing. So an empty file is put there before a hand-over is noted
as begun, the page is written into that, and its name becomes that of the film: while it has its first name, and in no
other case, the film has certainly not been there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    @contextmanager
    def beginning(self, name: str) -> Iterator[None]:
        """Put the file there that the page is written into; it is durable before anything is begun.

        Raises
        ------
        PrinterRefused
            It cannot be.
        """
        begun = self._begun(name)
        try:
            begun.touch()
            self._flush()
        except OSError as error:
            raise PrinterRefused(f"{self._folder}: {error.strerror or error}") from error
        try:
            yield
        finally:
            with suppress(OSError):
                begun.unlink(missing_ok=True)

    def _begun(self, name: str) -> Path:
        """Return the file of a hand-over of this process: that of another one is another file."""
        return self._folder / f".{name}_{os.uname().nodename}-{os.getpid()}.part"

    def hand_over(self, handover: Handover) -> str:
        """Write the file; it is durable when this returns. Copies are left to who prints it.

        Raises
        ------
        PrinterRefused
            It cannot be written.
        PrinterFailed
            It was written, and may not be durable; or what was begun is not there any more: the folder is another one,
            or somebody else has the film.
        """
        name = f"{handover.requested_at.astimezone():%Y%m%d-%H%M%S}-{handover.name}.pdf"
        begun = self._begun(handover.name)
        with handover.document() as document:
            try:
                with begun.open("r+b") as file:  # and not made anew
                    copyfileobj(document, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(begun, self._folder / name)
            except FileNotFoundError as error:
                raise PrinterFailed(f"{self._folder}: what was begun is not there any more") from error
            except OSError as error:
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

    def has_not_taken(self, name: str) -> bool:
        """Tell whether the file that was put there for the film lies there as it was, and remove it.

        Raises
        ------
        PrinterFailed
            The folder cannot be read.
        """
        try:
            begun = list(self._folder.glob(f".{name}_*.part"))
            for path in begun:
                path.unlink()
        except FileNotFoundError:  # it becomes that of the film in this moment
            return False
        except OSError as error:
            raise PrinterFailed(f"{self._folder}: {error.strerror or error}") from error
        return bool(begun)

    def follow(self, reference: str) -> Progress:
        """Tell that it is done: the file is there, or somebody has taken it."""
        return Progress("DONE", "NORMAL", reference)

    def cancel(self, reference: str) -> bool:
        """Tell that it is too late."""
        del reference
        return False
