"""Users with their passcodes, and tokens of machines: added, changed, removed by an administrator."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from medserver.audit import AuditRow
from medserver.config import ROLES
from medserver.errors import BadUsage
from medserver.identity.passcodes import hash_passcode
from medserver.index.accounts.records import TOKEN, USER, Account, NewAccount
from medserver.index import Index

TOKEN_PREFIX = "mst_"
"""By which people, and programs that look for secrets in files, recognise one."""

_TOKEN_BYTES = 32

Tell = Callable[[str, bool], Sequence[AuditRow]]
"""Takes what is done to an account, and whether its roles change, and returns what the audit trail tells of it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _nothing(what: str, has_other_roles: bool) -> Sequence[AuditRow]:
    return ()


def add_user(
    index: Index,
    name: str,
    roles: Sequence[str],
    passcode: bytes,
    expires_at: datetime | None = None,
    tell: Tell = _nothing,
) -> None:
    """Add a user.

    Parameters
    ----------
    passcode : bytes
        In UTF-8; empty for a user that is believed when it is named alone (User-Identity-Type 1).

    Raises
    ------
    BadUsage
        The name, a role or the passcode cannot be used, or there is a user of this name.
    """
    new = NewAccount(USER, _checked(name), _checked_roles(roles), _kept(passcode), expires_at)
    if not index.accounts.add(new, tell(f"user {name} was added as {', '.join(new.roles)}", True)):
        raise BadUsage(f"there is a user {name}; change it with: medserver user edit {name}")


def edit_user(
    index: Index,
    name: str,
    *,
    roles: Sequence[str] | None = None,
    passcode: bytes | None = None,
    is_disabled: bool | None = None,
    tell: Tell = _nothing,
) -> None:
    """Change what is given of a user; what is None stays as it is.

    Raises
    ------
    BadUsage
        There is no such user, or a value cannot be used.
    """
    changes = {
        "roles": None if roles is None else _checked_roles(roles),
        "secret": None if passcode is None else _kept(passcode),
        "is_disabled": is_disabled,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    what = f"user {name} was changed: {', '.join(sorted(given))}"
    told = tell(what, roles is not None)
    if index.accounts.change(USER, name, lambda account: replace(account, **given), told) is None:
        raise BadUsage(f"there is no user {name}")


def add_token(
    index: Index, name: str, roles: Sequence[str], expires_at: datetime | None = None, tell: Tell = _nothing
) -> str:
    """Make a token, and return it: it is not kept, and cannot be shown again.

    Raises
    ------
    BadUsage
        The name or a role cannot be used, or there is a token of this name.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    new = NewAccount(TOKEN, _checked(name), _checked_roles(roles), digest_of(token), expires_at)
    if not index.accounts.add(new, tell(f"token {name} was made as {', '.join(new.roles)}", True)):
        raise BadUsage(f"there is a token {name}; remove it with: medserver token remove {name}")
    return token


def remove(index: Index, kind: str, name: str, tell: Tell = _nothing) -> None:
    """Remove a user or a token; it is of no use from now on.

    Raises
    ------
    BadUsage
        There is none of this name.
    """
    if not index.accounts.remove(kind, name, tell(f"{kind} {name} was removed", True)):
        raise BadUsage(f"there is no {kind} {name}")


def accounts_of(index: Index, kind: str) -> list[Account]:
    """Return the users or the tokens by name."""
    return index.accounts.all(kind)


def digest_of(token: str) -> str:
    """Return what is kept of a token: it has 256 random bits, which nobody can try one by one."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise BadUsage(f"{name!a} is not a name: letters, digits, '.', '_' and '-', 64 at most")
    return name


def _checked_roles(roles: Sequence[str]) -> tuple[str, ...]:
    """Return roles in the order of their table, each once."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise BadUsage(f"{unknown[0]!a} is no role" if unknown else f"a role is needed: {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in roles)


def _kept(passcode: bytes) -> str:
    try:
        return hash_passcode(passcode) if passcode else ""
    except ValueError as error:
        raise BadUsage(str(error)) from None
