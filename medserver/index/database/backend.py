"""What the index asks of a database; `sqlite` and `postgresql` give it.

A connection is that of the driver (apsw, psycopg). Both know ``execute(sql, parameters)``, which returns
a cursor of tuples, and ``close()``; both are in autocommit mode, transactions are begun and ended by
`Backend`. Statements are spelled by `medserver.index.database.statements`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import peewee

from medserver.errors import MedserverError
from medserver.index.database.dump import DumpContent, ShouldStop, Staged


class Connections(Protocol):
    """Connections that are lent to one user at a time. Nobody keeps one while waiting for a peer."""

    def lent(self) -> AbstractContextManager[Any]:
        """Lend a connection, which is outside of any transaction, for the length of a ``with`` block."""

    def close(self) -> None:
        """Close the idle connections; those that are lent are closed when they come back."""


class Backend(Protocol):
    """One kind of database.

    Attributes
    ----------
    name : str
        ``sqlite`` or ``postgresql``.
    database : peewee.Database
        For migrations, and for building SQL; not for the work of the index.
    errors : tuple of type
        The exceptions of the driver.
    shares_transactions : bool
        Whether all who wait to write share a transaction, see `medserver.index.database.writer`.
    staging : Path or None
        Where the file has to lie that `stage` is given; None: anywhere.
    """

    name: str
    database: peewee.Database
    errors: tuple[type[Exception], ...]
    shares_transactions: bool
    staging: Path | None

    def check_available(self) -> None:
        """Return unless the database is known to be away; asks nobody.

        Raises
        ------
        IndexUnavailable
            It was found to be away a moment ago.
        """

    def connect(self, *, writing: bool = False) -> Any:
        """Open a connection of one's own."""

    def connections(self, *, writing: bool = False) -> Connections:
        """Return connections to be lent; none is opened yet."""

    def searching(self, connections: Connections) -> Connections:
        """Return connections for the queries of peers: those for reading, or others."""

    def usable(self, connection: Any) -> bool:
        """Whether the connection is open and outside of any transaction."""

    def migration_lock(self) -> Any:
        """Return a context manager: a transaction of `database` that one process at a time can be in."""

    def begin(self, connection: Any, *, is_long: bool = False) -> None:
        """Begin a transaction that writes; a long one has no limits of time."""

    def begin_reading(self, connection: Any) -> None:
        """Begin a transaction that only reads, in which every statement sees the same state."""

    def commit(self, connection: Any) -> None:
        """Commit; on return the transaction outlives this process, see `flush`.

        Raises
        ------
        UnknownOutcome
            The connection was lost, and what came of the transaction could not be learned. After any other failure it
            has not been committed.
        """

    def take_changed(self, connection: Any) -> set[str]:
        """Return the tables that were changed on a connection for writing since this was last called.

        Empty where every commit outlives the machine.
        """

    def flush(self) -> None:
        """Let everything that was committed before outlive the machine, not only this process.

        Raises
        ------
        OSError
            The disk failed.
        """

    def rollback(self, connection: Any) -> None:
        """Roll back; harmless outside of a transaction."""

    def lock(self, connection: Any, name: str) -> None:
        """Keep others from passing here with the same name until the end of the transaction."""

    def stream(self, connection: Any, statement: str, parameters: Sequence[Any]) -> Iterator[tuple]:
        """Yield the rows of a query with bounded memory."""

    def one_of(self, column: peewee.Node, values: Sequence[int] | Sequence[str]) -> peewee.Node:
        """Return the condition that a column has one of many values, as a single parameter:
        `list_parameter`."""

    def is_among(self, column: peewee.Node) -> peewee.Node:
        """Return the condition, in a statement, that a column has one of the values of a `list_parameter`."""

    def locked(self, query: peewee.Select, *, skips: bool = False) -> peewee.Select:
        """Let a query lock its rows until the end of the transaction, or skip those that others have locked."""

    def telling(self, insertion: peewee.Insert, number: peewee.Field) -> peewee.Insert:
        """Return an INSERT of one row that is to be executed by `insert`; the number is what identifies the row."""

    def insert(self, connection: Any, statement: str, parameters: Sequence[Any]) -> int | None:
        """Execute an INSERT of one row, and return the number of the row; None if there was a reason for none."""

    def list_parameter(self, values: Sequence[int] | Sequence[str]) -> Any:
        """Return the parameter of a condition of `one_of` or `is_among`."""

    def distinct_values(self, column: peewee.Node) -> peewee.Node:
        """Return the aggregate of the different values of a column, as a list or the text of a JSON array."""

    def fits(self, column: peewee.Node, pattern: str, *, inside: bool = False) -> peewee.Node:
        """Return the condition that a text fits a pattern of PS3.4 C.2.2.2.4.

        With `inside` the text is a list ``\\a\\b\\``, one value of which is to fit; a value that does fit
        is always found, but ``*`` may reach over several values.
        """

    def failure(self, error: Exception) -> MedserverError:
        """Translate an exception of the driver."""

    def may_pass(self, error: Exception) -> bool:
        """Whether the same transaction may well succeed when it is tried again."""

    def optimise(self, connection: Any) -> None:
        """Let the database renew what it knows of its tables, if it is worth the while."""

    def dump_size_bytes(self) -> int:
        """Return about how much a dump will need, rather more than less."""

    def dump(self, target: Path, should_stop: ShouldStop) -> DumpContent:
        """Write everything, as it is at one moment, to a file that is empty or not there; nobody waits for that.

        Raises
        ------
        Interrupted
            It was told to stop.
        """

    def examine_dump(self, file: Path, *, quickly: bool = False) -> DumpContent:
        """Read a file that `dump` made, and count what it holds; quickly is enough for one that stays on this disk.

        Raises
        ------
        DamagedObject
            It is not whole.
        """

    def saved(self, base: Path, name: str) -> Path:
        """Return where a dump of the index is kept before it is migrated; `base` is the data folder."""

    def discard_staged(self) -> None:
        """Remove what lies at `staging`."""

    def stage(self, file: Path, name: str) -> Staged:
        """Make an index of a dump. What has to make room for it is kept under a name."""

    def take_the_place(self, staged: Staged, name: str) -> str | None:
        """Put a staged index, which is closed, in the place of the present one, which is kept under a name.

        Returns
        -------
        str or None
            Where the present one is kept; None if there was none.
        """
