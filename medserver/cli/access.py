"""``medserver access``: who may do what, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from medserver.cli.accounts import opened_index
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.config import IDENTITY_NONE, IDENTITY_REQUIRED, ROLES
from medserver.errors import BadUsage

if TYPE_CHECKING:
    from medserver.config import Remote
    from medserver.identity.principal import Principal, User


@click.group()
def command() -> None:
    """Show who may do what, and why."""


@command.command("list")
@json_option
def list_rights(as_json: bool) -> None:
    """List the rights: the services that each one opens, and the roles that include it."""
    from medserver.identity.rights import RIGHTS
    from medserver.services.registry import services_of

    if as_json:
        echo_json([
            {
                "right": right.name,
                "meaning": right.meaning,
                "services": services_of(right.name),
                "roles": [role for role in ROLES if role in right.roles],
            }
            for right in RIGHTS
        ])
        return
    header = ("RIGHT", *(role.upper() for role in ROLES), "SERVICES")
    rows = [
        (right.name, *("yes" if role in right.roles else "-" for role in ROLES), "; ".join(services_of(right.name)))
        for right in RIGHTS
    ]
    echo_table(header, rows, shrinks=True)


@command.command()
@click.argument("ae_title", metavar="AE_TITLE")
@click.option("--address", metavar="ADDRESS", help="Where it calls from, if its entry leaves several.")
@click.option("--user", "name", metavar="NAME", help="The user that it names.")
@json_option
@pass_invocation
def explain(invocation: Invocation, ae_title: str, address: str | None, name: str | None, as_json: bool) -> None:
    """Tell what an AE may do here, alone or for a user, and why not the rest."""
    remote = _remote(invocation, ae_title, address)
    user = None if name is None else _user(invocation, remote, name)
    from medserver.identity.principal import principal_of

    principal = principal_of(remote, address or "", user)
    rows = list(_explained(principal))
    if as_json:
        echo_json({
            "entry": remote.name,
            "user": name,
            "roles": user.roles if user else [],
            "rights": [{"right": right, "permitted": permitted, "because": why} for right, permitted, why in rows],
        })
        return
    whom = f", as user {user.name} ({', '.join(user.roles)})" if user else ""
    click.echo(f"{remote.ae_title} is [ae {remote.name}]{whom}; {_on_users(remote)}")
    echo_table(("RIGHT", "MAY", "BECAUSE"), [(right, "yes" if may else "no", why) for right, may, why in rows])


def _remote(invocation: Invocation, ae_title: str, address: str | None) -> Remote:
    config = invocation.config
    if address is not None:
        found = config.remotes_for(ae_title, address)
        if found is None:
            raise BadUsage(f"no [ae NAME] has the AE title {ae_title} and calls from {address}")
        return found
    entries = [each for each in config.remotes if each.ae_title == ae_title]
    if len(entries) != 1:
        raise BadUsage(
            f"no [ae NAME] has the AE title {ae_title}" if not entries
            else f"several entries have the AE title {ae_title}: name one with --address"
        )  # fmt: skip
    return entries[0]


def _user(invocation: Invocation, remote: Remote, name: str) -> User:
    from medserver.identity.principal import User
    from medserver.index.accounts.records import USER

    with opened_index(invocation) as index:
        account, now = index.accounts.get(USER, name), index.clock()
    if account is None:
        raise BadUsage(f"there is no user {name} (see `medserver user list`)")
    if not account.is_usable(now):
        raise BadUsage(f"user {name} is disabled or has expired: its associations are rejected")
    if remote.identification.demanded == IDENTITY_NONE:
        raise BadUsage(f"[ae {remote.name}] identity = none: users that it names are not looked at")
    if remote.identification.users and name not in remote.identification.users:
        raise BadUsage(f"[ae {remote.name}] users: {name} is not among them, its associations are rejected")
    return User(account.name, account.roles)


def _on_users(remote: Remote) -> str:
    demanded = remote.identification.demanded
    if demanded == IDENTITY_NONE:
        return "users that it names are not looked at"
    return "it must name a user" if demanded == IDENTITY_REQUIRED else "it may name a user"


def _explained(principal: Principal) -> Any:
    """Yield each right, whether it is permitted, and why."""
    from medserver.identity.rights import RIGHTS

    for right in RIGHTS:
        if right.name not in principal.remote.allow:
            yield right.name, False, f"[ae {principal.remote.name}] allow does not list it"
        elif principal.permits(right.name):
            held = [] if principal.user is None else [role for role in principal.user.roles if role in right.roles]
            yield right.name, True, f"allow lists it{', ' + held[0] + ' includes it' if held else ''}"
        else:
            yield right.name, False, "no role of the user includes it"
