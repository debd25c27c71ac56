"""rsyslog as an audit repository: TLS with certificates on both sides, or UDP; what it has received is in a file."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.peers import find_program
from tests.peers.ports import free_port
from tests.peers.process import Server, wait_until

CONFIGURATION = """
global(
  workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{folder}/ca.pem" defaultNetstreamDriverCertFile="{folder}/server.pem"
  defaultNetstreamDriverKeyFile="{folder}/server.key"
)
module(load="imudp")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="audit" queue.type="Direct") {{
  action(type="omfile" file="{folder}/audit.log" template="raw" flushOnTXEnd="on" asyncWriting="off")
}}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="audit")
input(type="imudp" port="{port}" address="127.0.0.1" ruleset="audit")
"""

BOM = b"\xef\xbb\xbf"


class Rsyslog:
    """A running rsyslogd, and the certificates of both sides.

    Parameters
    ----------
    folder : Path
        Where its files are.
    """

    def __init__(self, folder: Path) -> None:
        if find_program("rsyslogd") is None:
            pytest.skip("rsyslogd (rsyslog, rsyslog-openssl) is not installed")
        trustme = pytest.importorskip("trustme", reason="trustme makes the certificates of audit repositories")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        for name, host in (("server", "localhost"), ("client", "medserver")):
            certificate = authority.issue_cert(host)
            certificate.private_key_pem.write_to_path(folder / f"{name}.key")
            for pem in certificate.cert_chain_pems:
                pem.write_to_path(folder / f"{name}.pem", append=True)
        trustme.CA().issue_cert("medserver").private_key_and_cert_chain_pem.write_to_path(folder / "foreign.pem")
        for name in ("client.key", "foreign.pem"):  # the node believes no key that others can read
            (folder / name).chmod(0o600)
        self.configuration = folder / "rsyslog.conf"
        self.configuration.write_text(CONFIGURATION.format(folder=folder, port=self.port))
        self.server: Server | None = None

    @property
    def tls(self) -> str:
        """The URL of its TLS port."""
        return f"tls://localhost:{self.port}"

    @property
    def udp(self) -> str:
        """The URL of its UDP port."""
        return f"udp://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        """The options of ``[audit]`` with which it is spoken to."""
        return {
            "audit.ca": str(self.folder / "ca.pem"),
            "audit.certificate": str(self.folder / "client.pem"),
            "audit.key": str(self.folder / "client.key"),
        }

    def start(self) -> Rsyslog:
        """Start it."""
        pid_file = self.folder / "rsyslogd.pid"
        pid_file.unlink(missing_ok=True)
        arguments = ["rsyslogd", "-n", "-f", self.configuration, "-i", pid_file]
        self.server = Server(arguments, log=self.folder / "rsyslogd.log", directory=self.folder)
        wait_until(self._listens, what="rsyslogd to listen")
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """Kill it."""
        if self.server is not None:
            self.server.process.send_signal(signal.SIGKILL)
            self.server.process.wait()
            self.server = None

    def lines(self) -> list[bytes]:
        """Return what it has received, message by message."""
        path = self.folder / "audit.log"
        return path.read_bytes().splitlines() if path.exists() else []

    def messages(self) -> list[str]:
        """Return the AuditMessages that it has received."""
        return [line.partition(BOM)[2].decode() for line in self.lines() if BOM in line]
