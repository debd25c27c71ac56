"""``medserver outbox retry|drop|send|pause|resume``: what an administrator does about deliveries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.outbox_rows import NUMBER, filter_options, required_row
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.config.values import closest
from medserver.delivery.outbox import PAUSABLE_KINDS, THIS_NODE, OutboxFilter, Row, groups_by_rule, is_lost, rows
from medserver.delivery.waiting import WaitsFor
from medserver.errors import BadUsage
from medserver.index import Job
from medserver.index.jobs.pages import in_pages
from medserver.index.jobs.records import JobGroup
from medserver.log import escaped
from medserver.node import Node, open_node
from medserver.routing.deliveries import OF_THIS_NODE, ROUTED_KINDS, SENDING_KINDS, Delivery, noted, sends

Change = Callable[[list[int]], list[Job]]


@click.command()
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=NUMBER)
@filter_options
@json_option
@pass_invocation
def retry(invocation: Invocation, numbers: tuple[int, ...], as_json: bool, **options: str | None) -> None:
    """Have deliveries tried at once: those with an ID, or all that the options name.

    They keep their age. What a pause holds up is tried when that ends: 'resume' ends it.
    """
    with closing(open_node(invocation.config_file)) as node:
        _change(node, numbers, _filter_of(**options), node.index.jobs.retry, as_json, "retried", "will be tried")


@click.command()
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=NUMBER)
@filter_options
@json_option
@pass_invocation
def drop(invocation: Invocation, numbers: tuple[int, ...], as_json: bool, **options: str | None) -> None:
    """Give deliveries up: those with an ID, or all that the options name. What is stored here stays.

    One that is being sent is left alone.
    """
    with closing(open_node(invocation.config_file)) as node:
        _change(node, numbers, _filter_of(**options), node.index.jobs.drop, as_json, "dropped", "dropped")


def _filter_of(destination: str | None, rule: str | None, waits_for: str | None) -> OutboxFilter:
    return OutboxFilter(destination, rule, WaitsFor(waits_for) if waits_for else None)


def _change(
    node: Node, numbers: Sequence[int], chosen: OutboxFilter, change: Change, as_json: bool, key: str, done: str
) -> None:
    """Change deliveries, page by page, and tell how many they were.

    Raises
    ------
    BadUsage
        Nobody knows which are meant, or one of them is not there.
    """
    if numbers and chosen:
        raise BadUsage("name deliveries by ID, or by options, not both")
    if not numbers and not chosen:
        raise BadUsage("which deliveries? name IDs, or --destination, --rule or --waits-for")
    found = [required_row(node, number) for number in dict.fromkeys(numbers)] if numbers else rows(node, chosen)
    changed, running = _change_pages(found, change)
    if as_json:
        echo_json({key: changed})
    else:
        remark = f"; {running} left alone: being sent, or done" if running else ""
        click.echo(f"{count_in_words(len(changed), 'delivery')} {done}{remark}")


def _change_pages(found: Iterable[Row], change: Change) -> tuple[list[int], int]:
    """Change what does not run; return the numbers of what was changed, and how many were running."""
    changed, count = list[int](), 0
    for page in in_pages(row.job.id for row in found):
        count += len(page)
        changed += [job.id for job in change(page)]
    return changed, count - len(changed)


@click.command()
@click.argument("rule")
@click.option("--by", "other", metavar="RULE", help="As this rule says now, with its changes and at its hours.")
@click.option("--unchanged", is_flag=True, help="As it is stored, without the changes of any rule.")
@click.option("--as-decided", is_flag=True, help="As RULE said when it was decided, at any hour.")
@click.option("--destination", metavar="AE", help="What waits for this entry of config.ini only.")
@json_option
@pass_invocation
def send(
    invocation: Invocation,
    rule: str,
    other: str | None,
    unchanged: bool,
    as_decided: bool,
    destination: str | None,
    as_json: bool,
) -> None:
    """Send what has lost the rule RULE, or with --by what waits by it, in another way.

    With --by RULE that is what waits by a former version of the rule: it is sent as the rule says now.
    """
    if [other is not None, unchanged, as_decided].count(True) != 1:
        raise BadUsage("say one of --by RULE, --unchanged and --as-decided")
    with closing(open_node(invocation.config_file)) as node:
        of_rule = list(groups_by_rule(node, rule, destination))
        if other is not None:
            changes, is_meant = _by(node, rule, other, of_rule)
        else:
            changes, is_meant = _without(node, rule, of_rule, as_decided=as_decided)
        found = (row for row in rows(node, OutboxFilter(destination, rule)) if is_meant(row))
        changed, _ = _change_pages(found, lambda ids: node.index.jobs.amend(ids, changes, ROUTED_KINDS))
    if as_json:
        echo_json({"changed": changed})
    else:
        click.echo(f"{count_in_words(len(changed), 'delivery')} will be done")


IsMeant = Callable[[Row], bool]


def _by(
    node: Node, rule: str, name: str, groups: Sequence[tuple[JobGroup, Delivery]]
) -> tuple[dict[str, Any], IsMeant]:
    """Return what is changed in deliveries that are to be done as a rule says now, and which.

    Raises
    ------
    BadUsage
        Nothing waits by the rule that is to be replaced, or the other does not send that to all their destinations.
    """
    if not groups:
        raise BadUsage(f"nothing waits by the rule '{escaped(rule)}'")
    named = [rule for rule in node.config.current.rules if rule.name == name]
    other = next((rule for rule in named if all(sends(rule, each, group.destination) for group, each in groups)), None)
    if other is None:
        raise BadUsage(f"no rule '{escaped(name)}' {_doing(groups)}")
    version = noted(node.index.rule_versions, other)

    def is_meant(row: Row) -> bool:
        delivery = row.delivery
        is_so = row.job.state == "waiting" and (delivery.route, delivery.rule) == (name, version)
        return row.job.kind in ROUTED_KINDS and not is_so and sends(other, delivery, row.job.destination)

    return {"route": name, "rule": version}, is_meant


def _without(
    node: Node, rule: str, groups: Sequence[tuple[JobGroup, Delivery]], *, as_decided: bool
) -> tuple[dict[str, Any], IsMeant]:
    """Return what is changed in deliveries that are to be done without a rule, and which: those that have lost theirs.

    Raises
    ------
    BadUsage
        Nothing has lost the rule, or what it said is not known.
    """
    config = node.config.current
    lost = [each for each in groups if each[0].state == "undecided" or is_lost(config, *each)]
    if not lost:
        hint = ": --by tells how to send what waits" if groups else ""
        raise BadUsage(f"nothing waits for a decision about the rule '{escaped(rule)}'{hint}")
    if not as_decided and any(each.action in OF_THIS_NODE for _, each in lost):
        raise BadUsage(f"what is done with it is said by a rule: for '{escaped(rule)}' say --by RULE or --as-decided")
    if as_decided and not all(node.index.rule_versions.get(each.rule) for _, each in lost):
        raise BadUsage(f"what the rule '{escaped(rule)}' said is not known: say --by RULE or --unchanged")

    def is_meant(row: Row) -> bool:
        return row.job.state == "undecided" or is_lost(config, row.job, row.delivery)

    return {"route": None} if as_decided else {"route": None, "rule": ""}, is_meant


def _doing(groups: Sequence[tuple[JobGroup, Delivery]]) -> str:
    """Return what a rule would have to do."""
    places = list(dict.fromkeys(group.destination for group, _ in groups))
    sent = ", ".join(escaped(place) for place in places if place != THIS_NODE)
    parts = [f"sends this to {sent}" if sent else "", "has this processed" if THIS_NODE in places else ""]
    return " and ".join(filter(None, parts))


@click.command()
@click.argument("destination")
@pass_invocation
def pause(invocation: Invocation, destination: str) -> None:
    """Open no more associations to DESTINATION for what waits, on any machine. What is being sent ends as it would.

    That is all that is done later: instances, notifications, steps, commitments, reports, polls; a C-MOVE goes on. It
    grows older meanwhile, and 'outbox --alarm' counts it.
    """
    with closing(open_node(invocation.config_file)) as node:
        _check_destination(node, destination)
        node.index.jobs.pause_destination(SENDING_KINDS, destination)
    click.echo(f"{printable(destination, CELL_LENGTH_MAX)} is paused")


@click.command()
@click.argument("destination")
@pass_invocation
def resume(invocation: Invocation, destination: str) -> None:
    """End the pause of DESTINATION. Also if it could not be reached or had no resources: it is tried at once."""
    with closing(open_node(invocation.config_file)) as node:
        _check_destination(node, destination)
        node.index.jobs.resume_destination(PAUSABLE_KINDS, destination)
        kinds = sorted({
            state.lane.kind
            for state in node.index.jobs.lanes()
            if state.is_kind_paused and state.lane.kind in PAUSABLE_KINDS and state.lane.destination == destination
        })
    still = f", but paused for all destinations: {', '.join(kinds)} (medserver jobs resume KIND)" if kinds else ""
    click.echo(f"{printable(destination, CELL_LENGTH_MAX)} is resumed{still}")


def _check_destination(node: Node, name: str) -> None:
    """Refuse a destination that nobody has heard of: most likely a slip of the pen."""
    known = {*_destinations(node)}
    if name not in known:
        hint = closest(name, sorted(known)) if known else ""
        raise BadUsage(f"no destination '{printable(name, CELL_LENGTH_MAX)}'{hint}")


def _destinations(node: Node) -> Iterator[str]:
    yield from (remote.name for remote in node.config.current.remotes if remote.is_destination)
    yield from (state.lane.destination for state in node.index.jobs.lanes() if state.lane.kind in PAUSABLE_KINDS)
