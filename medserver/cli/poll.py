"""``medserver poll``: collect images from AEs that do not send them by themselves."""

from __future__ import annotations

from contextlib import closing

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, duration_in_words, printable
from medserver.config import Poll
from medserver.config.values import closest
from medserver.errors import BadUsage
from medserver.node import open_node
from medserver.polling.runs import LastRun, last_run


@click.group()
def command() -> None:
    """Fetch what other AEs have (polling): show the [poll NAME] entries, perform one now."""


@command.command("list")
@json_option
@pass_invocation
def list_polls(invocation: Invocation, as_json: bool) -> None:
    """List the entries of the configuration."""
    polls = invocation.config.polls
    if as_json:
        echo_json([_described(one) for one in polls])
        return
    if not polls:
        click.echo("no AE is polled: there is no [poll NAME]")
        return
    rows = [
        (
            one.name,
            one.source,
            duration_in_words(one.every_s),
            str(one.hours),
            str(one.days_back),
            " and ".join(f"{keyword} = {printable(value)}" for keyword, value in one.keys) or "everything",
            one.retrieve,
        )
        for one in polls
    ]
    echo_table(("POLL", "SOURCE", "EVERY", "HOURS", "DAYS", "WHAT", "BY"), rows)


@command.command()
@click.argument("name")
@json_option
@pass_invocation
@click.pass_context
def run(ctx: click.Context, invocation: Invocation, name: str, as_json: bool) -> None:
    """Perform the entry NAME now, in this process. The exit code is 1 if anything is still missing."""
    from medserver.polling.schedule import perform  # with pynetdicom

    poll = _poll(invocation, name)
    with closing(open_node(invocation.config_file)) as node:
        done = perform(node, poll)
    if as_json:
        echo_json(done.described())
    else:
        fetched, studies = count_in_words(done.fetched, "instance"), count_in_words(done.studies, "study")
        click.echo(f"fetched {fetched} of {done.missing} that were missing; {studies} there")
        if done.deleted:
            click.echo(f"not fetched, as deleted here: {count_in_words(done.deleted, 'instance')}")
        for study, reason in done.skipped.items():
            click.echo(f"skipped study {study}: {printable(reason)}", err=True)
        if done.problem:
            click.echo(f"medserver: {printable(done.problem)}", err=True)
    if done.problem:
        ctx.exit(FAILURE)


@command.command()
@json_option
@pass_invocation
def status(invocation: Invocation, as_json: bool) -> None:
    """Show what came of the last time of each entry."""
    with closing(open_node(invocation.config_file)) as node:
        found = [(poll, last_run(node, poll.name)) for poll in invocation.config.polls]
        now = node.clock()
    if as_json:
        echo_json([_status(poll, last) for poll, last in found])
        return
    if not found:
        click.echo("no AE is polled: there is no [poll NAME]")
        return
    rows = []
    for poll, last in found:
        if last is None:
            rows.append((poll.name, poll.source, "never", "", "", "", "", ""))
            continue
        age = duration_in_words((now - last.at).total_seconds())
        run = last.run
        counts = (str(run.studies), f"{run.fetched} of {run.missing}", str(run.skipped_count), str(run.deleted))
        rows.append((poll.name, poll.source, age, *counts, printable(run.problem, CELL_LENGTH_MAX)))
    echo_table(("POLL", "SOURCE", "LAST", "STUDIES", "FETCHED", "SKIPPED", "DELETED", "PROBLEM"), rows)


def _poll(invocation: Invocation, name: str) -> Poll:
    poll = invocation.config.poll(name)
    if poll is None:
        names = [one.name for one in invocation.config.polls]
        raise BadUsage(f"there is no [poll {printable(name)}]{closest(name, names) if names else ''}")
    return poll


def _described(poll: Poll) -> dict[str, object]:
    return {
        "name": poll.name,
        "source": poll.source,
        "every_s": poll.every_s,
        "hours": str(poll.hours),
        "days_back": poll.days_back,
        "keys": dict(poll.keys),
        "retrieve": poll.retrieve,
        "instances_max": poll.instances_max,
    }


def _status(poll: Poll, last: LastRun | None) -> dict[str, object]:
    if last is None:
        return {"name": poll.name, "last_at": None}
    return {"name": poll.name, "last_at": last.at.isoformat(), "failures": last.failures, **last.run.described()}
