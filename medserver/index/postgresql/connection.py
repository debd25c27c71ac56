"""A connection to the server, and how long each kind of work may take.

A network that swallows packets, or a host without power, is noticed in three ways: the kernel gives up a connection
whose packets nobody acknowledges; a server that is silent for a while, though its kernel or a proxy acknowledges, is
asked on a second connection; and the server ends what it does for a client that is silent within a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from medserver.index.postgresql.outcome import Mark

CONNECT_TIMEOUT_S = 4
SILENCE_S = 8.0
"""How long a server says nothing before it is asked, on another connection, whether it is there."""

_PREPARE_THRESHOLD = 2
_PREPARED_MAX = 200

_TCP: dict[str, int] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_TCP_OF_SERVER = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=20000"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the server works for one statement, waits for one lock, and for the next statement of a transaction [s].

    Zero is no limit.
    """

    statement_s: int = 0
    lock_s: int = 0
    idle_s: int = 0

    @property
    def options(self) -> str:
        """As options of a connection."""
        return (
            f"-c statement_timeout={self.statement_s}s -c lock_timeout={self.lock_s}s "
            f"-c idle_in_transaction_session_timeout={self.idle_s}s"
        )


WRITING = Limits(statement_s=8, lock_s=5, idle_s=6)
"""Somebody waits for an answer. A client that is lost within a transaction holds its locks no longer than this."""

READING = Limits(statement_s=600, idle_s=60)
"""A query over a large archive takes minutes."""

MAINTENANCE = Limits()
"""Migrations, dumps, and what is loaded from them."""


class ServerSilent(psycopg.OperationalError):
    """The server does not answer any more, though nobody has closed the connection."""


class Connection(psycopg.Connection):
    """A connection that does not wait for ever.

    Attributes
    ----------
    is_there : callable
        Tells, within a few seconds, whether the server answers on another connection.
    limits : Limits
        What was asked of the server.
    mark : Mark or None
        What tells what came of its transactions, if it is one that writes.
    """

    is_there: Callable[[], bool] = staticmethod(lambda: True)
    limits = MAINTENANCE
    mark: Mark | None = None

    def wait(self, gen: Generator, *arguments: Any, **named: Any) -> Any:
        """Wait for what a generator of psycopg does, and for as long as the server is there."""
        return super().wait(self._watched(gen), *arguments, **named)

    def _watched(self, gen: Generator) -> Generator:
        """Do as a generator does; psycopg looks up ten times a second from waiting, and says that nothing is ready."""
        began = heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE_S:
                    self._ask(time.monotonic() - began)
                    heard = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _ask(self, silent_s: float) -> None:
        limit_s = self.limits.statement_s
        if (limit_s and silent_s > limit_s + SILENCE_S) or not self.is_there():
            self.close()
            raise ServerSilent(f"the server has not answered for {silent_s:.0f} s")


def parameters(url: str, limits: Limits) -> dict[str, Any]:
    """Return what a connection is opened with besides its URL, which may say otherwise."""
    said = conninfo_to_dict(url)
    options = " ".join(filter(None, (_TCP_OF_SERVER, limits.options, said.get("options"))))
    tcp = {name: value for name, value in _TCP.items() if name not in said}
    return {**tcp, "options": options, "application_name": said.get("application_name", "medserver")}


def connect(url: str, limits: Limits) -> Connection:
    """Open a connection that is in autocommit mode.

    Raises
    ------
    psycopg.OperationalError
        The server cannot be reached.
    """
    connection = Connection.connect(url, autocommit=True, **parameters(url, limits))
    connection.prepare_threshold = _PREPARE_THRESHOLD
    connection.prepared_max = _PREPARED_MAX
    connection.limits = limits
    return connection
