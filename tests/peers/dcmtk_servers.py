"""The servers of DCMTK: storescp, which keeps what it is sent, and dcmqrscp, a small archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom

from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Server


class StoreSCP:
    """A running storescp, which keeps the data sets exactly as they came.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    directory : Path
        Where it keeps the received files.
    options : sequence of str
        More options. The default accepts every transfer syntax that DCMTK knows and every SOP class.
    port : int, optional
        Its port, a free one by default.
    """

    DEFAULT_OPTIONS = ("--accept-all", "--promiscuous")

    def __init__(
        self,
        ae_title: str,
        directory: Path,
        options: Sequence[str] = DEFAULT_OPTIONS,
        port: int | None = None,
    ) -> None:
        self.address = Address(ae_title, port or free_port())
        self.directory = directory
        self._options = options
        self.server = self._started()

    def _started(self) -> Server:
        options = ["-v", "--fork", "--disable-host-lookup", "--bit-preserving", "-pdu", "131072", *self._options]
        title, port, _ = self.address
        return Server(
            ["storescp", *options, "-aet", title, "-od", self.directory, str(port)],
            log=self.directory.parent / f"{self.directory.name}.log",
        )

    def restart(self) -> None:
        """Kill it, with the associations that it has, and start it again on the same port."""
        self.server.kill()
        self.server = self._started()
        self.server.wait_for_port(self.address)

    def files(self) -> list[Path]:
        """Return the files that it has received, sorted by name."""
        return sorted(path for path in self.directory.iterdir() if path.is_file())

    def datasets(self) -> dict[str, pydicom.FileDataset]:
        """Return what it has received, by SOP Instance UID."""
        return {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, self.files())}


class QueryRetrieveSCP:
    """A running dcmqrscp with one storage area.

    Parameters
    ----------
    ae_title : str
        Its AE title.
    directory : Path
        Where it keeps its configuration and images.
    remotes : sequence of Address
        The move destinations it knows.
    options : sequence of str
        More options.
    """

    def __init__(
        self, ae_title: str, directory: Path, remotes: Sequence[Address] = (), options: Sequence[str] = ()
    ) -> None:
        self.address = Address(ae_title, free_port())
        self.area = directory / "area"
        self.area.mkdir(parents=True)
        self._configuration_path = directory / "dcmqrscp.cfg"
        self._configuration_path.write_text(self.configuration(remotes))
        self._options = options
        self.server = self._started()

    def _started(self) -> Server:
        command = ["dcmqrscp", "-v", *self._options, "-c", self._configuration_path]
        return Server(command, log=self._configuration_path.with_suffix(".log"))

    def restart(self) -> None:
        """Kill it, with the associations that it has, and start it again on the same port and images."""
        self.server.kill()
        self.server = self._started()
        self.server.wait_for_port(self.address)

    def files(self) -> list[Path]:
        """Return the files of its images."""
        return sorted(self.area.glob("*.dcm"))

    def configuration(self, remotes: Sequence[Address]) -> str:
        """Return the text of its configuration file."""
        hosts = "\n".join(f"{title} = ({title}, {host}, {port})" for title, port, host in remotes)
        return (
            f"NetworkTCPPort = {self.address.port}\nMaxPDUSize = 131072\nMaxAssociations = 64\n"
            f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{self.address.ae_title} {self.area} RW (500, 1024mb) ANY\nAETable END\n"
        )
