"""Dumps of the index on SQLite: a dump is a database file.

A read transaction on a database in WAL mode holds up no writer and sees none of their changes; so the copy is that of
one moment, and need not begin anew when somebody writes. What is written meanwhile stays in the log until it ends.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from medserver import modes
from medserver.errors import DamagedObject
from medserver.index.database.dump import DumpContent, Interrupted, ShouldStop

PAGES_PER_STEP = 1000
"""How much is copied between two looks at whether to stop: 4 MB."""

_BESIDE = ("-wal", "-shm")
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
_NO_DATABASE = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)


def dump(source: apsw.Connection, target: Path, should_stop: ShouldStop) -> DumpContent:
    """Copy a database to a file, as it is at one moment.

    Parameters
    ----------
    source : apsw.Connection
        Outside of any transaction.
    target : Path
        An empty file, or none.
    should_stop : callable
        Tells whether to give up.

    Raises
    ------
    apsw.Error
        The database cannot be read, or the file not be written.
    Interrupted
        It was told to stop.
    """
    source.execute("BEGIN")
    try:
        content = _count(source)
        with closing(apsw.Connection(str(target))) as copy:
            # A copy that is not finished counts for nothing, and one that is gets flushed where it comes to lie.
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")
            with copy.backup("main", source, "main") as steps:
                while not steps.done:
                    if should_stop():
                        raise Interrupted
                    steps.step(PAGES_PER_STEP)
    finally:
        source.execute("COMMIT")
    return content


def examine(file: Path, *, quickly: bool = False) -> DumpContent:
    """Look whether a dump is whole, and count what it holds.

    Parameters
    ----------
    file : Path
        The dump.
    quickly : bool
        Do not compare indexes with their tables, which takes six times as long as all else.

    Raises
    ------
    DamagedObject
        It is not.
    """
    try:
        with closing(_open_immutable(file)) as connection:
            check = "quick_check" if quickly else "integrity_check"
            [[answer], *_] = connection.execute(f"PRAGMA {check}(1)").fetchall()
            if answer != "ok":
                raise DamagedObject(f"the database in it is damaged: {answer}")
            return _count(connection)
    except _NO_DATABASE as error:
        raise DamagedObject(f"no database is in it: {error}") from error


def take_the_place(new: Path, present: Path, kept: Path) -> bool:
    """Put a database in the place of another one, which is kept under a new name.

    Returns
    -------
    bool
        False if there was none.

    Raises
    ------
    OSError
        A file cannot be renamed.
    """
    there_was_one = present.exists() and present.stat().st_size > 0  # where there was none, an empty file is made
    if there_was_one:
        _rename(present, kept)
    else:  # a log without its database would be taken for that of the new one
        remove(present)
    _rename(new, present)
    modes.flush_directory(present.parent)
    return there_was_one


def remove(database: Path) -> None:
    """Remove a database file with the log beside it."""
    for suffix in ("", *_BESIDE):
        Path(f"{database}{suffix}").unlink(missing_ok=True)


def _rename(old: Path, new: Path) -> None:
    """Rename a database with the log beside it, in which the last transactions may still be."""
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            os.rename(f"{old}{suffix}", f"{new}{suffix}")
    os.rename(old, new)


def _open_immutable(file: Path) -> apsw.Connection:
    """Open a file without making others beside it."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quote(str(file))}?immutable=1", flags=flags)


def _count(connection: Any) -> DumpContent:
    tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
    rows = {name: connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchall()[0][0] for name in tables}
    applied = connection.execute("SELECT name FROM schema_migrations ORDER BY name").fetchall()
    return DumpContent(rows, tuple(name for (name,) in applied))
