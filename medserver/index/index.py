"""The index: what the archive holds, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from medserver.dicom.matching import Condition
from medserver.errors import IndexFailure
from medserver.index.callers import UnknownCaller, UnknownCallers
from medserver.index.commitments.commitments import Commitments
from medserver.index.commitments.table import CommitmentTable
from medserver.index.completions import Completions
from medserver.index.database import moments
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.database.connections import Connections
from medserver.index.database.dump import DumpContent, ShouldStop
from medserver.index.database.opening import migrate, open_backend
from medserver.index.database.writer import Writer
from medserver.index.find.find import Find
from medserver.index.find.query import Query
from medserver.index.find.selection import Selection
from medserver.index.jobs.jobs import Jobs
from medserver.index.jobs.lanes import LaneTable
from medserver.index.jobs.records import NewJob
from medserver.index.jobs.table import JobTable
from medserver.index.objects import additions
from medserver.index.objects.acquisitions import Acquisitions
from medserver.index.objects.additions import Additions
from medserver.index.objects.conflicts import Conflict, Conflicts
from medserver.index.objects.copies import Preference
from medserver.index.objects.deletions import Deletions, OrderTable
from medserver.index.objects.forms import Forms
from medserver.index.objects.hierarchy import Hierarchy
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import Added, Counts, InstanceRecord, ObjectKey, StoredCopy
from medserver.index.objects.tombstones import Tombstone, Tombstones, TombstoneTable
from medserver.index.performed_steps import PerformedSteps
from medserver.index.upkeep.upkeep import Upkeep

Clock = Callable[[], datetime]
Item = TypeVar("Item")

_CURRENT = ("stored", "replaced")
_KEPT = (*_CURRENT, "kept")
_RECEIVED_AGAIN = ("same", "kept")
"""Success is answered for what is there already, or what is found beside it: it must not go."""

_COUNTS = (
    "SELECT (SELECT COUNT(*) FROM patients), (SELECT COUNT(*) FROM studies), (SELECT COUNT(*) FROM series), "
    "(SELECT COUNT(*) FROM instances), (SELECT COUNT(DISTINCT object) FROM objects JOIN locations "
    "ON object = objects.id WHERE is_current = 0), (SELECT COUNT(*) FROM locations), (SELECT COUNT(*) FROM conflicts), "
    "(SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM objects WHERE is_current = 1)"
)


def open_index(
    url: str, *, base: Path, clock: Clock = moments.now, volumes: Sequence[str] = ()
) -> Index:
    """Open an index; its schema is brought up to date.

    Parameters
    ----------
    url : str
        ``sqlite:///relative/to/base.db``, ``sqlite:////absolute.db`` or ``postgresql://...``.
    base : Path
        Where a relative path begins.
    clock : callable
        Tells the present moment, with a time zone.
    volumes : sequence of str
        The volumes from which to read, the best first.

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
    """
    backend = open_backend(url, base)
    migrate(backend)
    return Index(backend, clock, volumes)


class Index:
    """What the archive holds, and where.

    Every method that writes returns after a durable commit. Every method raises `IndexFailure` if the
    database fails, and `OutOfResources` if it has no space left; a failed `add` leaves the index as it
    was, unless the connection to the server was lost at the very moment of the commit. Hence a file is
    deleted only if `has_location` says that nobody refers to it.

    Parameters
    ----------
    backend : Backend
        The database; its schema is up to date.
    clock : callable
        Tells the present moment.
    volumes : sequence of str
        The volumes from which to read, the best first; those that are not named come last.

    Attributes
    ----------
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
    forms : Forms
        What was made here from what was received.
    """

    def __init__(
        self, backend: Backend, clock: Clock = moments.now, volumes: Sequence[str] = ()
    ) -> None:
        self.backend = backend
        self._clock = clock
        self._connections = Connections(backend.connect, backend.usable)
        self._conflicts = Conflicts(backend)
        hierarchy = Hierarchy(backend, self._conflicts)
        pruning = Pruning(backend, hierarchy)
        self._preference = Preference(volumes)
        self._additions = Additions(backend, hierarchy, pruning)
        self._locations = LocationTable(backend, pruning, self._preference)
        self._orders = OrderTable(backend)
        self._callers = UnknownCallers(backend)
        lanes = LaneTable(backend)
        remembering = (hierarchy, lanes)
        self._writer = Writer(
            backend,
            on_commit=lambda: [each.committed() for each in remembering],
            on_rollback=lambda: [each.forget() for each in remembering],
        )
        job_table = JobTable(backend, lanes)
        self.jobs = Jobs(self._read, self._writer, job_table, lanes, clock)
        self._access = access = Access(backend, self._read, self._writer, self.jobs, job_table, clock)
        self.commitments = Commitments(access, CommitmentTable(backend))
        self.upkeep = Upkeep(access)
        self.performed_steps = PerformedSteps(access)
        self.completions = Completions(access)
        self.acquisitions = Acquisitions(access)
        self.forms = Forms(self._read, backend)
        tombstones = TombstoneTable(backend)
        self.tombstones = Tombstones(access, tombstones)
        self.deletions = Deletions(access, self._orders, tombstones, self._locations)

    def close(self) -> None:
        """Wait for transactions that are under way, then close all connections."""
        self._writer.close()
        self._connections.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    # Objects

    def add(
        self,
        record: InstanceRecord,
        jobs: Iterable[NewJob] = (),
        jobs_of_instance: Iterable[NewJob] = (),
        *,
        is_receipt: bool = False,
        made_from: StoredCopy | None = None,
    ) -> Added:
        """Add an object that lies in a volume.

        Parameters
        ----------
        record : InstanceRecord
            The object.
        jobs : iterable of NewJob
            What is to be done with it. They are added in the same transaction if the archive keeps the object:
            if it is stored, kept or replaced.
        jobs_of_instance : iterable of NewJob
            What is to be done with the instance that it is: not if another object stays the current one.
        is_receipt : bool
            Whether somebody has just sent it, and is told that it is safe: that withdraws what was ordered to be done
            to it. Else it was found on a volume, or made here.
        made_from : StoredCopy, optional
            What it was made from just now: it is rejected if that was deleted meanwhile, or is to be, or is not the
            current object any more.

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
        withdrawn = False

        def perform(connection: Any, add_jobs: AddJobs) -> Added:
            nonlocal withdrawn
            withdrawn = False
            if made_from is not None and not self._orders.stays(connection, made_from.key):
                return Added("rejected", file_needed=False)
            must_be_current = made_from is not None and made_from.is_current
            added = self._additions.add(
                connection, addition, is_receipt=is_receipt, must_be_current=must_be_current
            )
            if is_receipt and added.outcome in _RECEIVED_AGAIN:
                withdrawn = self._orders.withdraw(connection, record.sop_instance_uid)
            if added.outcome in _KEPT:
                add_jobs(jobs)
            if added.outcome in _CURRENT:
                add_jobs(jobs_of_instance)
            return added

        added = self._access.transact(perform, addition.order)
        if withdrawn:
            self.flush()  # a power cut must not bring the order back
        return added

    def receive_again(self, key: ObjectKey) -> bool:
        """Take note that an object was received again, which is stored; what was ordered to be done to it is withdrawn.

        Parameters
        ----------
        key : ObjectKey
            Which.

        Returns
        -------
        bool
            False if it is not stored, neither itself nor what was made from it, and nothing was noted.
        """
        withdrawn = False

        def perform(connection: Any) -> bool:
            nonlocal withdrawn
            withdrawn = False
            if not self._additions.count_receipt(connection, key):
                return False
            withdrawn = self._orders.withdraw(connection, key.sop_instance_uid)
            return True

        is_stored = self._writer.run(perform)
        if withdrawn:
            self.flush()
        return is_stored

    def promote(self, record: InstanceRecord) -> bool:
        """Make an object that is stored the current one of its instance, with its header.

        Parameters
        ----------
        record : InstanceRecord
            The object, as one of its files tells it.

        Returns
        -------
        bool
            False if it is that already, or is not there.
        """
        addition = additions.prepare(record)
        return self._writer.run(lambda connection: self._additions.promote(connection, addition), addition.order)

    def flush(self) -> None:
        """Make all that was committed durable: it outlives a power cut."""
        try:
            self.backend.flush()
        except OSError as error:
            raise IndexFailure(f"index: {error}") from error

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
        return Selection(self.backend, self._connections, conditions, self._preference, patients_only)

    # Files

    def locations(self, after: tuple[str, str] = ("", "")) -> Iterator[StoredCopy]:
        """Yield every file that the index knows, in the order of volume and path.

        Parameters
        ----------
        after : tuple of (str, str)
            Volume and path of the last one that is known.
        """
        while page := self._read(self._locations.page, after):
            yield from page
            after = (page[-1].volume, page[-1].path)

    def location(self, volume: str, path: str) -> StoredCopy | None:
        """Return what the index knows of a file, None if it does not refer to it."""
        return self._read(self._locations.at, volume, path)

    def has_instance(self, sop_instance_uid: str) -> bool:
        """Whether anything is stored under a SOP Instance UID."""
        return self._read(self._locations.has_instance, sop_instance_uid)

    def has_location(self, volume: str, path: str) -> bool:
        """Whether the index refers to a file."""
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

    def release(self, copies: Iterable[StoredCopy], jobs: Iterable[NewJob] = ()) -> None:
        """Forget copies, and the objects, instances, series, studies and patients that have no other.

        Parameters
        ----------
        copies : iterable of StoredCopy
            Which. Those that are not known any more are none.
        jobs : iterable of NewJob
            What is to be done with their files; added in the same transaction.
        """
        ordered, jobs = sorted(copies, key=lambda copy: (copy.sop_instance_uid, copy.volume, copy.path)), list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> None:
            for copy in ordered:
                self._locations.remove(connection, copy.volume, copy.path)
            add_jobs(jobs)

        self._access.transact(perform)

    def copies_of(self, stored: StoredCopy | Tombstone | ObjectKey) -> list[StoredCopy]:
        """Return every copy of an object: the good ones first, and among them those to be read first.

        Parameters
        ----------
        stored : StoredCopy, Tombstone or ObjectKey
            Any copy of it, which itself need not be there any more.
        """
        return self.copies_of_each([stored])[0]

    def copies_of_each(self, objects: Sequence[StoredCopy | Tombstone | ObjectKey]) -> list[list[StoredCopy]]:
        """Return what `copies_of` does for each of several objects, in one query."""
        keys = [one if isinstance(one, ObjectKey) else one.key for one in objects]
        return self._read(self._locations.of, keys)

    def add_location(self, copy: StoredCopy) -> bool:
        """Enter a good copy of an object that the index knows; again is harmless.

        Parameters
        ----------
        copy : StoredCopy
            Where it lies, and what. If there is a row for that already, the copy is good from now on.

        Returns
        -------
        bool
            False if the index does not know the object any more, and nothing was entered.

        Raises
        ------
        ValueError
            Another object lies there.
        """
        return self.add_locations([copy])[0]

    def add_locations(self, copies: Sequence[StoredCopy]) -> list[bool]:
        """Enter several copies at once, as `add_location` does."""
        ordered = sorted(range(len(copies)), key=lambda number: copies[number].sop_instance_uid)

        def perform(connection: Any) -> list[bool]:
            entered = {number: self._locations.add(connection, copies[number]) for number in ordered}
            return [entered[number] for number in range(len(copies))]

        return self._writer.run(perform)

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
            lambda connection: self._locations.mark(connection, volume, path, state, verified_at)
        )

    def duplicates(self) -> Iterator[StoredCopy]:
        """Yield the objects that are not current, the oldest first, each once."""
        yield from self._pages(self._locations.duplicates)

    def instances(self, sop_instance_uids: Sequence[str]) -> dict[str, StoredCopy]:
        """Return the current object of instances by SOP Instance UID, of those that there are: its preferred copy."""
        return self._read(self._locations.instances, sop_instance_uids)

    def last_received_at(self, study_instance_uid: str, series_instance_uid: str = "") -> datetime | None:
        """Return when the last instance of a study, or of one series of it, was received; None if there is none."""
        statement = self.backend.sql(
            "SELECT MAX(received_at) FROM instances JOIN objects ON objects.instance = instances.id AND is_current = 1 "
            "JOIN series ON series.id = instances.series "
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

    def counts(self) -> Counts:
        """Return how much the index holds."""
        return self._read(lambda connection: Counts(*connection.execute(_COUNTS).fetchone()))

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
