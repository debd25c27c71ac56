"""Accounts in the database: added, changed under a lock, found by name or secret, removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from peewee import Query

from medserver.audit.rows import AuditRow
from medserver.index.accounts.records import Account, NewAccount
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import Accounts as Rows
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

ACCOUNTS_MAX = 10_000
"""How many are listed; a hospital has some thousands of users."""

_GIVEN = ("kind", "name", "roles", "secret", "expires_at", "is_disabled")
_COLUMNS = (*_GIVEN, "created_at", "changed_at")


class Accounts:
    """The accounts of an index, `Index.accounts`.

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
    def _by_name(self) -> Query:
        return _accounts().where((Rows.kind == PARAMETER) & (Rows.name == PARAMETER))

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(_accounts().where((Rows.kind == PARAMETER) & (Rows.name == PARAMETER)))

    @statement
    def _by_secret(self) -> Query:
        return _accounts().where((Rows.kind == PARAMETER) & (Rows.secret == PARAMETER))

    @statement
    def _of_kind(self) -> Query:
        return _accounts().where(Rows.kind == PARAMETER).order_by(Rows.name).limit(ACCOUNTS_MAX)

    @statement
    def _update(self) -> Query:
        changed = ("roles", "secret", "expires_at", "is_disabled", "changed_at")
        values = {getattr(Rows, name): PARAMETER for name in changed}
        return Rows.update(values).where((Rows.kind == PARAMETER) & (Rows.name == PARAMETER))

    @statement
    def _delete(self) -> Query:
        gone = Rows.delete().where((Rows.kind == PARAMETER) & (Rows.name == PARAMETER))
        return gone.returning(Rows.id)

    def add(self, new: NewAccount, told: Sequence[AuditRow] = ()) -> bool:
        """Add an account, and what is told of it; False if there is one of this kind and name, which stays as it is."""
        now = to_text(self._access.clock())
        row = (*_values(new), now, now)

        def perform(connection: Any, add: AddJobs) -> bool:
            is_new = bool(connection.execute(self._insert, row).fetchall())
            add(told if is_new else ())
            return is_new

        return self._access.transact(perform)

    def change(
        self, kind: str, name: str, change: Callable[[Account], NewAccount], told: Sequence[AuditRow] = ()
    ) -> Account | None:
        """Change an account by what it is at this moment, which nobody else changes meanwhile.

        Parameters
        ----------
        change : callable
            Takes it and returns what it becomes, of the same kind and name. May be called more than once.
        told : sequence of AuditRow
            What the audit trail tells of it.

        Returns
        -------
        Account or None
            As it was before; None if there is none.
        """
        now = to_text(self._access.clock())

        def perform(connection: Any, add: AddJobs) -> Account | None:
            rows = connection.execute(self._lock, (kind, name)).fetchall()
            if not rows:
                return None
            account = _account(rows[0])
            _, _, roles, secret, expires_at, is_disabled = _values(change(account))
            connection.execute(self._update, (roles, secret, expires_at, is_disabled, now, kind, name))
            add(told)
            return account

        return self._access.transact(perform)

    def remove(self, kind: str, name: str, told: Sequence[AuditRow] = ()) -> bool:
        """Remove an account; False if there is none."""

        def perform(connection: Any, add: AddJobs) -> bool:
            is_gone = bool(connection.execute(self._delete, (kind, name)).fetchall())
            add(told if is_gone else ())
            return is_gone

        return self._access.transact(perform)

    def get(self, kind: str, name: str) -> Account | None:
        """Return the account of a name, None if there is none."""
        return next(map(_account, self._access.rows(self._by_name, (kind, name))), None)

    def with_secret(self, kind: str, secret: str) -> Account | None:
        """Return the account of which this is kept, None if there is none."""
        return next(map(_account, self._access.rows(self._by_secret, (kind, secret))), None) if secret else None

    def all(self, kind: str) -> list[Account]:
        """Return the accounts of a kind by name, at most `ACCOUNTS_MAX`."""
        return [_account(row) for row in self._access.rows(self._of_kind, (kind,))]


def _values(account: NewAccount) -> Sequence[Any]:
    expires_at = to_text(account.expires_at) if account.expires_at else None
    return account.kind, account.name, " ".join(account.roles), account.secret, expires_at, int(account.is_disabled)


def _accounts() -> Any:
    return Rows.select(*(getattr(Rows, name) for name in _COLUMNS))


def _account(row: Sequence[Any]) -> Account:
    kind, name, roles, secret, expires_at, is_disabled, created_at, changed_at = row
    expires = from_text(expires_at) if expires_at else None
    moments = from_text(created_at), from_text(changed_at)
    return Account(kind, name, tuple(roles.split()), secret, expires, bool(is_disabled), *moments)
