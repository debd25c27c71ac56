"""Statements of the index, built with peewee from the models and spelled once for the database at hand.

The spelling takes as long as a hundred executions of the statement, so that no statement is built when it is executed:
it is spelled when a process first asks for it, with ``PARAMETER`` where each execution gives a value, in the order in
which these stand in it; all indexes on the same kind of database have its text. Constants are part of the text: a
partial index is used only where the planner sees them.

What a query of a peer consists of is known when it is received (`medserver.index.find`): that is built each time, as
is what an administrator asks for now and then.

Strings are what is no statement of this index as it is now: a migration is the SQL of its day, whatever becomes of the
models, and so is what it leaves to jobs (`medserver.index.database.later`), and how the tables of nodes are made;
dumps, settings, catalogs and locks are a database's own (`medserver.index.sqlite`, `medserver.index.postgresql`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar, overload

import peewee

from medserver.index.database.backend import Backend

Table = TypeVar("Table")


class Parameter(peewee.ColumnBase):
    """Stands where an execution of a statement gives a value."""

    def __sql__(self, context: peewee.Context) -> peewee.Context:
        return context.literal(_MARK)


class _InOrder(peewee.Context):
    """Leaves the columns of an UPDATE in the order in which they are written: their parameters are in it."""

    def column_sort_key(self, item: object) -> int:
        return 0


_MARK = "\0"
PARAMETER = Parameter()


class statement(Generic[Table]):  # noqa: N801 - it is used as a decorator, like `property`
    """The text of a statement: a method that builds it becomes an attribute.

    The object whose method it is has the database in ``_backend``. What the method builds is the same for all objects
    of a class whose databases are of one kind.

    Examples
    --------
    >>> class Receipts:
    ...     def __init__(self, backend: Backend) -> None:
    ...         self._backend = backend
    ...
    ...     @statement
    ...     def count(self) -> peewee.Query:
    ...         return Objects.update({Objects.receipts: Objects.receipts + 1}).where(Objects.id == PARAMETER)
    """

    def __init__(self, build: Callable[[Any], peewee.Query]) -> None:
        self._build = build
        self._texts: dict[tuple[type, type], str] = {}
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, table: None, owner: type) -> statement: ...

    @overload
    def __get__(self, table: object, owner: type) -> str: ...

    def __get__(self, table: Any, owner: type) -> Any:
        if table is None:
            return self
        key = (type(table), type(table._backend))
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = spelled(table._backend, self._build(table))
        table.__dict__[self._name] = text
        return text


def spelled(backend: Backend, query: peewee.Node) -> str:
    """Spell a statement as the driver wants it.

    Parameters
    ----------
    backend : Backend
        The database.
    query : peewee.Node
        What peewee has built, with `PARAMETER` for each value that is given when it is executed.

    Returns
    -------
    str
        To be executed with as many values.

    Raises
    ------
    TypeError
        A constant is neither a text nor a number.
    """
    parameter = backend.database.param
    context = _InOrder(**backend.database.get_context_options())
    text, constants = context.sql(query).query()
    first, *others = text.split(parameter)
    parts = [first]
    for constant, rest in zip(constants, others, strict=True):
        parts += (_literal(constant), rest)
    text = "".join(parts)
    if "%" in parameter:
        text = text.replace("%", "%%")
    return text.replace(_MARK, parameter)


def insertion(
    model: type[peewee.Model], columns: Iterable[str], rows: int = 1, **constants: str | int | None
) -> peewee.Insert:
    """Build the INSERT of rows, whose values are given in the order of the columns; constants are the same in each."""
    names = list(columns)
    row = [*[PARAMETER] * len(names), *constants.values()]
    return model.insert_many([row] * rows, fields=[getattr(model, name) for name in (*names, *constants)])


def _literal(constant: object) -> str:
    if constant is None:
        return "NULL"
    if isinstance(constant, int):
        return str(int(constant))
    if isinstance(constant, str):
        return "'" + constant.replace("'", "''") + "'"
    raise TypeError(f"{constant!r} cannot stand in a statement")
