"""Accounts as they go into the index and come out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

USER, TOKEN = "user", "token"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A user, or a token of a machine.

    Parameters
    ----------
    kind : str
        `USER` or `TOKEN`.
    name : str
        By which people know it; unique among those of its kind.
    roles : tuple of str
        What it is, see `medserver.identity.rights`.
    secret : str
        What is kept of its passcode or token, never the thing itself; empty for a user without a passcode.
    expires_at : datetime or None
        From when on it is of no use; None for never.
    is_disabled : bool
        Whether it is of no use until that is changed.
    """

    kind: str
    name: str
    roles: tuple[str, ...]
    secret: str = field(default="", repr=False)
    expires_at: datetime | None = None
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class Account(NewAccount):
    """An account that there is. It is a `NewAccount`, and more.

    Parameters
    ----------
    created_at, changed_at : datetime
        When it was added, and changed last.
    """

    created_at: datetime = datetime.min
    changed_at: datetime = datetime.min

    def is_usable(self, now: datetime) -> bool:
        """Tell whether it is neither disabled nor expired."""
        return not self.is_disabled and (self.expires_at is None or now < self.expires_at)
