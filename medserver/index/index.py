"""The index: what the archive holds, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from medserver.dicom.matching import Condition
from medserver.index.callers import UnknownCaller, UnknownCallers
from medserver.index.commitments.commitments import Commitments
from medserver.index.commitments.table import CommitmentTable
from medserver.index.completions import Completions
from medserver.index.database import moments
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.database.dump import DumpContent, ShouldStop
from medserver.index.database.opening import clock_of, migrate, open_backend
from medserver.index.database.tables import TABLES
from medserver.index.database.writer import Writer
from medserver.index.find.find import Find
from medserver.index.find.locating import Preference
from medserver.index.find.query import Query
from medserver.index.find.selection import Selection
from medserver.index.jobs.jobs import Jobs
from medserver.index.jobs.lanes import LaneTable
from medserver.index.jobs.records import NewJob
from medserver.index.jobs.table import JobTable
from medserver.index.jobs.waits import WaitTable
from medserver.index.nodes.fence import Fence
from medserver.index.nodes.nodes import Nodes
from medserver.index.objects import additions
from medserver.index.objects.acquisitions import Acquisitions
from medserver.index.objects.additions import Additions
from medserver.index.objects.conflicts import Conflict, Conflicts
from medserver.index.objects.copies import CopyTable
from medserver.index.objects.deletions import Deletions, OrderTable
from medserver.index.objects.hierarchy import Hierarchy
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.originals import Originals, OriginalTable
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import Added, Counts, Duplicate, InstanceRecord, StoredInstance, StoredLocation
from medserver.index.objects.tombstones import Tombstones, TombstoneTable
from medserver.index.performed_steps import PerformedSteps
from medserver.index.upkeep.upkeep import Upkeep
from medserver.index.volumes import Volumes

Clock = Callable[[], datetime]
Item = TypeVar("Item")

_CURRENT = ("stored", "replaced")
_KEPT = (*_CURRENT, "aside")
_RECEIVED_AGAIN = ("same", "aside")
"""Success is answered for what is there already, or what is found beside it: it must not go."""

_COUNTS = (
    "SELECT (SELECT COUNT(*) FROM patients), (SELECT COUNT(*) FROM studies), (SELECT COUNT(*) FROM series), "
    "(SELECT COUNT(*) FROM instances), (SELECT COUNT(*) FROM duplicates), (SELECT COUNT(*) FROM locations), "
    "(SELECT COUNT(*) FROM conflicts), (SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM instances)"
)


def open_index(
    url: str, *, base: Path, clock: Clock | None = None, volumes: Sequence[str] = (), owner: str = ""
) -> Index:
    """Open an index; its schema is brought up to date.

    Parameters
    ----------
    url : str
        ``sqlite:///relative/to/base.db``, ``sqlite:////absolute.db`` or ``postgresql://...``.
    base : Path
        Where a relative path begins.
    clock : callable, optional
        Tells the present moment, with a time zone; default: that of the database, which all hosts have in common.
    volumes : sequence of str
        The volumes from which to read, the best first.
    owner : str
        Who has the lock of the index, if the caller has it: see `exclusively`.

    Returns
    -------
    Index
        To be closed when it is done with. Threads may share it, processes may not: each opens its own.

    Raises
    ------
    ConfigError
        If the URL names no database that the index can use.
    IndexFailure
        If the database cannot be used.
    IndexLocked
        If the index is rebuilt, restored or migrated.
    """
    backend = open_backend(url, base)
    migrate(backend, owner)
    return Index(backend, clock, volumes, owner)


class Index:
    """What the archive holds, and where.

    Every method that writes returns after a commit, which outlives this process; which outlive the machine too is in
    `medserver.index.database.tables`. Every method raises `IndexFailure` if the database fails, and `OutOfResources` if
    it has no space left; what has failed leaves the index as it was. With `UnknownOutcome` nobody knows whether it did:
    the server went away during the commit.

    Parameters
    ----------
    backend : Backend
        The database; its schema is up to date.
    clock : callable, optional
        As for `open_index`.
    volumes : sequence of str
        The volumes from which to read, the best first; those that are not named come last.
    owner : str
        As for `open_index`.

    Attributes
    ----------
    clock : callable
        Tells the present moment.
    nodes : Nodes
        Who shares the index.
    jobs : Jobs
        What is to be done later, in the same database.
    commitments : Commitments
        The transactions of storage commitment.
    upkeep : Upkeep
        Which copies are to be seen to.
    tombstones : Tombstones
        What was deleted on purpose.
    deletions : Deletions
        What is to be deleted.
    performed_steps : PerformedSteps
        What modalities have reported of their work.
    completions : Completions
        When studies seemed complete.
    acquisitions : Acquisitions
        The conditions under which instances were acquired.
    originals : Originals
        What was replaced by a compressed form of itself.
    volumes : Volumes
        Which volumes belong to the archive.
    """

    def __init__(
        self, backend: Backend, clock: Clock | None = None, volumes: Sequence[str] = (), owner: str = ""
    ) -> None:
        self.backend = backend
        self.clock = self._clock = clock = clock or clock_of(backend)
        self._fence = fence = Fence(backend, clock, owner)
        fence.open()
        self._connections = backend.connections()
        self._conflicts = Conflicts(backend)
        hierarchy = Hierarchy(backend, self._conflicts)
        pruning = Pruning(backend, hierarchy)
        originals = OriginalTable(backend)
        self._additions = Additions(backend, hierarchy, pruning, originals)
        self._locations = LocationTable(backend, pruning)
        self._orders = OrderTable(backend)
        self._preference = Preference(volumes)
        self._copies = CopyTable(backend, self._preference)
        self._callers = UnknownCallers(backend)
        lanes = LaneTable(backend)
        remembering = (hierarchy, lanes)
        self._writer = Writer(
            backend,
            on_begin=fence.check,
            on_commit=lambda: [each.committed() for each in remembering],
            on_rollback=lambda: [each.forget() for each in remembering],
        )
        job_table = JobTable(backend, lanes)
        self.jobs = Jobs(self._read, self._writer, job_table, lanes, WaitTable(backend), clock)
        self._access = access = Access(backend, self._read, self._writer, self.jobs, job_table, clock)
        self.nodes = Nodes(access)
        self.commitments = Commitments(access, CommitmentTable(backend))
        self.upkeep = Upkeep(access)
        self.performed_steps = PerformedSteps(access)
        self.completions = Completions(access)
        self.volumes = Volumes(access)
        self.acquisitions = Acquisitions(access)
        self.originals = Originals(self._read, originals)
        tombstones = TombstoneTable(backend)
        self.tombstones = Tombstones(access, tombstones, self._locations)
        self.deletions = Deletions(access, self._orders, tombstones, self._locations)

    def close(self) -> None:
        """Wait for transactions that are under way, then close all connections."""
        self._writer.close()
        self._connections.close()

    def is_outdated(self) -> bool:
        """Tell whether the index was rebuilt, restored or migrated since it was opened, and can be opened anew."""
        return self._read(self._fence.is_outdated)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def check_available(self) -> None:
        """Return unless the database is known to be away: what would be received could not be entered.

        Raises
        ------
        IndexUnavailable
            It was found to be away a moment ago.
        """
        self.backend.check_available()

    # Objects

    def add(
        self,
        record: InstanceRecord,
        jobs: Iterable[NewJob] = (),
        jobs_of_instance: Iterable[NewJob] = (),
        made_from: StoredInstance | StoredLocation | None = None,
    ) -> Added:
        """Add an object that lies in a volume.

        Parameters
        ----------
        record : InstanceRecord
            The object.
        jobs : iterable of NewJob
            What is to be done with it. They are added in the same transaction if the archive keeps the object:
            if it is stored, aside or replaced.
        jobs_of_instance : iterable of NewJob
            What is to be done with the instance that it is: not if it is put aside.
        made_from : StoredInstance or StoredLocation, optional
            What it was made from just now: it is rejected if that was deleted meanwhile, or is to be.

        Returns
        -------
        Added
            What became of it; durable.

        Raises
        ------
        IndexFailure
            If it names no study or series, or the database failed.
        OutOfResources
            If there was no space.
        """
        addition, jobs, jobs_of_instance = additions.prepare(record), list(jobs), list(jobs_of_instance)
        source = made_from and (made_from.sop_instance_uid, made_from.digest, made_from.transfer_syntax_uid)

        def perform(connection: Any, add_jobs: AddJobs) -> Added:
            if source is not None and not self._orders.stays(connection, source):
                return Added("rejected", file_needed=False)
            added = self._additions.add(connection, addition)
            if added.outcome in _RECEIVED_AGAIN:
                self._orders.withdraw(connection, record.sop_instance_uid)
            if added.outcome in _KEPT:
                add_jobs(jobs)
            if added.outcome in _CURRENT:
                add_jobs(jobs_of_instance)
            return added

        return self._access.transact(perform, addition.order)

    def add_jobs(self, jobs: Iterable[NewJob]) -> list[int]:
        """Add jobs that follow from nothing else that is written, and return their numbers."""
        return self.jobs.add(jobs)

    def find(self, query: Query) -> Iterator[dict[str, Any]]:
        """Answer a query.

        Parameters
        ----------
        query : Query
            What is asked.

        Returns
        -------
        iterator of dict
            See `Find.answers`. Holds no connection while it waits to be asked for the next answer.

        Raises
        ------
        ValueError
            If a condition is on an attribute that the index does not keep.
        """
        return (answer for answer in self.find_stepwise(query) if answer is not None)

    def find_stepwise(self, query: Query) -> Iterator[dict[str, Any] | None]:
        """Answer a query as `find` does, with None for each row that was looked at in vain.

        Raises
        ------
        ValueError
            As for `find`.
        """
        self._read(self._fence.check_reading)
        return Find(self.backend, self._connections, query, self._preference).answers()

    def select(self, conditions: Iterable[Condition], *, patients_only: bool = False) -> Selection:
        """Select instances to be retrieved.

        Parameters
        ----------
        conditions : iterable of Condition
            On attributes of any level; an instance, with its series, study and patient, has to fulfil all.
        patients_only : bool
            As in `Query`.

        Returns
        -------
        Selection
            The instances.
        """
        self._read(self._fence.check_reading)
        return Selection(self.backend, self._connections, conditions, self._preference, patients_only)

    # Files

    def locations(self, after: tuple[str, str] = ("", "")) -> Iterator[StoredLocation]:
        """Yield every file that the index knows, in the order of volume and path.

        Parameters
        ----------
        after : tuple of (str, str)
            Volume and path of the last one that is known.
        """
        while page := self._read(self._locations.page, after):
            yield from page
            after = (page[-1].volume, page[-1].path)

    def location(self, volume: str, path: str) -> StoredLocation | None:
        """Return what the index knows of a file, None if it does not refer to it."""
        return self._read(self._locations.at, volume, path)

    def has_location(self, volume: str, path: str) -> bool:
        """Whether the index refers to a file, as an instance or as an object put aside."""
        return self._read(self._locations.has, volume, path)

    def recent_location(self, volume: str) -> str | None:
        """Return the first path, in their order, of the files of a volume that were entered last.

        Paths begin with the time of sealing, and clocks are set back: what was entered last need not have the
        latest path.

        Returns
        -------
        str or None
            None if the index knows no file of the volume.
        """
        return self._read(self._locations.recent, volume)

    def remove_location(self, volume: str, path: str) -> bool:
        """Forget a file, and the instance, series, study and patient that have no other.

        Returns
        -------
        bool
            False if the index did not know the file.
        """
        return self._writer.run(lambda connection: self._locations.remove(connection, volume, path))

    def copies_of(self, stored: StoredInstance | StoredLocation | Duplicate) -> list[StoredLocation]:
        """Return every copy of an object: the good ones first, and among them those to be read first.

        Parameters
        ----------
        stored : StoredInstance, StoredLocation or Duplicate
            Any copy of it, which itself need not be there any more.
        """
        return self.copies_of_each([stored])[0]

    def copies_of_each(
        self, objects: Sequence[StoredInstance | StoredLocation | Duplicate]
    ) -> list[list[StoredLocation]]:
        """Return what `copies_of` does for each of several objects, in one query."""
        return self._read(self._copies.of, objects)

    def add_location(
        self,
        source: StoredInstance | StoredLocation | Duplicate,
        volume: str,
        path: str,
        *,
        verified_at: datetime | None = None,
    ) -> bool:
        """Enter a copy of a file that the index knows, byte for byte the same; again is harmless.

        Parameters
        ----------
        source : StoredInstance, StoredLocation or Duplicate
            What was copied. The copy belongs to the same instance, or object put aside.
        volume, path : str
            Where the copy lies. If there is a row for that already, it becomes that of this copy, and good.
        verified_at : datetime, optional
            When the copy was read and compared.

        Returns
        -------
        bool
            False if the index does not know the source any more, and nothing was entered.
        """
        places = (source.volume, source.path), (volume, path)
        return self._writer.run(lambda connection: self._copies.add(connection, *places, verified_at))

    def add_locations(self, copies: Sequence[tuple[StoredLocation, str, str]], verified_at: datetime) -> list[bool]:
        """Enter several copies at once, each a source, a volume and a path: as `add_location` does."""
        places = [((source.volume, source.path), (volume, path)) for source, volume, path in copies]
        return self._writer.run(
            lambda connection: [self._copies.add(connection, *each, verified_at) for each in places]
        )

    def mark_location(
        self, volume: str, path: str, state: str, *, verified_at: datetime | None = None
    ) -> bool:
        """Note whether a copy is good.

        Parameters
        ----------
        volume, path : str
            Which copy.
        state : str
            `records.GOOD` or `records.BAD`: a bad copy comes behind all good ones and is not read.
        verified_at : datetime, optional
            When it was read and compared; what was noted before stays if this is None.

        Returns
        -------
        bool
            False if that was known already, or there is no such copy.
        """
        return self._writer.run(
            lambda connection: self._copies.mark(connection, volume, path, state, verified_at)
        )

    def duplicates(self) -> Iterator[Duplicate]:
        """Yield the objects that were put aside, the oldest first, each once."""
        yield from self._pages(self._locations.duplicates)

    def instances(self, sop_instance_uids: Sequence[str]) -> dict[str, StoredInstance]:
        """Return instances of the archive by SOP Instance UID: those that there are."""
        return self._read(self._locations.instances, sop_instance_uids)

    def last_received_at(self, study_instance_uid: str, series_instance_uid: str = "") -> datetime | None:
        """Return when the last instance of a study, or of one series of it, was received; None if there is none."""
        statement = self.backend.sql(
            "SELECT MAX(received_at) FROM instances JOIN series ON series.id = instances.series "
            "JOIN studies ON studies.id = series.study WHERE study_instance_uid = ? "
            "AND (series_instance_uid = ? OR ? = '')"
        )
        parameters = (study_instance_uid, series_instance_uid, series_instance_uid)
        [[last]] = self._access.rows(statement, parameters)
        return moments.from_text(last) if last else None

    # What was noticed

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the conflicts, the oldest first."""
        yield from self._pages(self._conflicts.all)

    def conflict(self, number: int) -> Conflict | None:
        """Return a conflict by its number; None if there is none."""
        return self._read(self._conflicts.get, number)

    def resolve_conflict(self, number: int, by: str, resolution: str) -> bool:
        """Note what was decided about a conflict; False if there is none, or something was decided before."""
        now = self._clock()
        return self._writer.run(
            lambda connection: self._conflicts.resolve(connection, number, now, by, resolution)
        )

    def unresolved_conflicts(self, since: datetime) -> tuple[int, int]:
        """Count the conflicts that nobody has decided on, and how many of them were found since a moment."""
        return self._read(self._conflicts.unresolved, since)

    def counts(self) -> Counts:
        """Return how much the index holds."""
        return self._read(lambda connection: Counts(*connection.execute(_COUNTS).fetchone()))

    def only_here(self) -> dict[str, int]:
        """Count what a rebuild from the volumes would not bring back, by what it is."""
        found: dict[str, int] = {}
        for name, table in TABLES.items():
            if table.lost_by_rebuild:
                [[count]] = self._access.rows(self.backend.sql(f"SELECT COUNT(*) FROM {name} WHERE {table.counted}"))
                found[table.lost_by_rebuild] = found.get(table.lost_by_rebuild, 0) + count
        return {what: count for what, count in found.items() if count}

    def note_unknown_caller(self, ae_title: str, called: str, address: str) -> None:
        """Note that an AE called which is not known.

        Parameters
        ----------
        ae_title, called : str
            Calling and called AE title.
        address : str
            Where the connection came from.
        """
        at = self._clock()
        self._writer.run(lambda connection: self._callers.note(connection, ae_title, called, address, at))

    def forget_unknown_caller(self, ae_title: str) -> None:
        """Take an AE title from the list of unknown callers."""
        self._writer.run(lambda connection: self._callers.forget(connection, ae_title))

    def unknown_callers(self) -> list[UnknownCaller]:
        """Return the unknown callers, the latest first."""
        return self._read(self._callers.all)

    # Work that can be resumed

    def progress_get(self, name: str) -> str | None:
        """Return what `progress_set` noted, or None."""
        statement = self.backend.sql("SELECT value FROM progress WHERE name = ?")
        rows = self._access.rows(statement, (name,))
        return rows[0][0] if rows else None

    def progress_set(self, name: str, value: str | None) -> None:
        """Note how far a piece of work has come.

        Parameters
        ----------
        name : str
            The piece of work.
        value : str or None
            How far; None when it is finished.
        """
        if value is None:
            statement = self.backend.sql("DELETE FROM progress WHERE name = ?")
            self._writer.run(lambda connection: connection.execute(statement, (name,)) and None)
            return
        statement = self.backend.sql(
            "INSERT INTO progress (name, value) VALUES (?, ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
        self._writer.run(lambda connection: connection.execute(statement, (name, value)) and None)

    def flush(self) -> None:
        """Let everything that was committed before outlive the machine: to be called before what relies on it is done
        outside of the index and cannot be undone.

        Raises
        ------
        IndexFailure
            The disk failed.
        """
        self._writer.flush()

    def optimise(self) -> None:
        """Let the database renew its statistics, if it is worth the while; costs milliseconds."""
        try:
            connection = self.backend.connect(writing=True)
            try:
                self.backend.optimise(connection)
            finally:
                connection.close()
        except self.backend.errors as error:
            raise self.backend.failure(error) from error

    def dump_size_bytes(self) -> int:
        """Return about how much space a dump will need, rather more than less."""
        try:
            return self.backend.dump_size_bytes()
        except self.backend.errors as error:
            raise self.backend.failure(error) from error

    def dump(self, target: Path, should_stop: ShouldStop = lambda: False) -> DumpContent:
        """Write everything, as it is at one moment, to a file that is empty or not there; nobody waits for that.

        Returns
        -------
        DumpContent
            What was counted in the index at that moment.

        Raises
        ------
        Interrupted
            It was told to stop.
        """
        try:
            return self.backend.dump(target, should_stop)
        except self.backend.errors as error:
            raise self.backend.failure(error) from error

    # Reading

    def _read(self, read: Callable[..., Item], *arguments: Any) -> Item:
        try:
            with self._connections.lent() as connection:
                return read(connection, *arguments)
        except self.backend.errors as error:
            raise self.backend.failure(error) from error

    def _pages(self, read: Callable[[Any, int], list[tuple[int, Item]]]) -> Iterator[Item]:
        last = 0
        while page := self._read(read, last):
            yield from (item for _, item in page)
            last = page[-1][0]
