"""Films in the database: entered, changed under a lock, listed in pages, and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from peewee import SQL, Query, fn

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.columns import storable
from medserver.index.database.models import Films as Rows
from medserver.index.database.models import Workitems
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.films.records import FilmChange, FilmRow, NewFilm
from medserver.index.jobs.records import NewJob

PAGE_ROWS = 100
"""How many films are looked at, or forgotten, at a time."""

PENDING = "PENDING"

_ASKED = tuple(each.name for each in fields(NewFilm))
_BECOMES = ("state", "status_info", "detail", "printed_by", "reference", "handovers", "printings")
_MOMENTS = ("created_at", "changed_at", "ended_at")
_COLUMNS = (*_ASKED, *_BECOMES, *_MOMENTS)


class Films:
    """The films of an index, `Index.films`.

    Every method that writes returns when what it did outlives the machine. Every method raises `IndexFailure` if the
    database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _insert(self) -> Query:
        return insertion(Rows, _COLUMNS).on_conflict(action="NOTHING").returning(Rows.id)

    @statement
    def _find(self) -> Query:
        return _films().where(Rows.uid == PARAMETER)

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(_films().where(Rows.uid == PARAMETER))

    @statement
    def _update(self) -> Query:
        changed = (*_BECOMES, "printer", "changed_at", "ended_at")
        return Rows.update({getattr(Rows, name): PARAMETER for name in changed}).where(Rows.id == PARAMETER)

    @statement
    def _of_request(self) -> Query:
        return _films().where(Rows.request_uid == PARAMETER).order_by(Rows.id)

    @statement
    def _ended(self) -> Query:
        is_open = (Workitems.sop_instance_uid == Rows.request_uid) & Workitems.ended_at.is_null()
        ended = _films().where(
            Rows.ended_at.is_null(False)
            & (Rows.ended_at < PARAMETER)
            & (Rows.printer == PARAMETER)
            & ~fn.EXISTS(Workitems.select(SQL("1")).where(is_open))
        )
        return ended.order_by(Rows.ended_at).limit(PAGE_ROWS)

    @statement
    def _forget(self) -> Query:
        return Rows.delete().where((Rows.uid == PARAMETER) & Rows.ended_at.is_null(False) & (Rows.ended_at < PARAMETER))

    @statement
    def _count(self) -> Query:
        return Rows.select(Rows.printer, Rows.state, fn.COUNT(SQL("*"))).group_by(Rows.printer, Rows.state)

    def add(self, new: NewFilm, jobs: Iterable[NewJob]) -> bool:
        """Enter a film and the jobs that print it; False if there is one of this UID."""
        return bool(self.add_together([(new, list(jobs))]))

    def add_together(self, films: Sequence[tuple[NewFilm, Sequence[NewJob]]]) -> list[str]:
        """Enter films with the jobs that print them, all in one transaction.

        Returns
        -------
        list of str
            The UIDs of those that are new: of the others there was one before, which stays as it is.
        """
        now = to_text(self._access.clock())

        def perform(connection: Any, add_jobs: AddJobs) -> list[str]:
            entered: list[str] = []
            for new, jobs in films:
                asked = (_storable(getattr(new, name)) for name in _ASKED)
                row = (*asked, PENDING, "", "", "", "", 0, 0, now, now, None)
                if connection.execute(self._insert, row).fetchall():
                    entered.append(new.uid)
                    add_jobs(jobs)
            return entered

        return self._access.transact(perform)

    def change(self, uid: str, decide: Callable[[FilmRow], FilmChange | None]) -> FilmRow | None:
        """Change a film by what it is at this moment, which nobody else changes meanwhile.

        Parameters
        ----------
        uid : str
            Which.
        decide : callable
            Takes it and returns what it becomes, None if it stays as it is; what it raises leaves it as it is. May be
            called more than once.

        Returns
        -------
        FilmRow or None
            As it was before; None if there is none.
        """
        now = to_text(self._access.clock())

        def perform(connection: Any, add_jobs: AddJobs) -> FilmRow | None:
            rows = connection.execute(self._lock, (uid,)).fetchall()
            if not rows:
                return None
            film = _film(rows[0])
            becomes = decide(film)
            if becomes is not None:
                values = (_storable(getattr(becomes, name)) for name in (*_BECOMES, "printer"))
                connection.execute(self._update, (*values, now, now if becomes.is_final else None, film.id))
                add_jobs(becomes.jobs)
            return film

        return self._access.transact(perform)

    def get(self, uid: str) -> FilmRow | None:
        """Return a film, None if there is none."""
        return next(map(_film, self._access.rows(self._find, (uid,))), None)

    def of_request(self, request_uid: str) -> list[FilmRow]:
        """Return the films of a work item or a Print Job, in their order."""
        return [_film(row) for row in self._access.rows(self._of_request, (request_uid,))]

    def page(self, after: int = 0, among: Mapping[str, Sequence[str]] | None = None) -> list[FilmRow]:
        """Return the next films, in the order in which they were asked for; none if there are no more.

        Parameters
        ----------
        after : int
            The number of the last one that is known.
        among : mapping of str to sequence of str
            Columns, and the values of which one has to be there.
        """
        query = _films().where(Rows.id > after)
        for name, values in (among or {}).items():
            query = query.where(self._backend.one_of(getattr(Rows, name), list(values)))
        context = self._backend.database.get_sql_context()
        text, parameters = context.sql(query.order_by(Rows.id).limit(PAGE_ROWS)).query()
        return [_film(row) for row in self._access.rows(text, parameters)]

    def counts(self) -> dict[tuple[str, str], int]:
        """Count the films by printer and state."""
        return {(printer, state): count for printer, state, count in self._access.rows(self._count)}

    def ended(self, printer: str, before: datetime) -> list[FilmRow]:
        """Return some of the films of a printer that ended before a moment, the oldest first.

        Not those of a work item that has not ended: it is yet to see what became of them.
        """
        return [_film(row) for row in self._access.rows(self._ended, (to_text(before), printer))]

    def forget(self, uids: Sequence[str], before: datetime) -> None:
        """Forget films that ended before a moment; those that were printed again since stay."""

        def perform(connection: Any) -> None:
            for uid in uids:
                connection.execute(self._forget, (uid, to_text(before)))

        self._access.writer.run(perform)


def _storable(value: Any) -> Any:
    """Return what every database can hold of a value: labels are those of peers, and details what printers say."""
    return storable(value) if isinstance(value, str) else value


def _films() -> Any:
    return Rows.select(*(getattr(Rows, name) for name in _COLUMNS), Rows.id)


def _film(row: Sequence[Any]) -> FilmRow:
    *values, created_at, changed_at, ended_at, number = row
    moments = from_text(created_at), from_text(changed_at), from_text(ended_at) if ended_at else None
    return FilmRow(*values, *moments, number)
