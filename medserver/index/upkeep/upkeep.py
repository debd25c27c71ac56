"""Which copies are to be seen to: those that are missing, those that are bad, those to be verified; and how many
there are of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from peewee import SQL, Case, Query, Tuple, fn

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import Locations, Objects, RemovedCopies
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.jobs.records import NewJob
from medserver.index.objects.copies import copy_of, select_copies
from medserver.index.objects.records import BAD, GOOD, StoredCopy
from medserver.index.upkeep.records import Cursor, Tally, VolumeTally

PAGE_ROWS = 500
WINDOW_ROWS = 2000
"""How many objects are looked at for a page of those that lack a copy, however few lack one."""

_COUNT = fn.COUNT(SQL("*"))
_ON_VOLUME = Locations.volume == PARAMETER
_AT = _ON_VOLUME & (Locations.path == PARAMETER)
_IS_GOOD, _IS_BAD = Locations.state == GOOD, Locations.state != GOOD
_IS_VERIFIED = Locations.verified_at.is_null(False)
_IS_CURRENT = Case(None, [(Objects.is_current == 1, 0)], Objects.id) == 0
"""As it stands in the index `objects_current`, which is read instead of the table."""

_NEVER_VERIFIED = _IS_GOOD & _ON_VOLUME & Locations.verified_at.is_null()


class Upkeep:
    """The copies of an index that need attention, `Index.upkeep`.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _window(self) -> Query:
        page = Objects.select(Objects.id).where(Objects.id > PARAMETER).order_by(Objects.id).limit(WINDOW_ROWS)
        return page.select_from(fn.MAX(page.c.id))

    @statement
    def _missing(self) -> Query:
        those, good, there = Objects.alias(), Locations.alias(), Locations.alias()
        first = good.select(fn.MIN(good.id)).where((good.object == those.id) & (good.state == GOOD))
        is_there = there.select(SQL("1")).where((there.object == those.id) & (there.volume == PARAMETER))
        of_object = (RemovedCopies.object == those.id) & (RemovedCopies.volume == PARAMETER)
        is_wanted = ~fn.EXISTS(RemovedCopies.select(SQL("1")).where(of_object))
        lacking = (those.id > PARAMETER) & (those.id <= PARAMETER) & ~fn.EXISTS(is_there) & is_wanted
        return select_copies().where(Locations.id.in_(those.select(first).where(lacking))).order_by(Locations.id)

    @statement
    def _bad(self) -> Query:
        place = (Locations.volume, Locations.path)
        rest = select_copies().where(_IS_BAD & (Tuple(*place) > Tuple(PARAMETER, PARAMETER)))
        return rest.order_by(*place).limit(PAGE_ROWS)

    @statement
    def _any_on(self) -> Query:
        return Locations.select(SQL("1")).where(_ON_VOLUME & _IS_GOOD).limit(1)

    @statement
    def _never_verified(self) -> Query:
        rest = select_copies().where(_NEVER_VERIFIED & (Locations.id > PARAMETER))
        return rest.order_by(Locations.id).limit(PAGE_ROWS)

    @statement
    def _verified_before(self) -> Query:
        order = (Locations.verified_at, Locations.id)
        before = (Locations.verified_at < PARAMETER) & (Tuple(*order) > Tuple(PARAMETER, PARAMETER))
        return select_copies().where(_IS_GOOD & _ON_VOLUME & before).order_by(*order).limit(PAGE_ROWS)

    @statement
    def _first_never(self) -> Query:
        return Locations.select(Locations.path).where(_NEVER_VERIFIED).order_by(Locations.id).limit(1)

    @statement
    def _first_verified(self) -> Query:
        verified = _IS_GOOD & _ON_VOLUME & _IS_VERIFIED
        return Locations.select(Locations.verified_at).where(verified).order_by(Locations.verified_at).limit(1)

    @statement
    def _note_verified(self) -> Query:
        return Locations.update({Locations.verified_at: PARAMETER}).where(_AT & _IS_GOOD)

    @statement
    def _mark_all(self) -> Query:
        return Locations.update({Locations.state: BAD}).where(_ON_VOLUME & _IS_GOOD)

    @statement
    def _forget_all_verified(self) -> Query:
        return Locations.update({Locations.verified_at: None}).where(_ON_VOLUME & _IS_VERIFIED)

    @statement
    def _ids(self) -> Query:
        return Locations.select(fn.MIN(Locations.id), fn.MAX(Locations.id))

    @statement
    def _at(self) -> Query:
        return select_copies().where(_IS_GOOD & (Locations.id >= PARAMETER)).order_by(Locations.id).limit(1)

    @statement
    def _report(self) -> Query:
        return Locations.update({Locations.state: BAD}).where(_AT & (Locations.state != BAD)).returning(Locations.id)

    # Each of these reads an index from its beginning to its end, and no row of the table.

    @statement
    def _copies(self) -> Query:
        counted = Locations.select(_COUNT.alias("copies")).group_by(Locations.object)
        return counted.select_from(counted.c.copies, _COUNT).group_by(counted.c.copies)

    @statement
    def _lost(self) -> Query:
        has_copy = fn.EXISTS(Locations.select(SQL("1")).where(Locations.object == Objects.id))
        return Objects.select(_COUNT).where(_IS_CURRENT & ~has_copy)

    @statement
    def _with_bad(self) -> Query:
        every = Locations.alias()
        copies = every.select(_COUNT).where(every.object == Locations.object)
        return Locations.select(Locations.volume, copies, Locations.object).where(_IS_BAD)

    @statement
    def _of_volume(self) -> Query:
        return Locations.select(_COUNT).where(_ON_VOLUME)

    @statement
    def _volumes(self) -> Query:
        rest = Locations.select(Locations.volume).where(Locations.volume > PARAMETER)
        return rest.order_by(Locations.volume).limit(1)

    # What is missing

    def missing(self, volume: str, after: Cursor = Cursor()) -> tuple[list[StoredCopy], Cursor | None]:
        """Return the next objects that have a good copy but none on a volume, and where to go on.

        Parameters
        ----------
        volume : str
            The volume.
        after : Cursor
            Where the last call ended.

        Returns
        -------
        list of StoredCopy
            A good copy of each; often empty before the end.
        Cursor or None
            For the next call; None at the end.
        """

        def read(connection: Any) -> tuple[list[StoredCopy], Cursor | None]:
            [[last]] = connection.execute(self._window, (after.number,)).fetchall()
            if last is None:
                return [], None
            rows = connection.execute(self._missing, (after.number, last, volume, volume)).fetchall()
            return [copy_of(row) for row in rows], Cursor(last)

        return self._access.read_at_once(read)

    def has_good_objects(self, volume: str) -> bool:
        """Whether there should be anything on a volume: what is known to be bad may be gone."""
        return bool(self._access.rows(self._any_on, (volume,)))

    def bad(self) -> Iterator[StoredCopy]:
        """Yield the copies that are bad, in the order of volume and path."""
        after = ("", "")
        while page := self._access.read(self._bad_page, after):
            yield from page
            after = (page[-1].volume, page[-1].path)

    def _bad_page(self, connection: Any, after: tuple[str, str]) -> list[StoredCopy]:
        return [copy_of(row) for row in connection.execute(self._bad, after).fetchall()]

    def mark_volume_bad(self, volume: str) -> None:
        """Note that there is nothing any more on a volume."""
        self._access.writer.run(lambda connection: connection.execute(self._mark_all, (volume,)) and None, is_long=True)

    def forget_verified(self, volume: str) -> None:
        """Note that nobody has read any copy on a volume: another disk has taken its place."""
        self._access.writer.run(
            lambda connection: connection.execute(self._forget_all_verified, (volume,)) and None, is_long=True
        )

    # What is to be verified

    def to_verify(self, volume: str, before: datetime) -> Iterator[StoredCopy]:
        """Yield the good copies on a volume that have not been verified since a moment, those first that never were.

        Pages are read as they are needed; what was verified meanwhile may still come.
        """
        number = 0
        while page := self._access.read(self._page, self._never_verified, (volume, number)):
            yield from (location for _, location in page)
            number = page[-1][0]
        moment, last = to_text(before), ("", 0)
        while page := self._access.read(self._page, self._verified_before, (volume, moment, *last)):
            yield from (location for _, location in page)
            last = (to_text(page[-1][1].verified_at), page[-1][0])  # type: ignore[arg-type]

    def sample(self, numbers: Iterable[float], volume: str | None = None) -> list[StoredCopy]:
        """Return good copies at random, each once.

        Parameters
        ----------
        numbers : iterable of float
            Random numbers from 0 to 1, one for each copy.
        volume : str, optional
            Only copies there.
        """

        def read(connection: Any) -> list[StoredCopy]:
            [[first, last]] = connection.execute(self._ids).fetchall()
            if first is None:
                return []
            rows = {}
            for number in numbers:
                for row in connection.execute(self._at, (first + int(number * (last - first)),)).fetchall():
                    rows[row[0]] = row
            found = (copy_of(rows[number]) for number in sorted(rows))
            return [one for one in found if volume in (None, one.volume)]

        return self._access.read(read)

    def note_verified(self, copies: Sequence[StoredCopy], at: datetime) -> None:
        """Note that copies were read and are what was stored."""
        moment = to_text(at)

        def perform(connection: Any) -> None:
            for copy in sorted(copies, key=lambda copy: (copy.volume, copy.path)):
                connection.execute(self._note_verified, (moment, copy.volume, copy.path))

        if copies:
            self._access.writer.run(perform)

    def _page(self, connection: Any, statement: str, parameters: tuple) -> list[tuple[int, StoredCopy]]:
        return [(row[0], copy_of(row)) for row in connection.execute(statement, parameters).fetchall()]

    # How many there are

    def tally(self) -> Tally:
        """Count objects by the number of their good copies, and copies by volume."""
        return self._access.read_at_once(self._tally)

    def _tally(self, connection: Any) -> Tally:
        copies = dict(connection.execute(self._copies).fetchall())
        [[lost]] = connection.execute(self._lost).fetchall()
        copies[0] = lost
        bad: dict[str, int] = {}
        objects: dict[int, list[int]] = {}  # object -> how many copies, how many are bad
        for volume, total, number in connection.execute(self._with_bad).fetchall():
            bad[volume] = bad.get(volume, 0) + 1
            objects.setdefault(number, [total, 0])[1] += 1
        for total, damaged in objects.values():
            copies[total] -= 1
            copies[total - damaged] = copies.get(total - damaged, 0) + 1
        return Tally(
            copies={number: count for number, count in sorted(copies.items()) if count},
            volumes={name: self._tally_volume(connection, name, bad.get(name, 0)) for name in self._names(connection)},
        )

    def _names(self, connection: Any) -> Iterator[str]:
        """Yield the volumes that have rows."""
        rows = connection.execute(self._volumes, ("",)).fetchall()
        while rows:
            yield rows[0][0]
            rows = connection.execute(self._volumes, rows[0]).fetchall()

    def _tally_volume(self, connection: Any, volume: str, bad: int) -> VolumeTally:
        [[count]] = connection.execute(self._of_volume, (volume,)).fetchall()
        never = connection.execute(self._first_never, (volume,)).fetchall()
        verified = connection.execute(self._first_verified, (volume,)).fetchall()
        return VolumeTally(
            copies=count,
            bad=bad,
            first_never_verified=never[0][0] if never else None,
            first_verified_at=from_text(verified[0][0]) if verified else None,
        )

    # Damage

    def report_bad(self, volume: str, path: str, jobs: Iterable[NewJob]) -> bool:
        """Note that a copy is bad, and add jobs if that is news; return whether it is."""
        jobs = list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            if not connection.execute(self._report, (volume, path)).fetchall():
                return False
            add_jobs(jobs)
            return True

        return self._access.transact(perform)
