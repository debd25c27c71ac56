"""The index: what the archive holds, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from medserver.dicom.matching import Condition
from medserver.index.accounts.accounts import Accounts
from medserver.index.audit.records import Counted
from medserver.index.audit.subjects import Subject, Subjects
from medserver.index.audit.table import AuditTable
from medserver.index.audit.trail import AuditTrailRows
from medserver.index.callers import RejectedCall, UnknownCaller, UnknownCallers
from medserver.index.commitments.commitments import Commitments
from medserver.index.commitments.table import CommitmentTable
from medserver.index.completions import Completions
from medserver.index.counts import HeldCounts
from medserver.index.database.access import Access, AddJobs, Following
from medserver.index.database.backend import Backend
from medserver.index.database.dump import DumpContent, ShouldStop
from medserver.index.database.opening import clock_of, migrate, open_backend
from medserver.index.database.writer import Writer
from medserver.index.delivered import DeliveredObjects
from medserver.index.derivations import Derivations
from medserver.index.films.films import Films
from medserver.index.find.find import Find
from medserver.index.find.query import Query
from medserver.index.find.selection import Pages, Selection
from medserver.index.holdings import Holdings
from medserver.index.jobs.jobs import Jobs
from medserver.index.jobs.lanes import LaneTable
from medserver.index.jobs.records import NewJob
from medserver.index.jobs.table import JobTable
from medserver.index.jobs.waits import WaitTable
from medserver.index.nodes.fence import Fence
from medserver.index.nodes.nodes import Nodes
from medserver.index.objects import additions
from medserver.index.objects.acquisitions import Acquisitions
from medserver.index.objects.additions import Additions, WasDeleted
from medserver.index.objects.conflicts import Conflict, Conflicts, Resolution
from medserver.index.objects.copies import Preference
from medserver.index.objects.deletions import Deletions, OrderTable
from medserver.index.objects.forms import Forms
from medserver.index.objects.hierarchy import Hierarchy
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.promotions import Promotions
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import ENTERED, UNNEEDED, Added, Counts, InstanceRecord, ObjectKey, StoredCopy
from medserver.index.objects.removals import Removals
from medserver.index.objects.tombstones import Tombstone, Tombstones, TombstoneTable
from medserver.index.objects.versions import ObjectVersions
from medserver.index.performed_steps import PerformedSteps
from medserver.index.progress import Progress
from medserver.index.rule_versions import RuleVersions
from medserver.index.upkeep.upkeep import Upkeep
from medserver.index.volumes import Volumes
from medserver.index.workitems.workitems import Workitems

Clock = Callable[[], datetime]
Item = TypeVar("Item")

_CURRENT = ("stored", "replaced")
_RECEIVED_AGAIN = ("same", "kept")
"""Success is answered for what is there already, or what is found beside it: it must not go."""


def open_index(
    url: str,
    *,
    base: Path,
    clock: Clock | None = None,
    volumes: Sequence[str] = (),
    owner: str = "",
    is_copy: bool = False,
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
    is_copy : bool
        As for `migrate`.

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
    IndexLocked, BadUsage
        If the index is rebuilt, restored or migrated; or has to be migrated, and somebody else works with it.
    OutOfResources
        If there is no room to save it before.
    """
    backend = open_backend(url, base)
    migrate(backend, base, owner, is_copy=is_copy)
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
    audit : AuditTrailRows
        What has been done by whom.
    commitments : Commitments
        The transactions of storage commitment.
    upkeep : Upkeep
        Which copies are to be seen to.
    tombstones : Tombstones
        What was deleted on purpose.
    deletions : Deletions
        What is to be deleted.
    removals : Removals
        What was removed from a volume, and stays on others.
    performed_steps : PerformedSteps
        What modalities have reported of their work.
    workitems : Workitems
        What is to be done with images, by whom, and who is told of it.
    completions : Completions
        When studies seemed complete.
    progress : Progress
        How far work has come that can be resumed.
    rule_versions : RuleVersions
        By what deliveries were decided.
    delivered : DeliveredObjects
        What is known to have been delivered.
    derivations : Derivations
        What was made from what.
    films : Films
        What is to be printed.
    accounts : Accounts
        Who is known here, users and machines.
    holdings : Holdings
        What is held, study by study, and what speaks against deleting it.
    acquisitions : Acquisitions
        The conditions under which instances were acquired.
    forms : Forms
        What was made here from what was received.
    versions : ObjectVersions
        The objects of instances, with their numbers.
    promotions : Promotions
        What was decided about which of them is the current one.
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
        self._searching = backend.searching(self._connections)
        self._conflicts = Conflicts(backend)
        hierarchy = Hierarchy(backend, self._conflicts)
        pruning = Pruning(backend, hierarchy)
        self._preference = Preference(volumes)
        self._selected = Pages(backend, self._connections, self._preference)
        self._additions = Additions(backend, hierarchy, pruning)
        self._locations = LocationTable(backend, pruning, self._preference)
        self._orders = OrderTable(backend)
        self._callers = UnknownCallers(backend)
        lanes = LaneTable(backend)
        remembering = (hierarchy, lanes)
        self._writer = Writer(
            backend,
            on_begin=fence.check,
            on_commit=lambda connection: [fence.committed(connection), *(each.committed() for each in remembering)],
            on_rollback=lambda: [each.forget() for each in remembering],
        )
        job_table = JobTable(backend, lanes)
        self._subjects = Subjects(backend)
        self._audit_table = audit_table = AuditTable(backend)
        self.jobs = Jobs(self._read, self._writer, job_table, lanes, WaitTable(backend), clock, audit_table)
        self._access = access = Access(backend, self._read, self._writer, self.jobs, job_table, audit_table, clock)
        self.audit = AuditTrailRows(access, audit_table)
        self.nodes = Nodes(access)
        self.commitments = Commitments(access, CommitmentTable(backend))
        self.upkeep = Upkeep(access)
        self.performed_steps = PerformedSteps(access)
        self.workitems = Workitems(access)
        self.completions = Completions(access)
        self.progress = Progress(access)
        self.rule_versions = RuleVersions(access)
        self.delivered = DeliveredObjects(access)
        self.derivations = Derivations(access)
        self.films = Films(access)
        self.accounts = Accounts(access)
        self.holdings = Holdings(access)
        self._held = HeldCounts(access)
        self.volumes = Volumes(access)
        self.acquisitions = Acquisitions(access)
        self.forms = Forms(self._read, backend)
        tombstones = TombstoneTable(backend)
        self.tombstones = Tombstones(access, tombstones)
        self.deletions = Deletions(access, self._orders, tombstones, self._locations)
        self.removals = Removals(access, self._orders, self._locations)
        self.versions = ObjectVersions(access, self._locations)
        self.promotions = Promotions(access, self._additions, self._orders)

    def close(self) -> None:
        """Wait for transactions that are under way, then close all connections."""
        self._writer.close()
        self._searching.close()
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
        *,
        jobs_of: Callable[[Added], Iterable[Following]] = lambda added: (),
        is_receipt: bool = False,
        made_from: StoredCopy | None = None,
        must_keep: bool = False,
    ) -> Added:
        """Add an object that lies in a volume.

        Parameters
        ----------
        record : InstanceRecord
            The object.
        jobs : iterable of NewJob
            What is to be done with it. They are added in the same transaction if the archive keeps the file:
            if the object is stored, kept or replaced, or takes the place of a copy that is not good.
        jobs_of_instance : iterable of NewJob
            What is to be done with the instance that it is: not if another object stays the current one.
        jobs_of : callable
            Returns what is to be done, and counted, besides because of what became of it.
        is_receipt : bool
            Whether somebody has just sent it, and is told that it is safe: that withdraws what was ordered to be done
            to it. Else it was found on a volume, or made here.
        made_from : StoredCopy, optional
            What it was made from just now: it is rejected if that was deleted meanwhile, or is to be, or is not the
            current object any more.
        must_keep : bool
            Keep the file of an object that is stored, though its volume should have a good one: that cannot be read
            now, for the disk has failed there, and nobody can say that it is bad.

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
        if must_keep:
            addition = addition._replace(must_keep=True)

        def perform(connection: Any, add_jobs: AddJobs) -> Added:
            if not is_receipt and self._is_made_in_vain(connection, record, made_from):
                return Added("rejected", file=UNNEEDED)
            must_be_current = made_from is not None and made_from.is_current
            added = self._additions.add(
                connection, addition, is_receipt=is_receipt, must_be_current=must_be_current
            )
            if is_receipt and added.outcome in _RECEIVED_AGAIN:
                self._orders.withdraw(connection, record.sop_instance_uid)
            if added.file == ENTERED:
                add_jobs(jobs)
            if added.outcome in _CURRENT:
                add_jobs(jobs_of_instance)
            add_jobs(jobs_of(added))
            return added

        try:
            return self._access.transact(perform, addition.order)
        except WasDeleted:
            return Added("deleted", file=UNNEEDED)

    def _is_made_in_vain(self, connection: Any, record: InstanceRecord, made_from: StoredCopy | None) -> bool:
        """Tell whether a file was made here from what goes, or was left by an interruption of that."""
        if made_from is not None and not self._orders.stays(connection, made_from.key):
            return True
        return record.original_key is not None and self._orders.is_ordered(connection, record.original_key)

    def receive_again(self, key: ObjectKey, counted: Counted | None = None) -> bool:
        """Take note that an object was received again, which is stored; what was ordered to be done to it is withdrawn.

        Parameters
        ----------
        key : ObjectKey
            Which.
        counted : Counted, optional
            What is counted of it for the audit trail.

        Returns
        -------
        bool
            False if it is not stored, neither itself nor what was made from it, and nothing was noted.
        """
        now = self._clock()

        def perform(connection: Any) -> bool:
            if not self._additions.count_receipt(connection, key, now):
                return False
            self._orders.withdraw(connection, key.sop_instance_uid)
            if counted is not None:
                self._audit_table.count(connection, counted)
            return True

        return self._writer.run(perform)

    def take_back(self, record: InstanceRecord, form: ObjectKey, jobs: Iterable[NewJob]) -> tuple[str, ...] | None:
        """Let an object that is stored take the place of a form of it that is lost, and forget the copies of that.

        Parameters
        ----------
        record : InstanceRecord
            The object, as one of its files tells it.
        form : ObjectKey
            What was made from it.
        jobs : iterable of NewJob
            What is to be done with the files of the form; added in the same transaction.

        Returns
        -------
        tuple of str or None
            As `Added.conflicts`; None if the form is good again, or the object is not stored, and nothing was changed.
        """
        addition, jobs = additions.prepare(record), list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> tuple[str, ...] | None:
            conflicts = self._additions.take_back(connection, addition, form)
            if conflicts is not None:
                self._locations.remove(connection, self._locations.of(connection, [form])[0])
                add_jobs(jobs)
            return conflicts

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
        return Find(self.backend, self._searching, query, self._preference).answers()

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
        return Selection(self.backend, self._searching, conditions, self._selected, patients_only)

    def subjects_of(self, sop_instance_uids: Iterable[str]) -> list[Subject]:
        """Return whose instances they are, and of which studies; those that are not there are left out."""
        return self._read(self._subjects.by_uid, list(sop_instance_uids))

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

    def last_known(self, sop_instance_uid: str) -> tuple[datetime | None, str | None]:
        """Return the latest of what is known of an instance, whatever clocks say: None if nothing is.

        Returns
        -------
        tuple of datetime and str, or None each
            When an object of it was received, or ordered to be deleted; and the path of a file, which tells the minute.
        """
        return self._read(self._locations.last_known, sop_instance_uid)

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

    def release(
        self, copies: Iterable[StoredCopy], jobs: Iterable[NewJob] = (), *, unless_current: bool = False
    ) -> bool:
        """Forget copies, and the objects, instances, series, studies and patients that have no other.

        Parameters
        ----------
        copies : iterable of StoredCopy
            Which. Those that are not known any more are none.
        jobs : iterable of NewJob
            What is to be done with their files; added in the same transaction.
        unless_current : bool
            Leave everything as it is if one of them is of an object that is the current one of its instance now.

        Returns
        -------
        bool
            Whether they are forgotten.
        """
        ordered, jobs = sorted(copies, key=lambda copy: copy.sop_instance_uid), list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            if unless_current and any(self._locations.is_current(connection, copy) for copy in ordered):
                return False
            self._locations.remove(connection, ordered)
            add_jobs(jobs)
            return True

        return self._access.transact(perform)

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

    def series_of(self, sop_instance_uids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return Series Instance UID and Modality, empty if unknown, by SOP Instance UID, of instances that exist."""
        return self._read(self._locations.series_of, sop_instance_uids)

    def last_received_at(self, study_instance_uid: str, series_instance_uid: str = "") -> datetime | None:
        """Return when the last instance of a study, or of one series of it, was received; None if there is none."""
        return self._held.last_received_at(study_instance_uid, series_instance_uid)

    # What was noticed

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the conflicts, the oldest first."""
        yield from self._pages(self._conflicts.all)

    def conflict(self, number: int) -> Conflict | None:
        """Return a conflict by its number; None if there is none."""
        return self._read(self._conflicts.get, number)

    def resolve_conflict(
        self,
        number: int,
        by: str,
        resolution: str,
        jobs_of: Callable[[Resolution], Iterable[NewJob]] = lambda resolved: (),
    ) -> bool:
        """Note what was decided about a conflict; False if there is none, or something was decided before.

        Parameters
        ----------
        number : int
            Which conflict.
        by, resolution : str
            Who decided, and what.
        jobs_of : callable
            Returns what follows; added in the same transaction.
        """
        now = self._clock()

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            resolved = self._conflicts.resolve(connection, number, now, by, resolution)
            if resolved is not None:
                add_jobs(jobs_of(resolved))
            return resolved is not None

        return self._access.transact(perform)

    def restore_resolutions(self, resolutions: Iterable[Resolution]) -> None:
        """Note what had been decided about conflicts, of those that there are and on which nobody has decided since."""
        known = list(resolutions)

        def perform(connection: Any) -> None:
            for one in known:
                self._conflicts.restore(connection, one)

        self._writer.run(perform)

    def unresolved_conflicts(self, since: datetime) -> tuple[int, int]:
        """Count the conflicts that nobody has decided on, and how many of them were found since a moment."""
        return self._read(self._conflicts.unresolved, since)

    def counts(self) -> Counts:
        """Return how much the index holds."""
        return self._held.all()

    def only_here(self) -> dict[str, int]:
        """Count what a rebuild from the volumes would not bring back, by what it is."""
        return self._held.only_here()

    def note_unknown_caller(self, call: RejectedCall) -> None:
        """Note that an AE called which is not known, or does not prove that it is the known one."""
        at = self._clock()
        self._writer.run(lambda connection: self._callers.note(connection, call, at))

    def unknown_callers(self) -> list[UnknownCaller]:
        """Return the unknown callers, the latest first."""
        return self._read(self._callers.all)

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
