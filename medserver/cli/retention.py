"""``medserver retention``: what is deleted by the rules of config.ini, because disks fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import count_in_words, duration_in_words, printable, size_in_words
from medserver.config import Retention
from medserver.config.retention import KEEP
from medserver.config.values import closest
from medserver.errors import BadUsage
from medserver.node import Node, open_node
from medserver.retention.age import moment
from medserver.retention.space import Space
from medserver.retention.walk import Found, run, show

Finding = tuple[Retention, Found, Space | None]

_CLOCK_AHEAD_S = 86_400.0


@click.group()
def command() -> None:
    """Show what would be deleted by the rules that keep disks from filling; do it once."""


@command.command("show")
@click.argument("name", required=False)
@json_option
@pass_invocation
def show_rules(invocation: Invocation, name: str | None, as_json: bool) -> None:
    """Show what each rule, or the rule NAME, would delete now, and why the rest is kept. Nothing is deleted."""
    _perform(invocation, _rules(invocation, name), show, as_json, done="would be deleted")


@command.command("run")
@click.argument("name", required=False)
@click.option("--really", is_flag=True, help="Delete; without it nothing is, and what would be is shown.")
@json_option
@pass_invocation
def run_rules(invocation: Invocation, name: str | None, really: bool, as_json: bool) -> None:
    """Perform the rule NAME once, or every rule that is no dry run.

    Workers delete what is ordered by that. A rule that is a dry run deletes if it is named.
    """
    rules = _rules(invocation, name)
    if really and name is None:
        for rule in (rule for rule in rules if rule.dry_run):
            click.echo(f"{rule.name}: not done, it is a dry run: name it, or say dry_run = no", err=True)
        rules = [rule for rule in rules if not rule.dry_run]
    perform, done = (run, "will be deleted") if really else (show, "would be deleted (say --really)")
    _perform(invocation, rules, perform, as_json, done=done)


def _rules(invocation: Invocation, name: str | None) -> list[Retention]:
    rules = invocation.config.retentions
    if name is None:
        return list(rules)
    rule = invocation.config.retention(name)
    if rule is None:
        names = [one.name for one in rules]
        raise BadUsage(f"there is no [retention {printable(name)}]{closest(name, names) if names else ''}")
    return [rule]


def _perform(
    invocation: Invocation,
    rules: Iterable[Retention],
    perform: Callable[[Node, Retention], tuple[Found, Space | None]],
    as_json: bool,
    *,
    done: str,
) -> None:
    """Perform rules, and tell what came of it."""
    with closing(open_node(invocation.config_file)) as node:
        found: list[Finding] = [(rule, *perform(node, rule)) for rule in rules]
        now, reached = node.clock(), moment(node)
    ahead_s = (now - reached).total_seconds()
    if as_json:
        echo_json([_described(*each) for each in found])
        return
    if ahead_s > _CLOCK_AHEAD_S:
        click.echo(f"the clock was set or the node off: ages count from {duration_in_words(ahead_s)} ago", err=True)
    if not invocation.config.retentions:
        click.echo("nothing is deleted by rules: there is no [retention NAME]")
    elif found:
        header = ("RETENTION", "DRY RUN", "STUDIES", "INSTANCES", "SIZE", "OLDEST", "REMOVES")
        echo_table(header, [_row(*each, now) for each in found])
    for rule, each, space in found:
        for line in _lines(rule, each, space, done):
            click.echo(line)


def _row(rule: Retention, found: Found, space: Space | None, now: datetime) -> tuple[str, ...]:
    return (
        rule.name,
        "yes" if rule.dry_run else "no",
        str(found.studies),
        str(found.instances),
        size_in_words(found.size_bytes),
        duration_in_words((now - found.oldest_at).total_seconds()) if found.oldest_at else "-",
        "the copies on the primary volume" if rule.last_copy == KEEP else "everything",
    )


def _lines(rule: Retention, found: Found, space: Space | None, done: str) -> Iterable[str]:
    """Yield what there is to say of a rule."""
    if space is not None and rule.watermark is not None:
        taken, above = f"{space.percentage:.0f} % of {space.volume} is taken", f"{rule.watermark.above} %"
        if not space.is_settled:
            yield f"{rule.name}: {taken}, and what was ordered to go is not gone yet"
            return
        if not found.studies and found.left_bytes == 0:
            yield f"{rule.name}: {taken}, it begins above {above}"
            return
        yield f"{rule.name}: {taken}, it is freed until that is {rule.watermark.until} %"
        if found.left_bytes is not None and found.left_bytes > 0:
            yield f"{rule.name}: that is {size_in_words(found.left_bytes)} more than may be deleted"
    yield f"{rule.name}: {count_in_words(found.studies, 'study')} {done}"
    for why, count in found.kept.most_common():
        yield f"{rule.name}: {count_in_words(count, 'study')} kept, {printable(why)}"


def _described(rule: Retention, found: Found, space: Space | None) -> dict[str, object]:
    return {
        "name": rule.name,
        "dry_run": rule.dry_run,
        "last_copy": rule.last_copy,
        "studies": found.studies,
        "instances": found.instances,
        "size_bytes": found.size_bytes,
        "oldest_at": found.oldest_at.isoformat() if found.oldest_at else None,
        "kept": dict(found.kept),
        "taken_percentage": round(space.percentage, 1) if space else None,
        "left_bytes": found.left_bytes,
    }
