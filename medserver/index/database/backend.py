"""What the index asks of a database; `sqlite` and `postgresql` give it.

A connection is that of the driver (apsw, psycopg). Both know ``execute(sql, parameters)``, which returns
a cursor of tuples, and ``close()``; both are in autocommit mode, transactions are begun and ended by
`Backend`. Statements are written with ``?`` for a parameter and pass through `Backend.sql` once.
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
    for_update : str
        What to append to a SELECT that locks its rows until the end of the transaction.
    skip_locked : str
        The same, but passing over rows that others have locked.
    among : str
        The condition, behind a column, that it has one of the values of a `list_parameter`.
    shares_transactions : bool
        Whether all who wait to write share a transaction, see `medserver.index.database.writer`.
    staging : Path or None
        Where the file has to lie that `stage` is given; None: anywhere.
    """

    name: str
    database: peewee.Database
    errors: tuple[type[Exception], ...]
    for_update: str
    skip_locked: str
    among: str
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

    def usable(self, connection: Any) -> bool:
        """Whether the connection is open and outside of any transaction."""

    def migration_lock(self) -> Any:
        """Return a context manager: a transaction of `database` that one process at a time can be in."""

    def sql(self, statement: str) -> str:
        """Spell the parameters of a statement as the driver wants them."""

    def begin(self, connection: Any, *, is_long: bool = False) -> None:
        """Begin a transaction that writes; a long one has no limits of time."""

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

    def list_parameter(self, values: Sequence[int] | Sequence[str]) -> Any:
        """Return the parameter of a `one_of` condition."""

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

    def examine_dump(self, file: Path) -> DumpContent:
        """Read a file that `dump` made, and count what it holds.

        Raises
        ------
        DamagedObject
            It is not whole.
        """

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
