"""``medserver route``: the rules by which what is received goes to other AEs."""

from __future__ import annotations

from pathlib import Path

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.parameters import NamedPath
from medserver.cli.responses import FAILURE
from medserver.cli.text import printable
from medserver.config import CALLING_AE_TITLE, Route
from medserver.dicom.syntax_names import short_name


@click.group()
def command() -> None:
    """Show and test the rules by which instances are sent on (routing)."""


@command.command("list")
@json_option
@pass_invocation
def list_routes(invocation: Invocation, as_json: bool) -> None:
    """List the rules of the configuration."""
    routes = invocation.config.routes
    if as_json:
        echo_json([_described(route) for route in routes])
        return
    if not routes:
        click.echo("there are no rules: no [route NAME]")
        return
    rows = [
        (
            route.name,
            ", ".join(route.to),
            route.send,
            " and ".join(f"{keyword} = {printable(wanted)}" for keyword, wanted, _ in route.conditions) or "everything",
            ", ".join(map(short_name, route.transfer_syntaxes)) or "-",
            route.when,
            str(route.hours),
            route.priority,
        )
        for route in routes
    ]
    echo_table(("ROUTE", "TO", "SEND", "OF WHAT", "AS", "WHEN", "HOURS", "PRIORITY"), rows)


def _described(route: Route) -> dict[str, object]:
    return {
        "name": route.name,
        "to": list(route.to),
        "conditions": {keyword: wanted for keyword, wanted, _ in route.conditions},
        "send": route.send,
        "transfer_syntaxes": list(route.transfer_syntaxes),
        "priority": route.priority,
        "when": route.when,
        "quiet_s": route.quiet_s,
        "complete_by": list(route.complete_by),
        "hours": str(route.hours),
    }


@command.command()
@click.argument("path", metavar="FILE", type=NamedPath(exists=True, dir_okay=False))
@click.option("--from", "calling_ae_title", default="", metavar="AE", help="As if this AE had sent it.")
@json_option
@pass_invocation
@click.pass_context
def test(ctx: click.Context, invocation: Invocation, path: Path, calling_ae_title: str, as_json: bool) -> None:
    """Tell which rules want FILE, and why the others do not.

    The exit code is 1 if none does.
    """
    from medserver.delivery.file_header import header_of_file  # with pydicom
    from medserver.routing.rules import checks

    header = header_of_file(path)
    found = [(route, list(checks(route, header, calling_ae_title))) for route in invocation.config.routes]
    wanted = [route for route, results in found if all(one.is_fulfilled for one in results)]
    if as_json:
        echo_json([
            {
                "name": route.name,
                "to": list(route.to),
                "wants": route in wanted,
                "conditions": {one.keyword: one.is_fulfilled for one in results},
            }
            for route, results in found
        ])
    else:
        for route, results in found:
            missed = [f"{one.keyword} is not {printable(one.wanted)}" for one in results if not one.is_fulfilled]
            if missed:
                click.echo(f"{route.name}: no, {', '.join(missed)}".replace(CALLING_AE_TITLE, "the calling AE title"))
            else:
                click.echo(f"{route.name}: to {', '.join(route.to)}")
        if not found:
            click.echo("there are no rules: no [route NAME]")
    if not wanted:
        ctx.exit(FAILURE)
