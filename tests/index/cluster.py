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

from medserver.index import open_index

_UNPRIVILEGED = "postgres"

_MEMORY = Path("/dev/shm")
_MEMORY_MIN_BYTES = 2 << 30

_SETTINGS = {
    # Only its processes are killed here, never the machine: what they have written is there.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Statistics change when a test asks for it.
    "autovacuum": "off",
    "shared_buffers": "32MB",
}

_INDEX = "empty_index"
"""The database of which those with an empty index are copies: a tenth of the time of making one."""


def find_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl of the newest PostgreSQL, or None if there is none."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return found[-1] if found else None


class Cluster:
    """A cluster in a temporary folder, reached through a Unix socket, ordered by the rules of English.

    It is in memory where there is room.
    The order is not that of code points, so that tests notice a column that lacks its collation.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="medserver-postgresql-", dir=_memory()))
        self._numbers = count(1)
        self._address: tuple[str, int] | None = None
        self._has_index = False
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
        address, port = self._address or ("", 5432)
        settings = _SETTINGS | {"unix_socket_directories": self.folder, "listen_addresses": address, "port": port}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
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

    def new_database(self, *, has_schema: bool = True) -> str:
        """Create a database and return its URL: that of an empty index, or one that has no schema either."""
        if not has_schema:
            return self._create(f"test_{next(self._numbers)}", "template1")
        if not self._has_index:
            open_index(self._create(_INDEX, "template1"), base=self.folder).close()
            self._has_index = True
        return self._create(f"test_{next(self._numbers)}", _INDEX)

    def _create(self, name: str, template: str) -> str:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            how = "STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""  # earlier ones know no other
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {how}")
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


def _memory() -> Path | None:
    """Return the folder of files in memory; None if there is none with room for a cluster, or another was chosen."""
    if "TMPDIR" in os.environ:
        return None
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _MEMORY_MIN_BYTES
    return _MEMORY if has_room else None
