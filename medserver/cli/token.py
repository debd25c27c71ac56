"""``medserver token``: what machines show instead of a passcode."""

from __future__ import annotations

import click

from medserver.cli.accounts import expires_option, expiry, list_accounts, opened_index, remove_account, role_option
from medserver.cli.invocation import Invocation, json_option, pass_invocation


@click.group()
def command() -> None:
    """Make, list and remove tokens for machines."""


@command.command()
@click.argument("name")
@role_option
@expires_option
@pass_invocation
def add(invocation: Invocation, name: str, roles: tuple[str, ...], expires: str | None) -> None:
    """Make the token NAME, and write it: it is not kept, and cannot be shown again.

    For example: medserver token add dashboard --role auditor --expires 90d
    """
    from medserver.accounts import managing
    from medserver.trail.accounts import teller

    with opened_index(invocation) as index:
        tell = teller(index, invocation.config)
        click.echo(managing.add_token(index, name, roles, expiry(expires, index.clock()), tell))


@command.command("list")
@json_option
@pass_invocation
def list_tokens(invocation: Invocation, as_json: bool) -> None:
    """List the tokens, with their roles."""
    from medserver.index.accounts.records import TOKEN

    list_accounts(invocation, TOKEN, as_json, "no tokens (make one: medserver token add)")


@command.command()
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, name: str) -> None:
    """Remove the token NAME; it is of no use from now on."""
    from medserver.index.accounts.records import TOKEN

    remove_account(invocation, TOKEN, name)
