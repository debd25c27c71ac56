"""CUPS: a print server of its own, with a queue whose backend keeps what it gets, and can be told to fail or hang."""

from __future__ import annotations

import grp
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Completed, Server, run

QUEUE = "film"

_PROGRAMS = Path("/usr/lib/cups")
_DEFAULTS = Path("/usr/share/cups/cupsd.conf.default")

_SIZES = (("A4", "A4", 595.276, 841.89), ("A3", "A3", 841.89, 1190.55), ("14x17", "14x17 inch", 1008.0, 1224.0))
"""Names and points of what the queue prints on."""

_BACKEND = """\
#!/bin/sh
[ $# = 0 ] && { echo 'direct keep "Unknown" "keeps what it gets"'; exit 0; }
printf '%s\\n' "$1|$2|$3|$4|$5" >>PAGES/calls
. PAGES/course
cat "${6:--}" >PAGES/$1.pdf
exit 0
"""


class Cups:
    """A running print server with the queue `QUEUE`, which takes PDF, in the default policy of CUPS.

    It lies in a folder of its own, because what root starts runs as another user, who has to get there.

    Parameters
    ----------
    has_port : bool
        Whether it listens on a port; else on its socket only, as the print server of a workstation may.
    """

    def __init__(self, has_port: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="medserver-cups-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "cups.sock"
        self.pages = self.folder / "pages"
        self._port = free_port() if has_port else 0
        for name in ("root", "cache", "state", "spool", "tmp", "pages", "bin/backend"):
            (self.folder / name).mkdir(parents=True)
        for name in ("filter", "daemon", "notifier", "cgi-bin", "driver", "monitor"):
            (self.folder / "bin" / name).symlink_to(_PROGRAMS / name)
        (self.folder / "bin" / "backend" / "ipp").symlink_to(_PROGRAMS / "backend" / "ipp")
        backend = self.folder / "bin" / "backend" / "keep"
        backend.write_text(_BACKEND.replace("PAGES", str(self.pages)))
        backend.chmod(0o700)  # so CUPS runs it as the user that it is itself
        self.set_course("")
        (self.folder / "root" / "cupsd.conf").write_text(self._configuration())
        (self.folder / "root" / "cups-files.conf").write_text(self._files())
        self.server = self._started()
        ppd = self.folder / "film.ppd"
        ppd.write_text(_driver())
        self.add_queue(QUEUE, "keep:/", "-P", ppd)

    @property
    def url(self) -> str:
        """The URL of the queue."""
        return f"ipp://localhost:{self._port}/printers/{QUEUE}"

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of the backend each time: job, user, title, copies, options."""
        path = self.pages / "calls"
        return [line.split("|") for line in path.read_text().splitlines()] if path.exists() else []

    def set_course(self, lines: str) -> None:
        """Change what the backend does with a job before it keeps its page: lines of a shell script."""
        beside = self.pages / "course.new"
        beside.write_text(lines + "\n")
        beside.replace(self.pages / "course")

    def add_queue(self, name: str, device: str, *driver: str | Path) -> None:
        """Make a queue that accepts jobs."""
        self.tool("lpadmin", "-p", name, "-E", "-v", device, *driver)

    def tool(self, *arguments: str | Path) -> Completed:
        """Run a program of CUPS on this server: ``lpstat``, ``cancel``, ``cupsdisable`` ..."""
        return run(arguments, environment={"CUPS_SERVER": str(self.socket), "LC_ALL": "C"}).check()

    def queue_line(self, state: Sequence[str] = ("-p",)) -> str:
        """Return what ``lpstat`` says of the queue."""
        return self.tool("lpstat", *state, QUEUE).output

    def kill(self) -> None:
        """Kill it; the jobs that it has are in its files."""
        self.server.kill()

    def start(self) -> None:
        """Start it again."""
        self.server = self._started()

    def stop(self) -> None:
        """End it, and remove all that it has."""
        self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _started(self) -> Server:
        folder = self.folder / "root"
        self.socket.unlink(missing_ok=True)
        arguments = ["cupsd", "-f", "-c", folder / "cupsd.conf", "-s", folder / "cups-files.conf"]
        server = Server(arguments, log=self.folder / "output.log")
        server.wait_for(self._answers, what="answering")
        if self._port:
            server.wait_for_port(Address("", self._port, "127.0.0.1"))
        return server

    def _answers(self) -> bool:
        return "is running" in run(("lpstat", "-r"), environment={"CUPS_SERVER": str(self.socket)}).output

    def _configuration(self) -> str:
        """Return the configuration that CUPS comes with, where nobody is asked for a password."""
        left_out = ("Listen", "Browsing", "WebInterface", "DefaultAuthType", "LogLevel", "AuthType")
        lines = [line for line in _DEFAULTS.read_text().splitlines() if not line.strip().startswith(left_out)]
        ours = [f"Listen {self.socket}", "Browsing Off", "WebInterface No", "DefaultAuthType None", "LogLevel debug",
                "DirtyCleanInterval 0"]  # fmt: skip
        return "\n".join([*ours, *([f"Listen 127.0.0.1:{self._port}"] if self._port else []), *lines, ""])

    def _files(self) -> str:
        folders = {"ServerRoot": "root", "CacheDir": "cache", "StateDir": "state", "RequestRoot": "spool",
                   "TempDir": "tmp", "ServerBin": "bin", "AccessLog": "access.log", "ErrorLog": "error.log",
                   "PageLog": "page.log"}  # fmt: skip
        lines = [f"{name} {self.folder / path}" for name, path in folders.items()]
        if os.getuid() == 0:
            lines += ["User lp", "Group lp", "SystemGroup root"]
        else:
            lines += [f"SystemGroup {grp.getgrgid(os.getgid()).gr_name}"]
        return "\n".join([*lines, ""])


def _driver() -> str:
    """Return the description (PPD) of a printer that takes PDF as it is."""
    lines = ['*PPD-Adobe: "4.3"', '*FormatVersion: "4.3"', '*FileVersion: "1.0"', "*LanguageVersion: English",
             "*LanguageEncoding: ISOLatin1", '*PCFileName: "FILM.PPD"', '*Manufacturer: "Film"', '*Product: "(Film)"',
             '*ModelName: "Film"', '*ShortNickName: "Film"', '*NickName: "Film"', '*PSVersion: "(3010.000) 0"',
             '*LanguageLevel: "3"', "*ColorDevice: False", "*DefaultColorSpace: Gray",
             '*cupsFilter2: "application/pdf application/pdf 0 -"']  # fmt: skip
    for name in ("PageSize", "PageRegion"):
        sizes = [f'*{name} {size}/{text}: "<</PageSize[{x:g} {y:g}]>>setpagedevice"' for size, text, x, y in _SIZES]
        lines += [f"*OpenUI *{name}/Size: PickOne", f"*Default{name}: A4", *sizes, f"*CloseUI: *{name}"]
    lines += ["*DefaultImageableArea: A4"]
    lines += [f'*ImageableArea {size}/{text}: "0 0 {x:g} {y:g}"' for size, text, x, y in _SIZES]
    lines += ["*DefaultPaperDimension: A4"]
    lines += [f'*PaperDimension {size}/{text}: "{x:g} {y:g}"' for size, text, x, y in _SIZES]
    return "\n".join([*lines, ""])
