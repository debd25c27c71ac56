"""An S3 service of its own for the tests: moto's server as a process on the loopback address."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

from medserver.store import Marker
from medserver.store.bucket.volume import BucketVolume, Place
from tests.peers import Address
from tests.peers.ports import free_port
from tests.peers.process import Server

BUCKET = "medserver-tests"
KEYS = {"aws_access_key_id": "tests", "aws_secret_access_key": "of-nobody"}
# As moto's own command, but with HTTP/1.1: connections are kept.
PROGRAM = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
WSGIRequestHandler.protocol_version = "HTTP/1.1"
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)
"""


class S3Service:
    """A running service with one empty bucket.

    Parameters
    ----------
    directory : Path
        Where its log and the credentials are.
    """

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.credentials = directory / "credentials"
        self.credentials.write_text("\n".join(["[default]", *(f"{name} = {text}" for name, text in KEYS.items())]))
        self.credentials.chmod(0o600)
        self.server = Server([sys.executable, "-c", PROGRAM, str(port)], log=directory / "s3.log")
        self.server.wait_for_port(Address("S3", port), deadline_s=60)
        self._make_bucket()

    def _make_bucket(self) -> None:
        request = urllib.request.Request(f"{self.endpoint}/{BUCKET}", data=b"", method="PUT")
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def place(self, prefix: str) -> Place:
        """Return where a volume of this prefix lies."""
        return Place(f"s3://{BUCKET}/{prefix}", self.endpoint, None, self.credentials)

    def volume(self, name: str, prefix: str) -> BucketVolume:
        """Return a volume with its marker; another one of the same prefix is the same volume for another process."""
        volume = BucketVolume(name, self.place(prefix), request_max_s=60)
        marker = volume.marker()
        if marker is None:
            volume.mark(marker := Marker.new())
        volume.attach(marker)
        return volume

    def overwrite(self, prefix: str, path: str, content: bytes) -> None:
        """Put other bytes into the place of an object, as nobody should."""
        import obstore

        with self.volume("tampering", prefix)._connection.asking("overwrite an object") as store:
            obstore.put(store, path, content, use_multipart=False)

    def close(self) -> None:
        """End the service."""
        self.server.kill()
