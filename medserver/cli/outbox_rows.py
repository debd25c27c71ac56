"""``medserver outbox list|show``: the deliveries one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import Any

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.rules import (
    VERSION_LENGTH,
    changes_in_words,
    conditions_in_words,
    described_changes,
    syntaxes_in_words,
)
from medserver.cli.text import CELL_LENGTH_MAX, duration_in_words, printable
from medserver.config import Changes, Config
from medserver.delivery.manners import Manner, Manners
from medserver.delivery.outbox import THIS_NODE, OutboxFilter, Row, RuleIs, row_of, rows
from medserver.delivery.waiting import WaitsFor
from medserver.errors import BadUsage
from medserver.index.rule_versions import RuleVersion
from medserver.node import Node, open_node
from medserver.routing.deliveries import (
    CONFIRM,
    FORWARD_STEP,
    HOLD,
    NOTIFY,
    OF_THIS_NODE,
    OUTBOX_KINDS,
    REQUEST,
    REQUEST_PRINT,
)

NUMBER = click.IntRange(1, 2**63 - 1)

_RULE_NOTES = {RuleIs.FORMER: " (former version)", RuleIs.LOST: " (lost)"}


def filter_options(command: Callable) -> Callable:
    """Add the options that say which deliveries are meant."""
    for option in (
        click.option(
            "--waits-for", type=click.Choice([each.value for each in WaitsFor]), help="Those that wait for this."
        ),
        click.option("--rule", help="Those that were wanted by the rule of this name."),
        click.option("--destination", metavar="AE", help="Those for this entry of config.ini."),
    ):
        command = option(command)
    return command


@click.command("list")
@filter_options
@click.option("--instance", metavar="UID", help="Those of this SOP Instance UID.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_invocation
def list_rows(
    invocation: Invocation,
    destination: str | None,
    rule: str | None,
    waits_for: str | None,
    instance: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List deliveries, one for each instance and destination, the first that was wanted first.

    SINCE is when it was wanted first. RULE decided it; what is sent is what the rule said then, 'show ID' tells it.
    """
    chosen = OutboxFilter(destination, rule, WaitsFor(waits_for) if waits_for else None, instance)
    with closing(open_node(invocation.config_file)) as node:
        found, now = list(islice(rows(node, chosen), limit + 1)), node.clock()
    shown = found[:limit]
    if as_json:
        echo_json([_described(row) for row in shown])
    elif not shown:
        click.echo("no such delivery waits" if chosen else "nothing waits to be sent")
    else:
        header = ("ID", "DESTINATION", "WAITS FOR", "SINCE", "NEXT TRY", "TRIES", "RULE", "INSTANCE", "LAST ANSWER")
        echo_table(header, [_cells(row, now) for row in shown], shrinks=True)
    if len(found) > limit:
        click.echo(f"... and more than these {limit} (--limit)", err=True)


@click.command()
@click.argument("number", metavar="ID", type=NUMBER)
@json_option
@pass_invocation
def show(invocation: Invocation, number: int, as_json: bool) -> None:
    """Show all of the delivery ID: what it waits for, what its rule said, and what will be done."""
    with closing(open_node(invocation.config_file)) as node:
        row, now, config = required_row(node, number), node.clock(), node.config.current
        manner = Manners(config, node.index.rule_versions).of(row.delivery)
        version = node.index.rule_versions.get(row.delivery.rule) if row.delivery.rule else None
    if as_json:
        echo_json(_described(row) | _described_rule(row, version, manner))
        return
    for name, text in _lines(row, version, manner, config, now):
        click.echo(f"{name:<16}{text or '-'}")


def required_row(node: Node, number: int) -> Row:
    """Return a delivery.

    Raises
    ------
    BadUsage
        There is none of that number.
    """
    job = node.index.jobs.get(number)
    if job is None:
        raise BadUsage(f"there is no delivery {number}: it is done, or was dropped")
    if job.kind not in OUTBOX_KINDS:
        raise BadUsage(f"{number} is no delivery: medserver jobs show {number}")
    return row_of(node, job)


def destination_in_words(destination: str) -> str:
    """Return where something goes: the name of the entry, or this node, which processes it."""
    return "this node" if destination == THIS_NODE else printable(destination, CELL_LENGTH_MAX)


def next_try_in_words(next_try_at: datetime | None, now: datetime) -> str:
    """Return when something is tried next: ``in 5 min``, ``now``, ``-`` if nobody knows."""
    if next_try_at is None:
        return "-"
    wait_s = (next_try_at - now).total_seconds()
    return "now" if wait_s <= 0 else f"in {duration_in_words(wait_s)}"


def _cells(row: Row, now: datetime) -> tuple[str, ...]:
    return (
        str(row.job.id),
        destination_in_words(row.job.destination),
        row.wait.what.value,
        duration_in_words((now - row.job.created_at).total_seconds()),
        next_try_in_words(row.wait.next_try_at, now),
        str(row.job.attempts),
        _rule_in_words(row),
        printable(row.delivery.sop_instance_uid, CELL_LENGTH_MAX),
        printable(row.last_answer, CELL_LENGTH_MAX) or "-",
    )


def _rule_in_words(row: Row) -> str:
    if row.delivery.route is None:
        return "none, as decided" if row.delivery.rule else "none, unchanged"
    name = printable(row.delivery.route, CELL_LENGTH_MAX)
    if row.rule_name not in ("", row.delivery.route):
        return f"{name} (now {printable(row.rule_name, CELL_LENGTH_MAX)})"
    return name + _RULE_NOTES.get(row.rule_is, "")


def _lines(
    row: Row, version: RuleVersion | None, manner: Manner | None, config: Config, now: datetime
) -> list[tuple[str, str]]:
    """Return all of a delivery, by name."""
    delivery, content = row.delivery, version.content if version else None
    said = [("wanted", conditions_in_words(content["conditions"]) if content else "")]
    if delivery.action == REQUEST_PRINT:
        said += _printing_in_words(content) if content else [("printed", "not known any more")]
    elif delivery.action == REQUEST:
        said += _processing_in_words(content) if content else [("processed", "not known any more")]
    else:
        said += [
            ("changes", changes_in_words(manner.changes) if manner else "not known any more"),
            ("sent", syntaxes_in_words(manner.transfer_syntaxes) if manner else "not known any more"),
        ]
    return [
        ("id", str(row.job.id)),
        ("instance", printable(delivery.sop_instance_uid)),
        ("study", printable(delivery.study_instance_uid)),
        ("series", printable(delivery.series_instance_uid)),
        ("received from", printable(delivery.sender)),
        ("received at", delivery.received_at),
        ("destination", destination_in_words(row.job.destination)),
        ("waits for", row.wait.what.value),
        ("since", _moment(row.job.created_at, now)),
        ("next try", next_try_in_words(row.wait.next_try_at, now)),
        ("tries", str(row.job.attempts)),
        ("sent before", str(delivery.sends)),
        ("last answer", printable(row.last_answer)),
        ("rule", _rule_in_words(row)),
        ("version", delivery.rule[:VERSION_LENGTH]),
        *said,
        ("will be", _would(row, manner, config)),
    ]


def _processing_in_words(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a version of a rule does to images."""
    return [
        ("processed", f"by {', then '.join(content['types'])}, each {content['of']} together"),
        ("parameters", ", ".join(f"{name} = {printable(text)}" for name, text in content["parameters"])),
        ("results to", ", ".join(content["to"])),
    ]


def _printing_in_words(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how a version of a rule prints images."""
    return [
        ("printed", f"by {printable(content['printer'])}, each {content['of']} together"),
        ("format", ", ".join(f"{name} = {printable(text)}" for name, text in content["format"])),
    ]


def _moment(moment: datetime, now: datetime) -> str:
    age = duration_in_words((now - moment).total_seconds())
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}, {age} ago"


def _would(row: Row, manner: Manner | None, config: Config) -> str:
    """Return what is done with a delivery when it does not wait any more."""
    if row.delivery.action in OF_THIS_NODE:
        return _would_be_done_here(row)
    destination = printable(row.job.destination, CELL_LENGTH_MAX)
    remote = config.remote_by_name(row.job.destination)
    if remote is None or not remote.is_destination:
        return f"nothing: there is no entry [ae {destination}] with an address and a port"
    if row.rule_is is RuleIs.LOST and row.job.kind != CONFIRM or manner is None:
        return "nothing, until an administrator decides: medserver outbox send --help"
    if row.job.kind == CONFIRM:
        return f"asked for: whether {destination} commits to it"
    held = "held until its study or series is complete, then " if row.job.kind == HOLD else ""
    if row.delivery.action == NOTIFY:
        return f"{held}told to {destination}: that it is here"
    if row.delivery.action == FORWARD_STEP:
        return f"{held}reported to {destination}"
    syntaxes = syntaxes_in_words(manner.transfer_syntaxes or remote.transfer_syntaxes)
    confirmed = f", then {destination} is asked to commit to it" if remote.must_commit else ""
    return f"{held}sent to {destination}: {changes_in_words(manner.changes)}, {syntaxes}{confirmed}"


def _would_be_done_here(row: Row) -> str:
    if row.rule_is is RuleIs.LOST:
        return "nothing, until an administrator decides: medserver outbox send --help"
    held = "held until its study or series is complete, then " if row.job.kind == HOLD else ""
    done = "printed" if row.delivery.action == REQUEST_PRINT else "processed"
    return f"{held}{done}: a work item is made"


def _described(row: Row) -> dict[str, object]:
    return {
        "id": row.job.id,
        "sop_instance_uid": row.delivery.sop_instance_uid,
        "destination": row.job.destination,
        "waits_for": row.wait.what.value,
        "since": row.job.created_at.isoformat(),
        "next_try_at": row.wait.next_try_at.isoformat() if row.wait.next_try_at else None,
        "attempts": row.job.attempts,
        "last_answer": row.last_answer,
        "rule": row.delivery.route,
        "rule_is": row.rule_is.value,
        "rule_now": row.rule_name or None,
        "version": row.delivery.rule or None,
    }


def _described_rule(row: Row, version: RuleVersion | None, manner: Manner | None) -> dict[str, object]:
    return {
        "study_instance_uid": row.delivery.study_instance_uid,
        "series_instance_uid": row.delivery.series_instance_uid,
        "sender": row.delivery.sender,
        "received_at": row.delivery.received_at or None,
        "kind": row.job.kind,
        "state": row.job.state,
        "action": row.delivery.action,
        "sends": row.delivery.sends,
        "conditions": {each[0]: each[1] for each in version.content["conditions"]} if version else None,
        "transfer_syntaxes": list(manner.transfer_syntaxes) if manner else None,
        **described_changes(manner.changes if manner else Changes()),
        "is_known": manner is not None,
    }
