"""A node that listens for TLS, a CA, and who may call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.certificates import Identity, TestCA
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.ports import free_port

TITLES = ("ECHOSCU", "STORESCU", "FINDSCU", "GETSCU", "MOVESCU", "CLIENT")


class SecureNode:
    """A node that listens for TLS beside its port in the clear.

    Parameters
    ----------
    directory : Path
        Where everything is.
    options : mapping
        More options of config.ini.

    Attributes
    ----------
    ca : TestCA
        Signs what the node and its clients have.
    own, client : Identity
        The certificate of the node, and that of the clients whose titles are `TITLES`.
    tls : Address
        Where it listens for TLS.
    node : Node
        The node; `node.address` is in the clear.
    """

    def __init__(self, directory: Path, **options: object) -> None:
        self.directory = directory
        self.ca = TestCA(directory, is_rsa=True)
        self.own, self.client = self.ca.issue("MEDSERVER"), self.ca.issue("CLIENT")
        self.tls = Address("MEDSERVER", free_port())
        settings = {"node.tls_port": self.tls.port, "tls.certificate": self.own.certificate, "tls.key": self.own.key}
        self.node = Node(directory, options={**settings, **options}, clients=())
        for title in TITLES:
            self.allow(title, self.client)

    def allow(self, remote: Address | str, *identities: Identity, **options: object) -> None:
        """Let an AE in with some certificates, over TLS alone."""
        pins = ", ".join(one.fingerprint for one in identities)
        self.node.add_remote(remote, options={"tls": "required", "certificates": pins, **options})

    def options(self, identity: Identity | None = None, profile: str = "+py") -> Sequence[str]:
        """Return the options of a program of DCMTK that shows a certificate."""
        shown = identity or self.client
        return ["+tls", str(shown.key), str(shown.certificate), "+cf", str(self.ca.certificate), profile]
