"""ippeveprinter of CUPS: an IPP Everywhere printer that keeps what it is sent, and can be told to fail or to hang."""

from __future__ import annotations

import os
from pathlib import Path

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Server

FILM_PRINTER = """\
ATTR mimeMediaType document-format-supported application/octet-stream,application/pdf
ATTR mimeMediaType document-format-default application/pdf
ATTR rangeOfInteger copies-supported 1-20
ATTR keyword job-creation-attributes-supported job-name,copies,media,print-scaling,print-quality
ATTR collection media-size-supported {
  MEMBER integer x-dimension 21000 MEMBER integer y-dimension 29700
},{
  MEMBER rangeOfInteger x-dimension 10000-40000 MEMBER rangeOfInteger y-dimension 10000-50000
}
ATTR keyword media-col-supported media-size
ATTR enum print-quality-supported 3,4,5
ATTR keyword media-supported "iso_a4_210x297mm"
ATTR keyword media-ready "iso_a4_210x297mm"
ATTR keyword print-scaling-supported none,fit
"""


class IppEvePrinter:
    """A running printer. It wants a D-Bus for its announcements, and gets one of its own on which nobody listens.

    Parameters
    ----------
    folder : Path
        Where it keeps what it has; the pages are in ``pages``.
    command : str
        A shell script that it runs with each page, whose file is ``$1``; its exit code and what it writes to standard
        error (``STATE: +media-empty-error``) are the course of the job.
    attributes : str
        Printer attributes, as ``ippeveprinter -a`` reads them; empty for an office printer.
    """

    def __init__(self, folder: Path, command: str = "exit 0", attributes: str = FILM_PRINTER) -> None:
        self.folder = folder
        self.pages = folder / "pages"
        self.pages.mkdir(parents=True)
        self._port = free_port()
        self._script = folder / "print"
        self.set_command(command)
        self._attributes = folder / "attributes.conf"
        self._attributes.write_text(attributes)
        # The path of a socket is short; the name in the abstract name space outlives nothing.
        self._bus_address = f"unix:abstract=medserver-tests-{os.getpid()}-{self._port}"
        arguments = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
        self._bus = Server([*arguments, f"--address={self._bus_address}"], log=folder / "bus.log")
        self._bus.wait_for_line("guid=")
        self.server = self._started()

    @property
    def url(self) -> str:
        """Its URL."""
        return f"ipp://localhost:{self._port}/ipp/print"

    def set_command(self, command: str) -> None:
        """Change what happens to pages."""
        text = f'#!/bin/sh\ncp "$1" {self.pages}/$$.pdf\n{command}\n'
        beside = self._script.with_suffix(".new")
        beside.write_text(text)
        beside.chmod(0o755)
        beside.replace(self._script)

    def _started(self) -> Server:
        spool = self.folder / "spool"
        spool.mkdir(exist_ok=True)
        options = ["-n", "localhost", "-r", "off", "-p", str(self._port), "-d", spool]
        more = ["-a", self._attributes] if self._attributes.read_text() else ["-f", "application/pdf"]
        server = Server(
            ["ippeveprinter", *options, *more, "-c", self._script, "film printer"],
            log=self.folder / "printer.log",
            environment={"DBUS_SYSTEM_BUS_ADDRESS": self._bus_address},
        )
        server.wait_for_port(Address("", self._port))
        return server

    def restart(self) -> None:
        """End it and start it again: it has forgotten its jobs."""
        self.server.kill()
        self.server = self._started()

    def stop(self) -> None:
        """End it."""
        self.server.kill()
        self._bus.kill()
