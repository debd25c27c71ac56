"""What ``medserver user`` and ``medserver token`` share: the index, moments of expiry, tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from medserver import lock
from medserver.cli.invocation import Invocation, echo_json, echo_table
from medserver.config import ROLES
from medserver.config.values import duration
from medserver.errors import BadUsage

if TYPE_CHECKING:
    from medserver.index import Index
    from medserver.index.accounts.records import Account

_EXPIRY = duration(1, 100 * 365 * 86_400)

role_option = click.option(
    "--role", "roles", multiple=True, type=click.Choice(ROLES), help="What it is. May be repeated."
)

expires_option = click.option("--expires", metavar="DURATION", help="From when on it is of no use: 90d, 12h.")


@contextmanager
def opened_index(invocation: Invocation) -> Iterator[Index]:
    """Open the index of the node, which may be running."""
    from medserver.index import open_index

    config = invocation.config
    with lock.shared(config.node.data), open_index(config.index.url, base=config.node.data) as index:
        yield index


def expiry(text: str | None, now: datetime) -> datetime | None:
    """Return the moment that is so long from now; None for never.

    Raises
    ------
    BadUsage
        It is no duration.
    """
    if text is None:
        return None
    try:
        return now + timedelta(seconds=_EXPIRY.parse(text))
    except ValueError as error:
        raise BadUsage(f"--expires: {error}") from None


def list_accounts(invocation: Invocation, kind: str, as_json: bool, nothing: str) -> None:
    """Write the accounts of a kind as a table or as JSON, never what is kept of their secrets."""
    with opened_index(invocation) as index:
        described = [_described(each, index.clock()) for each in index.accounts.all(kind)]
    if as_json:
        echo_json(described)
    elif not described:
        click.echo(nothing)
    else:
        header = ("NAME", "ROLES", "STATE", "EXPIRES", "CHANGED")
        rows = [
            (each["name"], ", ".join(each["roles"]), each["state"], each["expires"] or "never", each["changed"])
            for each in described
        ]
        echo_table(header, rows, shrinks=True)


def remove_account(invocation: Invocation, kind: str, name: str) -> None:
    """Remove an account of a kind."""
    from medserver.accounts import managing
    from medserver.trail.accounts import teller

    with opened_index(invocation) as index:
        managing.remove(index, kind, name, teller(index, invocation.config))


def _described(account: Account, now: datetime) -> dict[str, Any]:
    usable = "active" if account.secret else "active, without a passcode"
    state = usable if account.is_usable(now) else "disabled" if account.is_disabled else "expired"
    expires = account.expires_at.isoformat(timespec="seconds") if account.expires_at else None
    changed = account.changed_at.isoformat(timespec="seconds")
    return {"name": account.name, "roles": account.roles, "state": state, "expires": expires, "changed": changed}
