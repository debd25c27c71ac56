"""The audit trail in the index, `Index.audit`: rows that wait to be sealed, the chain, and what repositories have.

What a row becomes::

    insert, in the transaction of what it tells --> pending --seal--> sealed --prune--> (deleted)
                                                                        |
                                                                        +-- each repository: sent, confirmed

A row is inserted once and never updated. It is sealed by being moved behind the last row of the chain, with a digest of
itself and of all before it; the row of the chain is locked meanwhile, so that there is one chain whoever seals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from peewee import EXCLUDED, SQL, Query, fn

from medserver.audit.chain import digest_of
from medserver.audit.rows import AuditRow
from medserver.index.audit.records import Chain, Repository, SealedRow, Transferred
from medserver.index.audit.table import TRANSFER_KEY, AuditTable
from medserver.index.database.access import Access
from medserver.index.database.models import AuditChain, AuditPending, AuditRepositories, AuditTrail, AuditTransfers
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

PAGE_ROWS = 200
"""How many rows are sealed, read or pruned at a time."""

Build = Callable[[Sequence[Transferred]], Sequence[AuditRow]]

_ROW = AuditRow._fields
_IS_CHAIN = AuditChain.id == 1


class AuditTrailRows:
    """The audit trail of an index.

    Every method that writes returns when what it did outlives the machine. Every method raises `IndexFailure` if the
    database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    table : AuditTable
        The SQL that others use too.
    """

    def __init__(self, access: Access, table: AuditTable) -> None:
        self._access = access
        self._backend = access.backend
        self._table = table

    # Rows

    @statement
    def _pending(self) -> Query:
        return AuditPending.select(AuditPending.id, *_columns(AuditPending)).order_by(AuditPending.id).limit(PARAMETER)

    @statement
    def _take(self) -> Query:
        taken = AuditPending.select(AuditPending.id, *_columns(AuditPending)).order_by(AuditPending.id)
        return self._backend.locked(taken.limit(PARAMETER))

    @statement
    def _remove_pending(self) -> Query:
        return AuditPending.delete().where(self._backend.is_among(AuditPending.id))

    @statement
    def _append(self) -> Query:
        return insertion(AuditTrail, ("position", *_ROW, "digest"))

    @statement
    def _page(self) -> Query:
        rows = AuditTrail.select(AuditTrail.position, *_columns(AuditTrail), AuditTrail.digest)
        return rows.where(AuditTrail.position > PARAMETER).order_by(AuditTrail.position).limit(PARAMETER)

    @statement
    def _prune(self) -> Query:
        return AuditTrail.delete().where(AuditTrail.position <= PARAMETER)

    # The chain

    @statement
    def _chain(self) -> Query:
        return _chain_columns().where(_IS_CHAIN)

    @statement
    def _lock_chain(self) -> Query:
        return self._backend.locked(_chain_columns().where(_IS_CHAIN))

    @statement
    def _move_head(self) -> Query:
        return AuditChain.update({AuditChain.position: PARAMETER, AuditChain.digest: PARAMETER}).where(_IS_CHAIN)

    @statement
    def _move_beginning(self) -> Query:
        pruned = {AuditChain.pruned_position: PARAMETER, AuditChain.pruned_digest: PARAMETER}
        return AuditChain.update(pruned).where(_IS_CHAIN)

    @statement
    def _take_lease(self) -> Query:
        is_free = AuditChain.owner.is_null() | (AuditChain.owner == PARAMETER) | (AuditChain.lease_until < PARAMETER)
        leased = {AuditChain.owner: PARAMETER, AuditChain.lease_until: PARAMETER}
        return AuditChain.update(leased).where(_IS_CHAIN & is_free).returning(AuditChain.id)

    @statement
    def _give_back(self) -> Query:
        free = {AuditChain.owner: None, AuditChain.lease_until: None}
        return AuditChain.update(free).where(_IS_CHAIN & (AuditChain.owner == PARAMETER))

    # Transfers

    @statement
    def _of_association(self) -> Query:
        rows = _transfers().where(AuditTransfers.association == PARAMETER)
        return self._backend.locked(rows.order_by(*(getattr(AuditTransfers, name) for name in TRANSFER_KEY)))

    @statement
    def _forget(self) -> Query:
        return AuditTransfers.delete().where(AuditTransfers.association == PARAMETER)

    @statement
    def _associations(self) -> Query:
        return AuditTransfers.select(AuditTransfers.association).distinct()

    # Repositories

    @statement
    def _repositories(self) -> Query:
        return AuditRepositories.select(*_repository_columns()).order_by(AuditRepositories.name)

    @statement
    def _note_repository(self) -> Query:
        names = [column.column_name for column in _repository_columns()]
        renewed = {AuditRepositories._meta.fields[name]: EXCLUDED[name] for name in names[1:]}
        row = insertion(AuditRepositories, names)
        return row.on_conflict(conflict_target=[AuditRepositories.name], update=renewed)

    @statement
    def _remove_repository(self) -> Query:
        return AuditRepositories.delete().where(AuditRepositories.name == PARAMETER)

    @statement
    def _count_pending(self) -> Query:
        return AuditPending.select(fn.COUNT(SQL("*")))

    def add(self, rows: Sequence[AuditRow]) -> None:
        """Insert rows, in a transaction of their own."""
        self._access.writer.run(lambda connection: self._table.insert(connection, rows))

    def finish(self, association: str, build: Build) -> None:
        """Let what was counted of an association become rows, in one transaction.

        Parameters
        ----------
        association : str
            Which.
        build : callable
            Makes the rows; may be called more than once.
        """

        def perform(connection: Any) -> None:
            found = [Transferred(*row) for row in connection.execute(self._of_association, (association,)).fetchall()]
            self._table.insert(connection, build(found))
            if found:
                connection.execute(self._forget, (association,))

        self._access.writer.run(perform)

    def associations(self) -> list[str]:
        """Return the associations of which something is counted that has not become rows."""
        return [row[0] for row in self._access.rows(self._associations)]

    def pending(self, limit: int = PAGE_ROWS) -> list[AuditRow]:
        """Return the oldest rows that are not sealed."""
        return [AuditRow(*row[1:]) for row in self._access.rows(self._pending, (limit,))]

    def pending_count(self) -> int:
        """Return how many rows are not sealed."""
        return self._access.rows(self._count_pending)[0][0]

    def page(self, after: int = 0, limit: int = PAGE_ROWS) -> list[SealedRow]:
        """Return the next sealed rows behind a position."""
        rows = self._access.rows(self._page, (after, limit))
        return [SealedRow(row[0], AuditRow(*row[1:-1]), row[-1]) for row in rows]

    def chain(self) -> Chain:
        """Return where the chain begins and ends."""
        return _chain_of(self._access.rows(self._chain)[0])

    def take_lease(self, owner: str, until: datetime) -> bool:
        """Be the one who seals and sends until a moment; False if somebody else is."""
        now = to_text(self._access.clock())
        values = (owner, now, owner, to_text(until))
        # UPDATE: the values are bound in the order in which they are written, those of SET first
        values = (values[2], values[3], values[0], values[1])
        return self._access.writer.run(
            lambda connection: bool(connection.execute(self._take_lease, values).fetchall())
        )

    def give_back(self, owner: str) -> None:
        """Let somebody else seal."""
        self._access.writer.run(lambda connection: connection.execute(self._give_back, (owner,)) and None)

    def seal(self, owner: str, limit: int = PAGE_ROWS) -> int:
        """Seal the oldest rows that wait for it.

        Parameters
        ----------
        owner : str
            Who does; nothing is done unless it has the lease.
        limit : int
            How many at most.

        Returns
        -------
        int
            How many.
        """

        def perform(connection: Any) -> int:
            chain = _chain_of(connection.execute(self._lock_chain).fetchall()[0])
            if chain.owner != owner:
                return 0
            rows = connection.execute(self._take, (limit,)).fetchall()
            if not rows:
                return 0
            position, digest = chain.position, chain.digest
            for _, *values in rows:
                row = AuditRow(*values)
                position += 1
                digest = digest_of(digest, position, row)
                connection.execute(self._append, (position, *row, digest))
            connection.execute(self._remove_pending, (self._backend.list_parameter([row[0] for row in rows]),))
            connection.execute(self._move_head, (position, digest))
            return len(rows)

        return self._access.writer.run(perform)

    def prune(self, owner: str, before: str, kept_behind: int, limit: int = PAGE_ROWS) -> int:
        """Delete the oldest sealed rows; the chain remembers the digest of the last one.

        Parameters
        ----------
        owner : str
            Who does; nothing is done unless it has the lease.
        before : str
            Rows of that moment, and later ones, are kept: ISO 8601, UTC.
        kept_behind : int
            So are those behind this position: a repository is yet to get them.
        limit : int
            How many at most.

        Returns
        -------
        int
            How many.
        """

        def perform(connection: Any) -> int:
            chain = _chain_of(connection.execute(self._lock_chain).fetchall()[0])
            if chain.owner != owner:
                return 0
            rows = connection.execute(self._page, (chain.pruned_position, limit)).fetchall()
            last = None
            for row in rows:
                if row[1] >= before or row[0] > kept_behind:
                    break
                last = row
            if last is None:
                return 0
            connection.execute(self._prune, (last[0],))
            connection.execute(self._move_beginning, (last[0], last[-1]))
            return last[0] - chain.pruned_position

        return self._access.writer.run(perform)

    # Repositories

    def repositories(self) -> dict[str, Repository]:
        """Return how far the repositories have the trail, by name."""
        found: dict[str, Repository] = {}
        for name, sent, confirmed, confirmed_at, problem in self._access.rows(self._repositories):
            moment = from_text(confirmed_at) if confirmed_at else None
            found[name] = Repository(name, sent, confirmed, moment, problem)
        return found

    def note_repository(self, repository: Repository) -> None:
        """Note how far a repository has the trail."""
        moment = to_text(repository.confirmed_at) if repository.confirmed_at else None
        row = (repository.name, repository.sent_position, repository.confirmed_position, moment, repository.problem)
        self._access.writer.run(lambda connection: connection.execute(self._note_repository, row) and None)

    def forget_repository(self, name: str) -> None:
        """Forget a repository that gets nothing any more."""
        self._access.writer.run(lambda connection: connection.execute(self._remove_repository, (name,)) and None)


def _columns(model: Any) -> list[Any]:
    return [getattr(model, name) for name in _ROW]


def _chain_columns() -> Any:
    names = ("position", "digest", "pruned_position", "pruned_digest", "owner", "lease_until")
    return AuditChain.select(*(getattr(AuditChain, name) for name in names))


def _repository_columns() -> list[Any]:
    names = ("name", "sent_position", "confirmed_position", "confirmed_at", "problem")
    return [getattr(AuditRepositories, name) for name in names]


def _transfers() -> Any:
    return AuditTransfers.select(*(getattr(AuditTransfers, name) for name in Transferred._fields))


def _chain_of(row: Sequence[Any]) -> Chain:
    *values, lease_until = row
    return Chain(*values, from_text(lease_until) if lease_until else None)
