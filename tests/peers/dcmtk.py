"""DCMTK: echoscu, storescu, dcmsend, findscu, movescu, getscu, dcmdump; servers are in `dcmtk_servers`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pydicom

from tests.peers import Address
from tests.peers.dcmtk_servers import QueryRetrieveSCP, StoreSCP
from tests.peers.process import Completed, run

NO_DELAY = {"TCP_NODELAY": "1"}
"""Switches Nagle's algorithm off in the programs of DCMTK, which leave it on."""

LARGE_PDU = ("--max-pdu", "131072")

MODEL_OPTIONS = {"PATIENT": "--patient", "STUDY": "--study", "PATIENT_STUDY_ONLY": "--psonly"}
"""The option of findscu, movescu and getscu for the root of an information model."""

SUBOPERATION_COUNTER = re.compile(r"(Remaining|Completed|Failed|Warning) Suboperations +: (\d+|none)")


@dataclass(frozen=True)
class Answer:
    """What an SCU of DCMTK has reported."""

    completed: Completed
    identifiers: tuple[pydicom.Dataset, ...] = ()
    """The identifiers of the pending C-FIND responses, in their order."""

    @property
    def exit_code(self) -> int:
        """The exit code of the program, int. findscu ends with 0 for a failed query too: look at `status`."""
        return self.completed.exit_code

    @property
    def output(self) -> str:
        """What the program has printed, str."""
        return self.completed.output

    @property
    def statuses(self) -> tuple[int, ...]:
        """The status of each DIMSE response, in their order, tuple of int."""
        return tuple(int(code, 16) for code in re.findall(r"DIMSE Status +: (0x[0-9a-fA-F]+)", self.output))

    @property
    def status(self) -> int | None:
        """The status of the last DIMSE response, None when there was none."""
        return self.statuses[-1] if self.statuses else None

    @property
    def counters(self) -> tuple[dict[str, int | None], ...]:
        """The sub-operation counters of each response that had any.

        Returns
        -------
        tuple of dict
            'remaining', 'completed', 'failed', 'warning' to the number, None when the response had none.
        """
        found = [
            (name.lower(), int(text) if text.isdigit() else None)
            for name, text in SUBOPERATION_COUNTER.findall(self.output)
        ]
        return tuple(dict(found[start : start + 4]) for start in range(0, len(found), 4))

    def check(self) -> Answer:
        """Return itself, raise `PeerFailed` with the output when the exit code is not 0."""
        self.completed.check()
        return self


def key_options(keys: Iterable[str] | Mapping[str, object]) -> list[str]:
    """Return the `-k` options: `["PatientName", "PatientID=1"]` or `{"PatientName": "", "PatientID": 1}`."""
    if isinstance(keys, Mapping):
        keys = [f"{keyword}={value}" for keyword, value in keys.items()]
    return [option for key in keys for option in ("-k", key)]


class Dcmtk:
    """The programs of DCMTK, and the servers that have been started from them.

    The SCUs run with debug output by default, from which `Answer` reads the statuses. With `debug=False` they
    are quick and quiet, and only the exit code tells.

    Parameters
    ----------
    directory : Path
        Where the servers and the answers are kept.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers = ExitStack()

    def _scu(
        self,
        program: str,
        remote: Address,
        calling_ae_title: str | None,
        options: Sequence[str | Path],
        *files: Path,
        debug: bool = True,
        timeout_s: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        calling_ae_title = calling_ae_title or program.upper()
        return run(
            [
                program,
                "-d" if debug else "-q",
                "-aet",
                calling_ae_title,
                "-aec",
                remote.ae_title,
                *options,
                remote.host,
                str(remote.port),
                *files,
            ],
            timeout_s=timeout_s,
            environment=environment,
        )

    def echo(
        self, remote: Address, *, calling_ae_title: str | None = None, options: Sequence[str] = ()
    ) -> Answer:
        """Verify the connection with echoscu. The calling AE title is the name of the program by default."""
        return Answer(self._scu("echoscu", remote, calling_ae_title, options))

    def store(
        self,
        remote: Address,
        *paths: Path,
        calling_ae_title: str | None = None,
        options: Sequence[str] = (),
        debug: bool = True,
        timeout_s: float = 300,
        environment: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send files and folders with storescu, by default in uncompressed transfer syntaxes.

        With the `environment` `NO_DELAY` to peers that delay their acknowledgements: 45 ms for each image.
        """
        if any(path.is_dir() for path in paths):
            options = ["--scan-directories", "--recurse", *options]
        return Answer(
            self._scu(
                "storescu",
                remote,
                calling_ae_title,
                [*LARGE_PDU, *options],
                *paths,
                debug=debug,
                timeout_s=timeout_s,
                environment=environment,
            )
        )

    def send(
        self,
        remote: Address,
        *paths: Path,
        calling_ae_title: str | None = None,
        options: Sequence[str] = (),
        debug: bool = True,
        timeout_s: float = 300,
    ) -> Answer:
        """Send files and folders with dcmsend, each in the transfer syntax that it has.

        Like storescu, dcmsend encodes the lengths of sequences and items anew: the bytes sent are those of
        the file only when the file has none, or has them as DCMTK writes them.
        """
        if any(path.is_dir() for path in paths):
            options = ["--scan-directories", "--recurse", *options]
        keep = ["--decompress-never", "--no-halt", "--no-uid-checks", *LARGE_PDU]
        return Answer(
            self._scu(
                "dcmsend",
                remote,
                calling_ae_title,
                [*keep, *options],
                *paths,
                debug=debug,
                timeout_s=timeout_s,
            )
        )

    def find(
        self,
        remote: Address,
        level: str,
        keys: Iterable[str] | Mapping[str, object] = (),
        *,
        model: str = "STUDY",
        calling_ae_title: str | None = None,
        options: Sequence[str] = (),
        debug: bool = True,
        timeout_s: float = 120,
    ) -> Answer:
        """Query with findscu.

        Parameters
        ----------
        remote : Address
            The SCP.
        level : str
            Query/Retrieve Level: 'PATIENT', 'STUDY', 'SERIES' or 'IMAGE'.
        keys : iterable of str or mapping
            `["PatientName", "PatientID=1"]` or `{"PatientName": "", "PatientID": 1}`.
        model : str
            A key of `MODEL_OPTIONS`.
        calling_ae_title : str, optional
            'FINDSCU' by default.
        options : sequence of str
            More options of findscu.
        debug : bool
            Whether `Answer.statuses` is wanted.
        timeout_s : float
            The query is killed after this time.
        """
        directory = Path(mkdtemp(prefix="find-", dir=self.directory))
        completed = self._scu(
            "findscu",
            remote,
            calling_ae_title,
            [
                MODEL_OPTIONS[model],
                "--extract",
                "-od",
                directory,
                *LARGE_PDU,
                *options,
                *key_options([f"QueryRetrieveLevel={level}"]),
                *key_options(keys),
            ],
            debug=debug,
            timeout_s=timeout_s,
        )
        # rsp0001.dcm ... rsp9999.dcm, rsp10000.dcm: in the order of the numbers, not of the names.
        files = sorted(directory.iterdir(), key=lambda path: int(re.sub(r"\D", "", path.stem)))
        return Answer(completed, tuple(pydicom.dcmread(path) for path in files))

    def move(
        self,
        remote: Address,
        destination: str,
        level: str,
        keys: Iterable[str] | Mapping[str, object],
        *,
        model: str = "STUDY",
        calling_ae_title: str | None = None,
        options: Sequence[str] = (),
        debug: bool = True,
        timeout_s: float = 300,
    ) -> Answer:
        """Retrieve with movescu to the AE with the title `destination`. The rest is as for `find`."""
        return Answer(
            self._scu(
                "movescu",
                remote,
                calling_ae_title,
                [
                    "-aem",
                    destination,
                    MODEL_OPTIONS[model],
                    *LARGE_PDU,
                    *options,
                    *key_options([f"QueryRetrieveLevel={level}"]),
                    *key_options(keys),
                ],
                debug=debug,
                timeout_s=timeout_s,
            )
        )

    def get(
        self,
        remote: Address,
        directory: Path,
        level: str,
        keys: Iterable[str] | Mapping[str, object],
        *,
        model: str = "STUDY",
        calling_ae_title: str | None = None,
        options: Sequence[str] = (),
        debug: bool = True,
        timeout_s: float = 300,
    ) -> Answer:
        """Retrieve with getscu into a folder, data sets exactly as they come. The rest is as for `find`.

        getscu takes one transfer syntax family a run: `options=["--prefer-rle"]` and the like for compressed
        images.
        """
        directory.mkdir(parents=True, exist_ok=True)
        return Answer(
            self._scu(
                "getscu",
                remote,
                calling_ae_title,
                [
                    MODEL_OPTIONS[model],
                    "--bit-preserving",
                    "-od",
                    directory,
                    *LARGE_PDU,
                    *options,
                    *key_options([f"QueryRetrieveLevel={level}"]),
                    *key_options(keys),
                ],
                debug=debug,
                timeout_s=timeout_s,
            )
        )

    def dump(self, path: Path, *options: str) -> str:
        """Return what dcmdump prints of a file; `PeerFailed` when it cannot read it."""
        return run(["dcmdump", *options, path]).check().output

    def json(self, path: Path) -> dict[str, Any]:
        """Return the DICOM JSON model of a file as dcm2json sees it; `PeerFailed` when it cannot read it."""
        return json.loads(run(["dcm2json", "--quiet", path]).check().output)

    def start_storescp(
        self,
        ae_title: str = "STORESCP",
        *,
        options: Sequence[str] = StoreSCP.DEFAULT_OPTIONS,
        port: int | None = None,
    ) -> StoreSCP:
        """Start a storescp and wait until it listens. It is stopped at the end of the test."""
        directory = Path(mkdtemp(prefix="storescp-", dir=self.directory)) / "received"
        directory.mkdir()
        storescp = StoreSCP(ae_title, directory, options, port)
        self._servers.callback(lambda: storescp.server.kill())
        storescp.server.wait_for_port(storescp.address)
        return storescp

    def start_dcmqrscp(
        self, ae_title: str = "DCMQRSCP", *, remotes: Sequence[Address] = (), options: Sequence[str] = ()
    ) -> QueryRetrieveSCP:
        """Start a dcmqrscp that knows the remotes, and wait until it listens. It ends with the test."""
        directory = Path(mkdtemp(prefix="dcmqrscp-", dir=self.directory))
        dcmqrscp = QueryRetrieveSCP(ae_title, directory, remotes, options)
        self._servers.callback(dcmqrscp.server.kill)
        dcmqrscp.server.wait_for_port(dcmqrscp.address)
        return dcmqrscp

    def close(self) -> None:
        """Stop every server."""
        self._servers.close()
