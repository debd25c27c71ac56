"""Which copies are to be seen to: those that are missing, those that are bad, those to be verified; and how many
there are of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.jobs.records import NewJob
from medserver.index.objects.copies import SELECT_COPIES, copy_of
from medserver.index.objects.records import StoredCopy
from medserver.index.upkeep.records import Cursor, Tally, VolumeTally

PAGE_ROWS = 500
WINDOW_ROWS = 2000
"""How many objects are looked at for a page of those that lack a copy, however few lack one."""

Read = Callable[..., Any]


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
        self._prepare_seeking(access.backend)
        self._prepare_verification(access.backend)
        self._prepare_tallies(access.backend)

    def _prepare_seeking(self, backend: Backend) -> None:
        self._window = backend.sql(
            f"SELECT MAX(id) FROM (SELECT id FROM objects WHERE id > ? ORDER BY id LIMIT {WINDOW_ROWS}) AS page"
        )
        self._missing = backend.sql(
            f"{SELECT_COPIES} WHERE locations.id IN (SELECT "
            "(SELECT MIN(id) FROM locations WHERE locations.object = those.id AND state = 'good') "
            "FROM objects AS those WHERE those.id > ? AND those.id <= ? AND NOT EXISTS "
            "(SELECT 1 FROM locations WHERE locations.object = those.id AND volume = ?)) ORDER BY locations.id"
        )
        self._bad = backend.sql(
            f"{SELECT_COPIES} WHERE state <> 'good' AND (volume, path) > (?, ?) "
            f"ORDER BY volume, path LIMIT {PAGE_ROWS}"
        )
        self._any_on = backend.sql("SELECT 1 FROM locations WHERE volume = ? AND state = 'good' LIMIT 1")

    def _prepare_verification(self, backend: Backend) -> None:
        page = f"{SELECT_COPIES} WHERE state = 'good' AND volume = ? AND verified_at"
        self._never_verified = backend.sql(
            f"{page} IS NULL AND locations.id > ? ORDER BY locations.id LIMIT {PAGE_ROWS}"
        )
        self._verified_before = backend.sql(
            f"{page} < ? AND (verified_at, locations.id) > (?, ?) ORDER BY verified_at, locations.id LIMIT {PAGE_ROWS}"
        )
        self._first_never = backend.sql(
            "SELECT path FROM locations WHERE state = 'good' AND volume = ? AND verified_at IS NULL ORDER BY id LIMIT 1"
        )
        self._first_verified = backend.sql(
            "SELECT verified_at FROM locations WHERE state = 'good' AND volume = ? AND verified_at IS NOT NULL "
            "ORDER BY verified_at LIMIT 1"
        )
        self._note_verified = backend.sql(
            "UPDATE locations SET verified_at = ? WHERE volume = ? AND path = ? AND state = 'good'"
        )
        self._mark_all = backend.sql("UPDATE locations SET state = 'bad' WHERE volume = ? AND state = 'good'")
        self._ids = backend.sql("SELECT MIN(id), MAX(id) FROM locations")
        self._at = backend.sql(
            f"{SELECT_COPIES} WHERE state = 'good' AND locations.id >= ? ORDER BY locations.id LIMIT 1"
        )

        self._report = backend.sql(
            "UPDATE locations SET state = 'bad' WHERE volume = ? AND path = ? AND state <> 'bad' RETURNING id"
        )

    def _prepare_tallies(self, backend: Backend) -> None:
        # Each of these reads an index from its beginning to its end, and no row of the table.
        self._copies = backend.sql(
            "SELECT copies, COUNT(*) FROM (SELECT COUNT(*) AS copies FROM locations GROUP BY object) AS counted "
            "GROUP BY copies"
        )
        self._lost = backend.sql(
            "SELECT COUNT(*) FROM objects WHERE is_current = 1 AND NOT EXISTS "
            "(SELECT 1 FROM locations WHERE locations.object = objects.id)"
        )
        self._with_bad = backend.sql(
            "SELECT bad.volume, (SELECT COUNT(*) FROM locations WHERE locations.object = bad.object), bad.object "
            "FROM locations AS bad WHERE bad.state <> 'good'"
        )
        self._of_volume = backend.sql("SELECT COUNT(*) FROM locations WHERE volume = ?")
        self._volumes = backend.sql("SELECT volume FROM locations WHERE volume > ? ORDER BY volume LIMIT 1")

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
            rows = connection.execute(self._missing, (after.number, last, volume)).fetchall()
            return [copy_of(row) for row in rows], Cursor(last)

        return self._access.read(read)

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
        self._access.writer.run(lambda connection: connection.execute(self._mark_all, (volume,)) and None)

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
            for copy in copies:
                connection.execute(self._note_verified, (moment, copy.volume, copy.path))

        if copies:
            self._access.writer.run(perform)

    def _page(self, connection: Any, statement: str, parameters: tuple) -> list[tuple[int, StoredCopy]]:
        return [(row[0], copy_of(row)) for row in connection.execute(statement, parameters).fetchall()]

    # How many there are

    def tally(self) -> Tally:
        """Count objects by the number of their good copies, and copies by volume."""
        return self._access.read(self._tally)

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
