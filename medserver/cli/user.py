"""``medserver user``: the people whom AEs may name (User Identity Negotiation), and what they may do."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from medserver.cli.accounts import expires_option, expiry, list_accounts, opened_index, remove_account, role_option
from medserver.cli.invocation import Invocation, json_option, pass_invocation
from medserver.errors import BadUsage

GENERATED_BYTES = 12

passcode_option = click.option(
    "--passcode-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, allow_dash=True, path_type=Path),
    help="Where the passcode is, in the first line; - for standard input. Without it, one is asked for.",
)
generate_option = click.option("--generate", is_flag=True, help="Make a passcode, and show it once.")
none_option = click.option("--no-passcode", is_flag=True, help="It is believed when it is named alone.")


@click.group()
def command() -> None:
    """Add, change and list the users whom AEs may name."""


@command.command()
@click.argument("name")
@role_option
@passcode_option
@generate_option
@none_option
@expires_option
@pass_invocation
def add(
    invocation: Invocation,
    name: str,
    roles: tuple[str, ...],
    passcode_file: Path | None,
    generate: bool,
    no_passcode: bool,
    expires: str | None,
) -> None:
    """Add the user NAME.

    For example: medserver user add anna --role reader --generate
    """
    from medserver.accounts import managing
    from medserver.trail.accounts import teller

    passcode = _passcode(passcode_file, generate, no_passcode)
    with opened_index(invocation) as index:
        tell = teller(index, invocation.config)
        managing.add_user(index, name, roles, passcode, expiry(expires, index.clock()), tell)
    _tell(name, passcode if generate else b"")


@command.command()
@click.argument("name")
@role_option
@click.option("--passcode", "asks", is_flag=True, help="Ask for a new passcode.")
@passcode_option
@generate_option
@none_option
@click.option("--disable/--enable", "is_disabled", default=None, help="Whether it is of no use for a while.")
@pass_invocation
def edit(
    invocation: Invocation,
    name: str,
    roles: tuple[str, ...],
    asks: bool,
    passcode_file: Path | None,
    generate: bool,
    no_passcode: bool,
    is_disabled: bool | None,
) -> None:
    """Change the user NAME: what is given, all else stays. It is so at once, also on associations that are open."""
    from medserver.accounts import managing
    from medserver.trail.accounts import teller

    changes = asks or passcode_file or generate or no_passcode
    passcode = _passcode(passcode_file, generate, no_passcode) if changes else None
    if passcode is None and not roles and is_disabled is None:
        raise BadUsage("nothing is to be changed: see medserver user edit --help")
    with opened_index(invocation) as index:
        given = {"roles": roles or None, "passcode": passcode, "is_disabled": is_disabled}
        managing.edit_user(index, name, **given, tell=teller(index, invocation.config))
    _tell(name, passcode if generate and passcode else b"")


@command.command("list")
@json_option
@pass_invocation
def list_users(invocation: Invocation, as_json: bool) -> None:
    """List the users, with their roles."""
    from medserver.index.accounts.records import USER

    list_accounts(invocation, USER, as_json, "no users (add one with: medserver user add)")


@command.command()
@click.argument("name")
@pass_invocation
def remove(invocation: Invocation, name: str) -> None:
    """Remove the user NAME; associations that are open may do nothing from now on."""
    from medserver.index.accounts.records import USER

    remove_account(invocation, USER, name)


def _passcode(file: Path | None, generate: bool, none: bool) -> bytes:
    """Return the passcode in one of the ways that were asked for; empty for none. Never from the command line."""
    if (file is not None) + generate + none > 1:
        raise BadUsage("one of --passcode-file, --generate and --no-passcode")
    if none:
        return b""
    if generate:
        return secrets.token_urlsafe(GENERATED_BYTES).encode()
    if file is None:
        return click.prompt("Passcode", hide_input=True, confirmation_prompt=True).encode()
    with click.open_file(str(file), "rb") as stream:  # "-" is standard input
        passcode = stream.readline().rstrip(b"\r\n")
    if not passcode:
        raise BadUsage("--passcode-file: the first line is empty")
    return passcode


def _tell(name: str, generated: bytes) -> None:
    if generated:
        click.echo(f"passcode of {name}, which is not shown again: {generated.decode()}")
