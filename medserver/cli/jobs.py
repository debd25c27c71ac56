"""``medserver jobs``: what is done later; how much of it waits, what has failed, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from typing import Any

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, duration_in_words, printable
from medserver.config.values import closest
from medserver.errors import BadUsage
from medserver.index import Job, JobFilter, Lane
from medserver.index.jobs.pages import in_pages
from medserver.index.jobs.records import STATES
from medserver.node import Node, open_node


def filter_options(command: Callable) -> Callable:
    """Add the options that say which jobs are meant."""
    for option in (
        click.option("--state", type=click.Choice(STATES), help="Jobs in this state only."),
        click.option("--destination", help="Jobs for this destination only; '' is this node."),
        click.option("--kind", help="Jobs of this kind only."),
    ):
        command = option(command)
    return command


@contextmanager
def _opened(invocation: Invocation) -> Iterator[Node]:
    with closing(open_node(invocation.config_file)) as node:
        yield node


@click.group(invoke_without_command=True)
@json_option
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, as_json: bool) -> None:
    """Show the job queue; retry or drop what has failed.

    Without a command it shows how many there are, of which kind, for whom and in which state, and how old the oldest
    is. A dead job has failed for good or too often, and waits for 'retry' or 'drop'; an undecided one has lost the rule
    by which it would be done, and waits for that or for 'medserver outbox send'.
    """
    if ctx.invoked_subcommand is None:
        _summary(invocation, as_json)


def _summary(invocation: Invocation, as_json: bool) -> None:
    with _opened(invocation) as node:
        counts, now = node.index.jobs.counts(), node.clock()
        paused = {state.lane for state in node.index.jobs.lanes() if state.paused}
    if as_json:
        echo_json([
            _as_json({**asdict(one), "paused": Lane(one.kind, one.destination) in paused}) for one in counts
        ])
        return
    rows = [
        (
            printable(one.kind, CELL_LENGTH_MAX),
            printable(one.destination, CELL_LENGTH_MAX) or "-",
            one.state,
            str(one.count),
            duration_in_words((now - one.oldest_at).total_seconds()),
            "paused" if Lane(one.kind, one.destination) in paused else "",
        )
        for one in counts
    ]
    if rows:
        echo_table(("KIND", "DESTINATION", "STATE", "JOBS", "OLDEST", ""), rows)
    else:
        click.echo("no jobs")
    for kind, destination in sorted(paused - {Lane(one.kind, one.destination) for one in counts}):
        click.echo(f"{_lane(kind, destination or None)} is paused")


@command.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_invocation
def list_jobs(
    invocation: Invocation,
    kind: str | None,
    destination: str | None,
    state: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, the oldest first."""
    with _opened(invocation) as node:
        jobs = list(islice(node.index.jobs.list(JobFilter(kind, destination, state)), limit + 1))
        now = node.clock()
    shown = jobs[:limit]
    if as_json:
        echo_json([_as_json(asdict(job)) for job in shown])
        return
    if not jobs:
        click.echo("no jobs")
        return
    header = ("ID", "KIND", "DESTINATION", "STATE", "AGE", "ATTEMPTS", "ERROR")
    echo_table(header, [_row(job, now) for job in shown])
    if len(jobs) > limit:
        click.echo(f"... and more than these {limit} (--limit)", err=True)


def _row(job: Job, now: datetime) -> tuple[str, ...]:
    return (
        str(job.id),
        printable(job.kind, CELL_LENGTH_MAX),
        printable(job.destination, CELL_LENGTH_MAX) or "-",
        job.state,
        duration_in_words((now - job.created_at).total_seconds()),
        str(job.attempts),
        printable(job.last_error or "", CELL_LENGTH_MAX),
    )


@command.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
@json_option
@pass_invocation
def show(invocation: Invocation, number: int, as_json: bool) -> None:
    """Show everything about the job ID."""
    with _opened(invocation) as node:
        job = node.index.jobs.get(number)
    if job is None:
        raise BadUsage(f"there is no job {number}: it is done, or was dropped")
    described = _as_json(asdict(job))
    if as_json:
        echo_json(described)
        return
    for name, value in described.items():
        click.echo(f"{name:<13}{printable('-' if value in (None, '') else str(value))}")


@command.command()
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=click.IntRange(1))
@filter_options
@json_option
@pass_invocation
def retry(
    invocation: Invocation,
    numbers: tuple[int, ...],
    kind: str | None,
    destination: str | None,
    state: str | None,
    as_json: bool,
) -> None:
    """Have jobs tried again now: those with an ID, or all dead ones that the options name.

    With --state waiting those that wait for their next attempt are tried at once, with --state undecided those that
    have lost their rule.
    """
    chosen = JobFilter(kind, destination, state or "dead")
    _change(invocation, numbers, chosen, as_json, "retried", lambda node: node.index.jobs.retry)


@command.command()
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=click.IntRange(1))
@filter_options
@json_option
@pass_invocation
def drop(
    invocation: Invocation,
    numbers: tuple[int, ...],
    kind: str | None,
    destination: str | None,
    state: str | None,
    as_json: bool,
) -> None:
    """Delete jobs: those with an ID, or all dead ones that the options name; with --state waiting those that wait.

    What they were to do is not done. A job that runs is left alone.
    """
    chosen = JobFilter(kind, destination, state or "dead")
    _change(invocation, numbers, chosen, as_json, "dropped", lambda node: node.index.jobs.drop)


def _change(
    invocation: Invocation,
    numbers: tuple[int, ...],
    chosen: JobFilter,
    as_json: bool,
    done: str,
    change: Callable[[Node], Callable[[list[int]], list[Job]]],
) -> None:
    """Retry or drop jobs, page by page, and tell how many they were."""
    if numbers and (chosen.kind is not None or chosen.destination is not None):
        raise BadUsage("name jobs by ID, or by options, not both")
    if chosen.state == "running":
        raise BadUsage("a job that runs can be neither retried nor dropped")
    if not numbers and chosen.kind is None:
        raise BadUsage("which jobs? name IDs, or --kind")
    changed: list[int] = []
    with _opened(invocation) as node:
        if numbers:
            present = {number for number in numbers if node.index.jobs.get(number) is not None}
            if missing := [str(number) for number in numbers if number not in present]:
                raise BadUsage(f"there is no job {', '.join(missing)}: it is done, or was dropped")
        for page in in_pages(numbers or (job.id for job in node.index.jobs.list(chosen))):
            changed += [job.id for job in change(node)(page)]
    if numbers and len(changed) < len(set(numbers)):
        raise BadUsage(f"{count_in_words(len(changed), 'job')} {done}, the others run")
    if as_json:
        echo_json({done: changed})
    else:
        click.echo(f"{count_in_words(len(changed), 'job')} {done}")


@command.command()
@click.argument("kind")
@click.argument("destination", required=False)
@pass_invocation
def pause(invocation: Invocation, kind: str, destination: str | None) -> None:
    """Begin no more jobs of KIND, or of those for DESTINATION only, on any machine. What runs ends as it would."""
    with _opened(invocation) as node:
        _check_kind(node, kind)
        node.index.jobs.pause(kind, destination)
    click.echo(f"{_lane(kind, destination)} is paused")


@command.command()
@click.argument("kind")
@click.argument("destination", required=False)
@pass_invocation
def resume(invocation: Invocation, kind: str, destination: str | None) -> None:
    """End the pause of KIND and all its destinations, or of DESTINATION only."""
    with _opened(invocation) as node:
        _check_kind(node, kind)
        node.index.jobs.resume(kind, destination)
        still = [state.lane for state in node.index.jobs.lanes(kind) if state.paused]
    remark = ", but the kind is paused" if destination is not None and Lane(kind, destination) in still else ""
    click.echo(f"{_lane(kind, destination)} is resumed{remark}")


def _check_kind(node: Node, name: str) -> None:
    """Refuse a kind that nobody has heard of: most likely a slip of the pen."""
    waiting = {state.lane.kind for state in node.index.jobs.lanes()}
    if name in waiting:
        return
    from medserver.work.kinds import JOB_KINDS  # with all that performs jobs

    known = waiting | {kind.name for kind in JOB_KINDS}
    if name not in known:
        hint = closest(name, sorted(known)) if known else ""
        raise BadUsage(f"no kind of job '{printable(name, CELL_LENGTH_MAX)}'{hint}")


def _lane(kind: str, destination: str | None) -> str:
    return kind if destination is None else f"{kind} for {printable(destination, CELL_LENGTH_MAX)}"


def _as_json(described: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in described.items()
    }
