"""``medserver processing rules|test``: the rules by which images are processed, and what they say of an instance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import CONFIGURATION, FAILURE
from medserver.cli.rules import VERSION_LENGTH, conditions_in_words, moment_in_words
from medserver.cli.subject import subject_of
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.config import CALLING_AE_TITLE, Config, Processing

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from medserver.routing.rules import Check, Decision

NO_RULES = "there are no rules: no [processing NAME]"


@click.command("rules")
@json_option
@pass_invocation
@click.pass_context
def list_rules(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """List the rules of the configuration: what is processed, how, when, and who gets the results.

    VERSION changes with what a rule decides and does. The exit code is 78 if a rule cannot be applied, as 'medserver
    config check' tells.
    """
    from medserver.processing.checking import problems_of

    rules = invocation.config.processings
    problems = list(problems_of(invocation.config))
    if as_json:
        echo_json([_described(rule) for rule in rules])
    elif not rules:
        click.echo(NO_RULES)
    else:
        header = ("RULE", "TYPE", "PARAMETERS", "OF WHAT", "WHEN", "HOURS", "TO", "PRIORITY", "VERSION")
        echo_table(header, [_row(rule) for rule in rules], shrinks=True)
    for problem in problems:
        click.echo(f"medserver: {printable(problem)}", err=True)
    if problems:
        ctx.exit(CONFIGURATION)


def _row(rule: Processing) -> tuple[str, ...]:
    return (
        printable(rule.name, CELL_LENGTH_MAX),
        ", ".join(rule.types),
        ", ".join(f"{name} = {printable(text, CELL_LENGTH_MAX)}" for name, text in rule.parameters) or "-",
        _wanted_in_words(rule),
        rule.when,
        str(rule.hours),
        ", ".join(rule.to) or "-",
        rule.priority,
        rule.digest[:VERSION_LENGTH],
    )


def _wanted_in_words(rule: Processing) -> str:
    delivered = f", what is sent to {' or '.join(rule.delivered_to)}" if rule.delivered_to else ""
    return conditions_in_words(rule.conditions) + delivered


def _described(rule: Processing) -> dict[str, object]:
    return {
        "name": rule.name,
        "types": list(rule.types),
        "parameters": dict(rule.parameters),
        "conditions": {keyword: wanted for keyword, wanted, _ in rule.conditions},
        "delivered_to": list(rule.delivered_to),
        "to": list(rule.to),
        "priority": rule.priority,
        "when": rule.when,
        "quiet_s": rule.quiet_s,
        "complete_by": list(rule.complete_by),
        "hours": str(rule.hours),
        "inform": rule.inform,
        "version": rule.digest,
    }


@click.command()
@click.argument("what", metavar="FILE|UID")
@click.option("--from", "calling_ae_title", metavar="AE", help="As if this AE had sent it.")
@json_option
@pass_invocation
@click.pass_context
def test(ctx: click.Context, invocation: Invocation, what: str, calling_ae_title: str | None, as_json: bool) -> None:
    """Tell by which rules FILE, or the stored instance UID, is processed; and why not by the others.

    It is decided as at reception, by the AE that sent it, which is known of what is stored, and named by --from else.
    The exit code is 1 if it is not processed.
    """
    header, sender = subject_of(invocation, what)
    sender = sender if calling_ae_title is None else calling_ae_title.strip()
    decisions = decided(invocation.config, header, sender)
    if as_json:
        echo_json(described_decisions(decisions))
    else:
        for line in decisions_in_words(decisions):
            click.echo(line)
        if not decisions:
            click.echo(NO_RULES)
    if not any(is_processed(each) for each, _ in decisions):
        ctx.exit(FAILURE)


Decided = list[tuple["Decision", list["Check"]]]
"""What is decided of each rule, and what its conditions say."""


def decided(config: Config, header: Dataset, calling_ae_title: str) -> Decided:
    """Return what is decided about an instance and each rule by which images are processed, as at reception."""
    from medserver.routing.rules import checks, processing_decisions, wanted_by

    destinations = {name for name, _ in wanted_by(config, header, calling_ae_title)}
    found = processing_decisions(config, header, calling_ae_title, destinations)
    return [(each, list(checks(each.rule, header, calling_ae_title))) for each in found]


def is_processed(decision: Decision) -> bool:
    """Tell whether a rule has an instance processed."""
    from medserver.routing.rules import Verdict

    return decision.verdict is Verdict.PROCESSES


def decisions_in_words(decisions: Decided) -> Iterator[str]:
    """Yield a line for each rule."""
    for decision, checked in decisions:
        if isinstance(decision.rule, Processing):
            yield f"{printable(decision.rule.name, CELL_LENGTH_MAX)}: {_in_words(decision, decision.rule, checked)}"


def _in_words(decision: Decision, rule: Processing, checked: list[Check]) -> str:
    from medserver.routing.rules import CONTRIBUTING_EQUIPMENT, Verdict

    match decision.verdict:
        case Verdict.PROCESSES:
            results = f", the results are sent to {', '.join(rule.to)}" if rule.to else ", the results are stored only"
            return f"processed by {', then '.join(rule.types)}, {moment_in_words(rule)}{results}"
        case Verdict.OWN_RESULT:
            return "not processed, it is a result of this node, and the rule does not ask for those by calling_ae_title"
        case Verdict.NOT_DELIVERED:
            return f"not processed, it is not sent to {' or '.join(rule.delivered_to)}"
    if any(one.keyword == CONTRIBUTING_EQUIPMENT and not one.is_fulfilled for one in checked):
        return f"not processed, it was made by {' or '.join(rule.types)} before"
    missed = [f"{one.keyword} is not {printable(one.wanted)}" for one in checked if not one.is_fulfilled]
    return f"no, {', '.join(missed)}".replace(CALLING_AE_TITLE, "the calling AE title")


def described_decisions(decisions: Decided) -> list[dict[str, object]]:
    """Return what is decided, for JSON."""
    return [
        _described_decision(decision, decision.rule, checked)
        for decision, checked in decisions
        if isinstance(decision.rule, Processing)
    ]


def _described_decision(decision: Decision, rule: Processing, checked: list[Check]) -> dict[str, object]:
    from medserver.routing.plan import first_job

    now = datetime.now(UTC)
    kind, due_at = first_job(rule, now)
    return {
        "name": rule.name,
        "types": list(rule.types),
        "to": list(rule.to),
        "wants": is_processed(decision),
        "verdict": decision.verdict.value,
        "conditions": {one.keyword: one.is_fulfilled for one in checked},
        "version": rule.digest,
        "begins_with": kind,
        "due_at": max(now, due_at).isoformat(),
    }
