"""The node itself: a real `medserver serve` process with a configuration of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from medserver.cli.invocation import LOOK_EVERY_S
from tests.peers import Address, preloaded
from tests.peers.command_line import Invoked, invoke
from tests.peers.ports import free_port
from tests.peers.preloaded import PROGRAM, PreloadedServer
from tests.peers.process import Completed, Server, run, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

EVERY_SERVICE = ("echo", "store", "find", "move", "get", "commit", "mpps", "process", "print")

CLIENTS = ("ECHOSCU", "STORESCU", "DCMSEND", "FINDSCU", "MOVESCU", "GETSCU", "GDCMSCU")
"""AE titles under which the DCMTK and GDCM programs call."""


class Node:
    """A medserver process: `start` it, `stop` it, change its config.ini.

    Parameters
    ----------
    directory : Path
        Where its config.ini, index and store are.
    ae_title : str
        Its AE title.
    options : mapping of str to object
        Options of config.ini, 'section.option' to value: `{"store.duplicates": "reject"}`.
    clients : iterable of str
        AE titles that are let in from the loopback address for every service.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ae_title: str = "MEDSERVER",
        options: Mapping[str, object] | None = None,
        clients: Iterable[str] = CLIENTS,
    ) -> None:
        self.directory = directory
        self.address = Address(ae_title, free_port())
        self.config = directory / "config.ini"
        self.log = directory / "serve.log"
        self.server: Server | None = None
        self._sections: dict[str, dict[str, object]] = {
            "node": {
                "ae_title": ae_title,
                "address": self.address.host,
                "port": self.address.port,
                "data": directory / "data",
            },
            "index": {"url": "sqlite:///index.db"},
            "volume main": {"path": "store"},
        }
        for path, value in (options or {}).items():
            section, _, option = path.rpartition(".")
            self._sections.setdefault(section, {})[option] = value
        for client in clients:
            self._sections[f"ae {client}"] = {"address": self.address.host, "allow": ", ".join(EVERY_SERVICE)}
        self._write_config()

    @property
    def data(self) -> Path:
        """The folder of its index and store, Path."""
        return Path(str(self._sections["node"]["data"]))

    @property
    def output(self) -> str:
        """Its log so far, over all starts, str."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def add_remote(
        self,
        remote: Address | str,
        *,
        name: str | None = None,
        allow: Iterable[str] = EVERY_SERVICE,
        options: Mapping[str, object] | None = None,
    ) -> None:
        """Add an `[ae NAME]` section to its config.ini; the running node takes it without a restart.

        Parameters
        ----------
        remote : Address or str
            A server with its address, or the AE title of a client on the loopback address.
        name : str, optional
            The name of the section, the AE title by default.
        allow : iterable of str
            The services it may use.
        options : mapping of str to object
            More options of the section, they win.
        """
        if isinstance(remote, str):
            ae_title, address = remote, self.address.host
        else:
            ae_title, address = remote.ae_title, f"{remote.host}:{remote.port}"
        section: dict[str, object] = {"address": address, "allow": ", ".join(allow)}
        if name not in (None, ae_title):
            section["ae_title"] = ae_title
        self._sections[f"ae {name or ae_title}"] = section | dict(options or {})
        self._write_config()

    def set_section(self, section: str, options: Mapping[str, object]) -> None:
        """Put a section, such as `[route NAME]`, into its config.ini in the place of the one that is there."""
        self._sections[section] = dict(options)
        self._write_config()

    def section(self, section: str) -> Mapping[str, object]:
        """Return what a section of its config.ini has."""
        return dict(self._sections[section])

    def remove_section(self, section: str) -> None:
        """Remove a section from its config.ini."""
        del self._sections[section]
        self._write_config()

    def remove_remote(self, name: str) -> None:
        """Remove the section `[ae NAME]` from its config.ini."""
        self.remove_section(f"ae {name}")

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None, umask: int = -1) -> Node:
        """Start it with more arguments of `medserver serve`, wait until it listens, and return itself.

        It has the imports behind it, unless the `environment` has what an interpreter reads when it starts: anything
        but variables of medserver.
        """
        is_ours = all(name.startswith("MEDSERVER") for name in environment or {})
        start = PreloadedServer if is_ours else Server
        self.server = start(
            [*self._command(), "serve", *arguments],
            log=self.log,
            environment=_environment() | dict(environment or {}),
            directory=self.directory,
            umask=umask,
        )
        self.server.wait_for_port(self.address)
        return self

    def stop(self, *, timeout_s: float = 20) -> int:
        """Send SIGTERM, wait for the end, and return the exit code."""
        assert self.server is not None, "not started"
        return self.server.stop(timeout_s=timeout_s)

    def kill(self) -> None:
        """Send SIGKILL, if it has been started, and wait for the end."""
        if self.server is not None:
            self.server.kill()

    def cli(self, *arguments: str | Path) -> Invoked:
        """Run `medserver --config config.ini` with these arguments to its end, in this process."""
        return invoke("--config", self.config, *arguments)

    def program(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Completed:
        """Run `medserver --config config.ini` with these arguments to its end, in a process of its own."""
        return run([*self._command(), *arguments], environment=_environment() | dict(environment or {}))

    def forked(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Completed:
        """Run `medserver --config config.ini` in a process of its own that has the imports behind it.

        For what ends or marks its process, with variables of medserver in its `environment`.
        """
        return preloaded.run(["--config", self.config, *arguments], environment=environment)

    def _command(self) -> list[str | Path]:
        return [*PROGRAM, "--config", self.config]

    def replace_config(self, text: str) -> None:
        """Put a text in the place of config.ini at once: the running node must never read one half of it."""
        temporary = self.config.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self.config)

    def _write_config(self) -> None:
        lines = []
        for section, options in self._sections.items():
            lines += [f"[{section}]", *(f"{option} = {value}" for option, value in options.items()), ""]
        self.replace_config("\n".join(lines))
        if self.server is not None:
            # From then on each of its processes looks at the file before it decides anything.
            noticed_at = time.monotonic() + LOOK_EVERY_S
            wait_until(lambda: time.monotonic() > noticed_at, what="the next look at config.ini")


def _environment() -> dict[str, str]:
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
