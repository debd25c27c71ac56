"""``medserver outbox``: what waits to be sent to other AEs, since when, for what, and when it is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from shlex import quote

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.outbox_changes import drop, pause, resume, retry, send
from medserver.cli.outbox_rows import destination_in_words, list_rows, next_try_in_words, show
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, duration_in_words, printable
from medserver.config.values import duration
from medserver.delivery.answers import is_out_of_resources
from medserver.delivery.outbox import THIS_NODE, Part, Pause, Waiting, pauses, summary
from medserver.errors import BadUsage
from medserver.node import open_node
from medserver.routing.deliveries import SENDING_KINDS

_AGE = duration(0, 100 * 366 * 86_400)


@click.group(invoke_without_command=True)
@click.option(
    "--alarm",
    metavar="DURATION",
    help="Exit with 1 if anything was wanted longer ago than this, such as '2 h', or waits for a decision.",
)
@json_option
@pass_invocation
@click.pass_context
def command(ctx: click.Context, invocation: Invocation, alarm: str | None, as_json: bool) -> None:
    """Show what waits to be sent: to whom, for what, since when, and when it is tried next.

    What waits to be processed by a rule stands there too: its destination is this node.

    \b
    WAITS FOR is
      nothing       it is being sent
      turn          others are before it, or no worker is free
      next-try      it has failed, and is tried again
      connection    the destination cannot be reached
      resources     the destination has no resources: it is full
      hours         those of its rule
      completeness  its study or series may not be complete
      commitment    the destination has taken it, and not yet committed to it
      pause         an administrator has paused it
      decision      it was refused for good, was given up, or has lost its rule

    OLDEST counts from when it was wanted first. 'list' shows each, 'show' all of one; 'retry', 'drop', 'send', 'pause'
    and 'resume' change it.
    """
    if ctx.invoked_subcommand is not None:
        if alarm is not None or as_json:
            raise BadUsage("--alarm is for the summary alone, and --json stands behind the command")
        return
    try:
        limit_s = _AGE.parse(alarm) if alarm is not None else None
    except ValueError as error:
        raise BadUsage(f"--alarm: {error}") from None
    with closing(open_node(invocation.config_file)) as node:
        found, paused, now = summary(node), pauses(node), node.clock()
    if as_json:
        echo_json([_described(one, paused) for one in found])
    else:
        _echo(found, paused, now)
    if limit_s is not None and any(_is_late(one, now, timedelta(seconds=limit_s)) for one in found):
        ctx.exit(FAILURE)


for _one in (list_rows, show, retry, drop, send, pause, resume):
    command.add_command(_one)


def _is_late(one: Waiting, now: datetime, limit: timedelta) -> bool:
    return one.needs_decision or now - one.oldest_at > limit


def _echo(found: list[Waiting], paused: list[Pause], now: datetime) -> None:
    """Write a row for each destination and what waits there, then what an administrator should know."""
    if found:
        header = ("DESTINATION", "WAITS FOR", "COUNT", "OLDEST", "NEXT TRY", "LAST ANSWER")
        echo_table(header, [_row(one, part, now) for one in found for part in one.parts], shrinks=True)
    else:
        click.echo("nothing waits to be sent")
    for each in paused:
        click.echo(_pause_in_words(each, now))
    for one in found:
        for question in _questions(one):
            click.echo(question)


def _row(one: Waiting, part: Part, now: datetime) -> tuple[str, ...]:
    return (
        destination_in_words(one.destination),
        part.what.value,
        str(part.count),
        duration_in_words((now - part.oldest_at).total_seconds()),
        next_try_in_words(part.next_try_at, now),
        printable(part.last_answer, CELL_LENGTH_MAX) or "-",
    )


def _pause_in_words(pause: Pause, now: datetime) -> str:
    if pause.destination is None:
        [kind] = pause.kinds
        return f"{kind} is paused for all destinations by an administrator: medserver jobs resume {kind}"
    destination = printable(pause.destination, CELL_LENGTH_MAX)
    if pause.until is None:
        what = "" if {*SENDING_KINDS} <= {*pause.kinds} else f"{', '.join(pause.kinds)} for "
        resuming = f"medserver outbox resume {printable(quote(pause.destination))}"
        return f"{what}{destination} is paused by an administrator: {resuming}"
    problem = "has no resources" if is_out_of_resources(pause.reason) else "cannot be reached"
    wait = duration_in_words((pause.until - now).total_seconds())
    return f"{destination} {problem}, and is left alone for {wait}: {printable(pause.reason)}"


def _questions(one: Waiting) -> Iterator[str]:
    """Yield what an administrator is asked, with the commands that answer."""
    if not one.has_entry:
        name = printable(one.destination, CELL_LENGTH_MAX)
        yield f"nothing can be sent to {name}: there is no entry [ae {name}] with an address and a port"
    is_here = one.destination == THIS_NODE
    for rule, count in one.undecided.items():
        name, argument = printable(rule, CELL_LENGTH_MAX), printable(quote(rule))
        does = "has this processed" if is_here else "sends this to it"
        yield (
            f"{_wait_for_a_decision(count, one)}: no rule '{name}' {does} any more. Put it back into "
            f"config.ini, or say one of"
        )
        yield f"  medserver outbox send --by RULE {argument}"
        yield f"  medserver outbox send --as-decided {argument}"
        if not is_here:
            yield f"  medserver outbox send --unchanged {argument}"
        yield f"  medserver outbox drop --rule {argument} --waits-for decision"
    if one.given_up:
        yield f"{_wait_for_a_decision(one.given_up, one)}: refused for good, or given up. 'retry' or 'drop' these:"
        yield f"  medserver outbox list --destination {printable(quote(one.destination))} --waits-for decision"


def _wait_for_a_decision(count: int, one: Waiting) -> str:
    waits = f"{'waits' if count == 1 else 'wait'} for a decision"
    if one.destination == THIS_NODE:
        return f"{count_in_words(count, 'instance')} that {'was' if count == 1 else 'were'} to be processed {waits}"
    return f"{count_in_words(count, 'delivery')} to {destination_in_words(one.destination)} {waits}"


def _described(one: Waiting, paused: list[Pause]) -> dict[str, object]:
    return {
        "destination": one.destination,
        "waiting": one.count,
        "unconfirmed": one.unconfirmed,
        "given_up": one.given_up,
        "undecided": dict(one.undecided),
        "has_entry": one.has_entry,
        "oldest_at": one.oldest_at.isoformat(),
        "next_try_at": one.next_try_at.isoformat() if one.next_try_at else None,
        "reason": one.reason,
        "waits_for": [_described_part(part) for part in one.parts],
        "pauses": [_described_pause(pause) for pause in paused if pause.destination in (None, one.destination)],
    }


def _described_part(part: Part) -> dict[str, object]:
    return {
        "what": part.what.value,
        "count": part.count,
        "oldest_at": part.oldest_at.isoformat(),
        "next_try_at": part.next_try_at.isoformat() if part.next_try_at else None,
        "last_answer": part.last_answer,
    }


def _described_pause(pause: Pause) -> dict[str, object]:
    return {
        "by": "administrator" if pause.until is None else "destination",
        "kinds": list(pause.kinds),
        "until": pause.until.isoformat() if pause.until else None,
        "reason": pause.reason,
    }
