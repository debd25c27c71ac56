"""A private PostgreSQL cluster for the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

_UNPRIVILEGED = "postgres"


def find_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl of the newest PostgreSQL, or None if there is none."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return found[-1] if found else None


class Cluster:
    """A cluster in a temporary folder, reached through a Unix socket, ordered by the rules of English.

    The order is not that of code points, so that tests notice a column that lacks its collation.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="medserver-postgresql-"))
        self._numbers = count(1)
        self._address: tuple[str, int] | None = None
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            entry = pwd.getpwnam(_UNPRIVILEGED)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self._run(
            "initdb", "--pgdata", self.folder / "data", "--auth", "trust", "--encoding", "UTF8",
            "--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en", "--no-sync",
        )  # fmt: skip

    def listen(self, address: str, port: int, network: str) -> None:
        """Have it listen on a TCP port too, for all of a network, when it is started; URLs have that address."""
        self._address = (address, port)
        with (self.folder / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {network} trust\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c unix_socket_directories='{self.folder}' -c fsync=off"
        address, port = self._address or ("", 5432)
        options += f" -c listen_addresses='{address}' -c port={port}"
        self._run(
            "pg_ctl", "start", "--wait", "--pgdata", self.folder / "data",
            "--log", self.folder / "log", "--options", options,
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; `immediate` does so without a checkpoint, like a power cut."""
        self._run("pg_ctl", "stop", "--wait", "--mode", mode, "--pgdata", self.folder / "data")

    def remove(self) -> None:
        """Stop the server and delete everything."""
        self.stop()
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Delete the database of a URL, whoever is still connected."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)")

    def _url(self, database: str) -> str:
        if self._address:
            address, port = self._address
            return f"postgresql://{self._user}@{address}:{port}/{database}"
        return f"postgresql:///{database}?host={quote(str(self.folder), safe='')}&user={self._user}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _UNPRIVILEGED, "--", *command]
        subprocess.run(
            command,
            check=True,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
