"""GDCM: gdcmscu, one more independent client.

The gdcmscu of Debian 12 (GDCM 3.0.21) aborts after every released association ("ProtocolStream as nullptr is
invalid"), and loses the found data sets with it. What it did before is right, so the answer is read from its
debug output. It knows `-i`, `-o` and `-r`, but stops at an assertion when they are spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Completed, run

LEVEL_OPTIONS = {"PATIENT": "--patient", "STUDY": "--study", "SERIES": "--series", "IMAGE": "--image"}


@dataclass(frozen=True)
class Answer:
    """What gdcmscu has reported."""

    completed: Completed

    @property
    def output(self) -> str:
        """What the program has printed, str."""
        return self.completed.output

    @property
    def is_released(self) -> bool:
        """Whether the association ended with an A-RELEASE-RP (PDU type 6), bool."""
        return "Received ItemType #6" in self.output

    @property
    def statuses(self) -> tuple[int, ...]:
        """The status of each DIMSE response, in their order, tuple of int. `echo` has none: gdcmscu hides it.

        gdcmscu prints some command sets twice, the first time right after the header of the PDV.
        """
        responses = re.split(r"^MessageHeader: \d+$", self.output, flags=re.MULTILINE)[1:]
        found = (
            re.search(r"^\(0000,0900\) .*\(US\) (\d+)", response, flags=re.MULTILINE)
            for response in responses
        )
        return tuple(int(match[1]) for match in found if match)


class Gdcm:
    """The client gdcmscu of GDCM."""

    def _scu(self, remote: Address, calling_ae_title: str, options: Sequence[str | Path]) -> Answer:
        return Answer(
            run(
                [
                    "gdcmscu",
                    "--debug",
                    "--aetitle",
                    calling_ae_title,
                    "--call",
                    remote.ae_title,
                    *options,
                    remote.host,
                    str(remote.port),
                ]
            )
        )

    def echo(self, remote: Address, *, calling_ae_title: str = "GDCMSCU") -> Answer:
        """Verify the connection."""
        return self._scu(remote, calling_ae_title, ["--echo"])

    def store(self, remote: Address, path: Path, *, calling_ae_title: str = "GDCMSCU") -> Answer:
        """Send a file, or the files of a folder."""
        recursive = ["-r"] if path.is_dir() else []
        return self._scu(remote, calling_ae_title, ["--store", *recursive, "-i", path])

    def find(
        self,
        remote: Address,
        level: str,
        keys: Mapping[str, object],
        *,
        model: str = "STUDY",
        calling_ae_title: str = "GDCMSCU",
    ) -> Answer:
        """Query.

        Parameters
        ----------
        remote : Address
            The SCP.
        level : str
            A key of `LEVEL_OPTIONS`.
        keys : mapping of str to object
            'gggg,eeee' to the value, which may be ''.
        model : str
            'PATIENT' or 'STUDY'.
        calling_ae_title : str
            The calling AE title.
        """
        return self._scu(remote, calling_ae_title, ["--find", *self._query(level, keys, model)])

    def move(
        self,
        remote: Address,
        directory: Path,
        level: str,
        keys: Mapping[str, object],
        *,
        model: str = "STUDY",
        calling_ae_title: str = "GDCMSCU",
        port: int | None = None,
    ) -> Answer:
        """Retrieve to itself, into a folder; the images come in at `port`. The rest is as for `find`."""
        directory.mkdir(parents=True, exist_ok=True)
        incoming = ["--port-scp", str(port or free_port()), "-o", directory]
        return self._scu(remote, calling_ae_title, ["--move", *incoming, *self._query(level, keys, model)])

    def _query(self, level: str, keys: Mapping[str, object], model: str) -> list[str]:
        options = [f"--{model.lower()}root", LEVEL_OPTIONS[level]]
        return options + [option for tag, value in keys.items() for option in ("--key", f"{tag}={value}")]
