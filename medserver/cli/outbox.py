"""``medserver outbox``: what waits to be sent to other AEs, since when, why, and when it is tried again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, duration_in_words, printable
from medserver.config import Config
from medserver.config.values import duration
from medserver.errors import BadUsage
from medserver.index import Job, JobCount, JobFilter, LaneState
from medserver.log import escaped
from medserver.node import Node, open_node
from medserver.routing.outbox import CONFIRM, OUTBOX_KINDS, ROUTED_KINDS, is_undecided, sending_kind

_AGE = duration(0, 100 * 366 * 86_400)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one destination.

    Parameters
    ----------
    destination : str
        The entry.
    count, unconfirmed, given_up : int
        How many instances wait or are being sent, are there but not yet committed to, and failed too often.
    undecided : Mapping of str to int
        How many of those that wait, or were given up, have lost their rule, by its name.
    oldest_at : datetime
        Since when the oldest of them waits.
    next_try_at : datetime or None
        When the next is tried; None if it is being done.
    reason : str
        Why the last attempt failed; empty if it did not.
    """

    destination: str
    count: int
    unconfirmed: int
    given_up: int
    undecided: Mapping[str, int]
    oldest_at: datetime
    next_try_at: datetime | None
    reason: str


@click.group(invoke_without_command=True)
@click.option(
    "--alarm",
    metavar="DURATION",
    help="Exit with 1 if anything waits for longer than this, such as '2 h', or was given up: for monitoring.",
)
@json_option
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, alarm: str | None, as_json: bool) -> None:
    """Show what waits to be sent: to whom, since when, why, and when it is tried next.

    UNCONFIRMED is what an AE that must commit to it has taken, and not yet committed to. 'medserver jobs list --kind
    deliver' shows each instance, 'medserver jobs retry --kind deliver' tries at once what has failed or was given up.

    What waits by a rule that is gone, or sends elsewhere now, waits until the rule is back, or 'send' or 'drop' says
    what becomes of it.
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        limit_s = _AGE.parse(alarm) if alarm is not None else None
    except ValueError as error:
        raise BadUsage(f"--alarm: {error}") from None
    with closing(open_node(invocation.config_file)) as node:
        found, now = outbox(node), node.clock()
    if as_json:
        echo_json([_described(one) for one in found])
    elif not found:
        click.echo("nothing waits to be sent")
    else:
        header = ("DESTINATION", "WAITING", "UNCONFIRMED", "GIVEN UP", "OLDEST", "NEXT TRY", "REASON")
        echo_table(header, [_row(one, now) for one in found])
        for one in found:
            for rule, count in one.undecided.items():
                click.echo(_question(one.destination, rule, count))
    if limit_s is not None and any(one.given_up or now - one.oldest_at > timedelta(seconds=limit_s) for one in found):
        ctx.exit(FAILURE)


def _question(destination: str, rule: str, count: int) -> str:
    name = printable(rule, CELL_LENGTH_MAX)
    return (
        f"{count} for {printable(destination, CELL_LENGTH_MAX)} wait for a decision: no rule '{name}' sends this to it "
        f"any more. Put it back into config.ini, or say: medserver outbox send '{name}' --by RULE, medserver outbox "
        f"send '{name}' --unchanged, or medserver outbox drop '{name}'"
    )


@command.command()
@click.argument("rule")
@click.option("--by", "other", metavar="RULE", help="As this rule would, with its changes and at its hours.")
@click.option("--unchanged", is_flag=True, help="As it is stored, without the changes of any rule.")
@click.option("--destination", help="What waits for this AE only.")
@pass_invocation
def send(invocation: Invocation, rule: str, other: str | None, unchanged: bool, destination: str | None) -> None:
    """Send what has lost the rule RULE."""
    if (other is None) is not unchanged:
        raise BadUsage("say either --by RULE or --unchanged")
    with closing(open_node(invocation.config_file)) as node:
        jobs = _undecided_jobs(node, rule, destination)
        for one in jobs:
            if _is_undecided(node.config.current, other, one):
                raise BadUsage(f"no rule '{escaped(str(other))}' sends this to {escaped(one.destination)}")
        changed = node.index.jobs.amend([one.id for one in jobs], {"route": other})
    click.echo(f"{count_in_words(len(changed), 'job')} will be done")


@command.command()
@click.argument("rule")
@click.option("--destination", help="What waits for this AE only.")
@pass_invocation
def drop(invocation: Invocation, rule: str, destination: str | None) -> None:
    """Do not send what has lost the rule RULE. What is stored here stays."""
    with closing(open_node(invocation.config_file)) as node:
        dropped = node.index.jobs.drop([one.id for one in _undecided_jobs(node, rule, destination)])
    click.echo(f"{count_in_words(len(dropped), 'job')} dropped")


def _undecided_jobs(node: Node, rule: str, destination: str | None) -> list[Job]:
    """Return what has lost a rule.

    Raises
    ------
    BadUsage
        There is nothing.
    """
    config = node.config.current
    found = [
        job
        for kind in ROUTED_KINDS
        for job in node.index.jobs.list(JobFilter(kind, destination))
        if job.payload["route"] == rule and _is_undecided(config, rule, job)
    ]
    if not found:
        raise BadUsage(f"nothing waits for a decision about the rule '{escaped(rule)}'")
    return found


def _is_undecided(config: Config, rule: str | None, job: Job) -> bool:
    return is_undecided(config, rule, job.destination, sending_kind(job.kind, job.payload.get("kind")))


def outbox(node: Node) -> list[Waiting]:
    """Return what waits, by destination."""
    counts: dict[str, list[JobCount]] = {}
    for one in node.index.jobs.counts():
        if one.kind in OUTBOX_KINDS:
            counts.setdefault(one.destination, []).append(one)
    undecided = _undecided(node)
    lanes = [state for kind in OUTBOX_KINDS for state in node.index.jobs.lanes(kind)]
    return [
        Waiting(
            destination,
            sum(one.count for one in of_it if one.kind != CONFIRM and one.state != "dead"),
            sum(one.count for one in of_it if one.kind == CONFIRM and one.state != "dead"),
            sum(one.count for one in of_it if one.state == "dead"),
            undecided.get(destination, {}),
            min(one.oldest_at for one in of_it),
            *_outlook(node, destination, [state for state in lanes if state.lane.destination == destination]),
        )
        for destination, of_it in counts.items()
    ]


def _undecided(node: Node) -> dict[str, dict[str, int]]:
    """Return how many jobs have lost their rule, by destination and rule."""
    found: dict[str, dict[str, int]] = {}
    for one in node.index.jobs.counts_by(("route", "kind"), ROUTED_KINDS):
        rule, held = one.values
        kind = sending_kind(one.kind, held)
        if rule is not None and is_undecided(node.config.current, rule, one.destination, kind):
            of_it = found.setdefault(one.destination, {})
            of_it[rule] = of_it.get(rule, 0) + one.count
    return found


def _outlook(node: Node, destination: str, lanes: Iterable[LaneState]) -> tuple[datetime | None, str]:
    """Return when the next is tried, None if it is being done, and why what was tried has failed."""
    due_at = min((state.due_at for state in lanes if state.due_at), default=None)
    reason = next((state.rest_reason for state in lanes if state.rest_reason), "")
    return due_at, reason or next(filter(None, (_last_error(node, kind, destination) for kind in OUTBOX_KINDS)), "")


def _last_error(node: Node, kind: str, destination: str) -> str:
    first = next(iter(node.index.jobs.list(JobFilter(kind, destination))), None)
    return (first.last_error or "") if first else ""


def _row(one: Waiting, now: datetime) -> tuple[str, ...]:
    wait_s = (one.next_try_at - now).total_seconds() if one.next_try_at else None
    return (
        printable(one.destination, CELL_LENGTH_MAX),
        str(one.count),
        str(one.unconfirmed),
        str(one.given_up),
        duration_in_words((now - one.oldest_at).total_seconds()),
        "-" if wait_s is None else "now" if wait_s <= 0 else f"in {duration_in_words(wait_s)}",
        printable(one.reason, CELL_LENGTH_MAX),
    )


def _described(one: Waiting) -> dict[str, object]:
    return {
        "destination": one.destination,
        "waiting": one.count,
        "unconfirmed": one.unconfirmed,
        "given_up": one.given_up,
        "undecided": dict(one.undecided),
        "oldest_at": one.oldest_at.isoformat(),
        "next_try_at": one.next_try_at.isoformat() if one.next_try_at else None,
        "reason": one.reason,
    }
