"""``medserver route``: the rules by which what is received goes to other AEs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import FAILURE
from medserver.cli.rules import (
    VERSION_LENGTH,
    changes_in_words,
    conditions_in_words,
    described_changes,
    moment_in_words,
    syntaxes_in_words,
)
from medserver.cli.subject import subject_of
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.config import CALLING_AE_TITLE, Config, Route
from medserver.dicom.syntax_names import short_name

if TYPE_CHECKING:
    from medserver.routing.rules import Check, Decision


@click.group()
def command() -> None:
    """Show and test the rules by which instances are sent on (routing)."""


@command.command("list")
@json_option
@pass_invocation
def list_routes(invocation: Invocation, as_json: bool) -> None:
    """List the rules of the configuration: what each sends, to whom, what it changes, when.

    VERSION changes with what a rule decides, and how that is sent; what waits is sent by the version that decided it.
    """
    routes = invocation.config.routes
    if as_json:
        echo_json([_described(route) for route in routes])
        return
    if not routes:
        click.echo("there are no rules: no [route NAME]")
        return
    rows = [
        (
            printable(route.name, CELL_LENGTH_MAX),
            ", ".join(route.to) or f"printer {route.printer}",
            "prints" if route.printer else route.send,
            conditions_in_words(route.conditions),
            printable(changes_in_words(route.changes), CELL_LENGTH_MAX) if route.changes else "-",
            ", ".join(map(short_name, route.transfer_syntaxes)) or "-",
            route.when,
            str(route.hours),
            route.priority,
            route.digest[:VERSION_LENGTH],
        )
        for route in routes
    ]
    header = ("ROUTE", "TO", "SEND", "OF WHAT", "CHANGES", "AS", "WHEN", "HOURS", "PRIORITY", "VERSION")
    echo_table(header, rows, shrinks=True)


def _described(route: Route) -> dict[str, object]:
    return {
        "name": route.name,
        "to": list(route.to),
        "printer": route.printer or None,
        "format": dict(route.format),
        "conditions": {keyword: wanted for keyword, wanted, _ in route.conditions},
        "send": route.send,
        "transfer_syntaxes": list(route.transfer_syntaxes),
        **described_changes(route.changes),
        "priority": route.priority,
        "when": route.when,
        "quiet_s": route.quiet_s,
        "complete_by": list(route.complete_by),
        "hours": str(route.hours),
        "version": route.digest,
    }


@command.command()
@click.argument("what", metavar="FILE|UID")
@click.option("--from", "calling_ae_title", metavar="AE", help="As if this AE had sent it.")
@json_option
@pass_invocation
@click.pass_context
def test(ctx: click.Context, invocation: Invocation, what: str, calling_ae_title: str | None, as_json: bool) -> None:
    """Tell which rules send FILE, or the stored instance UID, to whom, how and when; and why the others do not.

    It is decided as at reception: the first rule of a destination sends, and nothing goes back to the AE that sent it,
    which is known of what is stored, and named by --from else. Told is too by which rules it is processed. The exit
    code is 1 if it is neither sent nor processed.
    """
    from medserver.cli.processing_rules import decided, decisions_in_words, described_decisions, is_processed
    from medserver.routing.rules import Verdict, checks, decisions  # with pydicom

    header, sender = subject_of(invocation, what)
    sender = sender if calling_ae_title is None else calling_ae_title.strip()
    config, now = invocation.config, datetime.now(UTC)
    found, processed = list(decisions(config, header, sender)), decided(config, header, sender)
    of_rules = [
        (rule, [each for each in found if each.rule is rule], list(checks(rule, header, sender)))
        for rule in config.routes
    ]
    if as_json:
        described = [_described_test(config, *each, now) for each in of_rules]
        echo_json([*described, *described_decisions(processed)])
    else:
        for each in of_rules:
            for line in _lines(config, *each):
                click.echo(line)
        for line in decisions_in_words(processed):
            click.echo(line)
        if not config.rules:
            click.echo("there are no rules: no [route NAME]")
    is_sent = any(each.verdict is Verdict.SENDS for each in found)
    if not is_sent and not any(is_processed(each) for each, _ in processed):
        ctx.exit(FAILURE)


def _lines(config: Config, rule: Route, found: list[Decision], results: list[Check]) -> Iterator[str]:
    from medserver.routing.rules import Verdict

    name = printable(rule.name, CELL_LENGTH_MAX)
    missed = [f"{one.keyword} is not {printable(one.wanted)}" for one in results if not one.is_fulfilled]
    if missed:
        yield f"{name}: no, {', '.join(missed)}".replace(CALLING_AE_TITLE, "the calling AE title")
        return
    for each in found:
        match each.verdict:
            case Verdict.SENDS if rule.printer:
                yield f"{name}: printed by {printable(rule.printer, CELL_LENGTH_MAX)}, {moment_in_words(rule)}"
            case Verdict.SENDS:
                yield f"{name}: to {each.destination}, {_manner_in_words(config, each)}"
            case Verdict.EARLIER_RULE:
                assert each.earlier is not None
                earlier = printable(each.earlier.name, CELL_LENGTH_MAX)
                yield f"{name}: not to {each.destination}, the rule '{earlier}' sends it there"
            case Verdict.SENDER:
                yield f"{name}: not to {each.destination}, it came from there"
            case Verdict.NO_DESTINATION:
                yield f"{name}: not to {each.destination}, there is no entry [ae {each.destination}]"


def _manner_in_words(config: Config, decision: Decision) -> str:
    """Return how and when something is sent."""
    rule = decision.rule
    if rule.send == "availability":
        return f"the news that it is here, {moment_in_words(rule)}"
    syntaxes = syntaxes_in_words(_transfer_syntaxes(config, decision))
    return f"{changes_in_words(rule.changes)}, {syntaxes}, {moment_in_words(rule)}"


def _transfer_syntaxes(config: Config, decision: Decision) -> tuple[str, ...]:
    remote = config.remote_by_name(decision.destination)
    return decision.rule.transfer_syntaxes or (remote.transfer_syntaxes if remote else ())


def _described_test(
    config: Config, rule: Route, found: list[Decision], results: list[Check], now: datetime
) -> dict[str, object]:
    from medserver.routing.plan import first_job
    from medserver.routing.rules import Verdict

    kind, due_at = first_job(rule, now)
    return {
        "name": rule.name,
        "to": list(rule.to),
        "printer": rule.printer or None,
        "wants": any(each.verdict is Verdict.SENDS for each in found),
        "conditions": {one.keyword: one.is_fulfilled for one in results},
        **described_changes(rule.changes),
        "version": rule.digest,
        "begins_with": kind,
        "due_at": max(now, due_at).isoformat(),
        "destinations": [
            {
                "destination": each.destination,
                "verdict": each.verdict.value,
                "earlier_rule": each.earlier.name if each.earlier else None,
                "transfer_syntaxes": list(_transfer_syntaxes(config, each)),
            }
            for each in found
        ],
    }
