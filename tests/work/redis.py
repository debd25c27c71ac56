"""A private Redis for the tests."""

from __future__ import annotations

from pathlib import Path

from tests.peers import Address, requires
from tests.peers.ports import free_port
from tests.peers.process import Server


class Redis:
    """A Redis that keeps nothing on disk.

    Parameters
    ----------
    directory : Path
        For its log.
    """

    def __init__(self, directory: Path) -> None:
        requires("redis")
        self._log = directory / "redis.log"
        self._port = free_port()
        self._databases = 0
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        arguments = ["--port", str(self._port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self.server = Server(["redis-server", *arguments], log=self._log)
        self.server.wait_for_port(Address("", self._port))

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        self._databases += 1
        return f"redis://127.0.0.1:{self._port}/{self._databases % 16}"

    def kill(self) -> None:
        """End it."""
        self.server.kill()
