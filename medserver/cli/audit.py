"""``medserver audit``: the audit trail, read by people. Who reads it is in it as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import IO

import click

from medserver import trail
from medserver.audit import KINDS, AuditRow, events
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.errors import BadUsage, DamagedObject, NoSuchInstance
from medserver.index import SealedRow
from medserver.node import Node, open_node
from medserver.trail.verification import Head, Verification, head_of, verify, verify_rows

NAMES = {kind.event.value: kind.event.meaning for kind in KINDS.values()}
OUTCOMES = {0: "success", 4: "minor failure", 8: "failure", 12: "major failure"}
PAGE_ROWS = 500


@click.group()
def command() -> None:
    """List, show, verify and export the audit trail: who has done what."""


@command.command("list")
@click.option("--since", metavar="MOMENT", help="From this moment on, such as 2026-11-30 or 2026-11-30T08:15.")
@click.option("--until", metavar="MOMENT", help="Before this moment.")
@click.option("--event", metavar="EVENT", help="Of this EventID: its code or its name, such as Query.")
@click.option("--actor", metavar="NAME", help="Begun by this AE title or user.")
@click.option("--patient", metavar="ID", help="About the patient with this Patient ID.")
@click.option("--failed", is_flag=True, help="Those that were no success.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="The last N of them.")
@json_option
@pass_invocation
def list_rows(
    invocation: Invocation,
    since: str | None,
    until: str | None,
    event: str | None,
    actor: str | None,
    patient: str | None,
    failed: bool,
    last: int | None,
    as_json: bool,
) -> None:
    """List the messages, the oldest first; what is not sealed yet has no position."""
    code = _event_code(event) if event else None
    begin, end = _moment(since), _moment(until)

    def is_wanted(row: AuditRow) -> bool:
        return (
            (begin is None or row.at >= begin)
            and (end is None or row.at < end)
            and code in (None, row.event)
            and actor in (None, row.actor)
            and patient in (None, row.patient_id)
            and not (failed and row.outcome == 0)
        )

    with closing(open_node(invocation.config_file)) as node:
        found = [(position, row) for position, row in _all(node) if is_wanted(row)]
        _tell_reading(node)
    found = found[-last:] if last else found
    if as_json:
        echo_json([_described(position, row) for position, row in found])
    elif not found:
        click.echo("no audit messages")
    else:
        header = ("POSITION", "AT", "SOURCE", "EVENT", "ACTION", "OUTCOME", "BY", "PATIENT")
        echo_table(header, [_cells(position, row) for position, row in found], shrinks=True)


@command.command()
@click.argument("position", type=click.IntRange(1))
@pass_invocation
def show(invocation: Invocation, position: int) -> None:
    """Show the message at POSITION, as XML (PS3.15 A.5.1)."""
    with closing(open_node(invocation.config_file)) as node:
        rows = node.index.audit.page(position - 1, 1)
        _tell_reading(node)
    if not rows or rows[0].position != position:
        raise NoSuchInstance(f"there is no audit message {position}")
    click.echo(_indented(rows[0].row.message))


@command.command("verify")
@click.option("--head", "heads", multiple=True, metavar="POSITION:DIGEST", help="A head that was kept elsewhere.")
@click.option("--file", "file", type=click.File(encoding="utf-8"), help="Verify what was exported to a file instead.")
@json_option
@pass_invocation
def verify_trail(invocation: Invocation, heads: tuple[str, ...], file: IO[str] | None, as_json: bool) -> None:
    """Verify that nothing that was sealed was altered, removed, re-ordered or inserted.

    The head that is printed proves all rows up to it: keep it elsewhere, and give it to --head later.
    """
    try:
        known = [head_of(text) for text in heads]
    except ValueError as error:
        raise BadUsage(str(error)) from None
    if file is not None:
        found = _verified_file(file, known)
    else:
        with closing(open_node(invocation.config_file)) as node:
            found = verify(node.index, known)
    if as_json:
        echo_json(
            {"sealed": found.sealed, "pending": found.pending, "head": str(found.head), "problems": found.problems}
        )
    else:
        for problem in found.problems:
            click.echo(printable(problem))
        not_sealed = f", {found.pending} not yet sealed" if found.pending else ""
        click.echo(f"{count_in_words(found.sealed, 'sealed message')}{not_sealed}, head {found.head}")
    if not found.is_intact:
        raise DamagedObject("the audit trail is not what was sealed")


@command.command()
@click.argument("file", type=click.File("w", encoding="utf-8"))
@click.option("--after", type=click.IntRange(0), default=0, metavar="POSITION", help="Only what comes behind it.")
@pass_invocation
def export(invocation: Invocation, file: IO[str], after: int) -> None:
    """Write the sealed messages to FILE (- is standard output), one JSON object a line; `verify --file` reads it."""
    with closing(open_node(invocation.config_file)) as node:
        chain = node.index.audit.chain()
        beginning = Head(chain.pruned_position, chain.pruned_digest)
        if after > beginning.position:
            before = node.index.audit.page(after - 1, 1)
            if not before or before[0].position != after:
                raise NoSuchInstance(f"there is no audit message {after}")
            beginning = Head(after, before[0].digest)
        count = 0
        _write(file, {"begins_behind": str(beginning)})
        for each in _sealed(node, beginning.position):
            _write(file, {"position": each.position, **each.row._asdict(), "digest": each.digest})
            count += 1
        _tell_reading(node)
    click.echo(count_in_words(count, "message"), err=True)


@command.command()
@json_option
@pass_invocation
def repositories(invocation: Invocation, as_json: bool) -> None:
    """Show how far each repository has the trail."""
    with closing(open_node(invocation.config_file)) as node:
        known, position = node.index.audit.repositories(), node.index.audit.chain().position
        names = dict.fromkeys([*invocation.config.audit.repositories, *known])
    rows = [(name, known.get(name)) for name in names]
    if as_json:
        echo_json([
            {
                "name": name,
                "sent": one.sent_position if one else 0,
                "confirmed": one.confirmed_position if one else 0,
                "waiting": position - (one.sent_position if one else 0),
                "problem": one.problem if one else None,
            }
            for name, one in rows
        ])
    elif not rows:
        click.echo("audit messages are sent nowhere: there is no [audit] repositories")
    else:
        echo_table(
            ("REPOSITORY", "SENT", "WAITING", "PROBLEM"),
            [
                (
                    name,
                    str(one.sent_position if one else 0),
                    str(position - (one.sent_position if one else 0)),
                    printable(one.problem or "-", CELL_LENGTH_MAX) if one else "-",
                )
                for name, one in rows
            ],
        )


def _all(node: Node) -> Iterator[tuple[int | None, AuditRow]]:
    pending = node.index.audit.pending(1_000_000)  # first: what is sealed meanwhile is found below
    sealed_since = set()
    position = node.index.audit.chain().position
    for each in _sealed(node, 0):
        yield each.position, each.row
        if each.position > position - len(pending):
            sealed_since.add(each.row)
    yield from ((None, row) for row in pending if row not in sealed_since)


def _sealed(node: Node, after: int) -> Iterator[SealedRow]:
    while page := node.index.audit.page(after, PAGE_ROWS):
        yield from page
        after = page[-1].position


def _tell_reading(node: Node) -> None:
    """Record that the trail was read (PS3.15 A.5.3.2)."""
    uri = node.config.data.as_uri() + "#audit"
    trail.record(node, [events.audit_log_used(trail.this_process_actor(), uri)])


def _verified_file(file: IO[str], known: list[Head]) -> Verification:
    lines = (json.loads(line) for line in file)
    found = Verification()
    try:
        beginning = head_of(next(lines)["begins_behind"])
        rows = (
            SealedRow(each["position"], AuditRow(*(each[name] for name in AuditRow._fields)), each["digest"])
            for each in lines
        )
        return verify_rows(rows, beginning, found, known)
    except (StopIteration, KeyError, TypeError, ValueError) as error:
        raise BadUsage(f"{file.name}: not what 'medserver audit export' has written: {error}") from None


def _write(file: IO[str], document: dict) -> None:
    file.write(json.dumps(document, separators=(",", ":")) + "\n")


def _cells(position: int | None, row: AuditRow) -> tuple[str, ...]:
    return (
        "-" if position is None else str(position),
        row.at[:19].replace("T", " "),
        printable(row.source, CELL_LENGTH_MAX),
        NAMES.get(row.event, row.event),
        row.action,
        OUTCOMES.get(row.outcome, str(row.outcome)),
        printable(row.actor, CELL_LENGTH_MAX),
        printable(row.patient_id, CELL_LENGTH_MAX),
    )


def _described(position: int | None, row: AuditRow) -> dict[str, object]:
    return {"position": position, **row._asdict(), "event_name": NAMES.get(row.event, "")}


def _event_code(text: str) -> str:
    if text in NAMES:
        return text
    codes = [code for code, name in NAMES.items() if name.lower() == text.lower()]
    if not codes:
        raise BadUsage(f"there is no event {printable(text)}: {', '.join(NAMES.values())}")
    return codes[0]


def _moment(text: str | None) -> str | None:
    """Return a moment as rows have it; without a time zone it is that of this machine."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadUsage(f"{printable(text)} is no moment such as 2026-11-30T08:15") from None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _indented(message: str) -> str:
    """Return a message of ours, which has no text beside elements, an element a line."""
    lines: list[str] = []
    depth = 0
    for piece in message.replace("><", ">\n<").split("\n"):
        depth -= piece.startswith("</")
        lines.append("  " * depth + piece)
        depth += not piece.startswith("</") and not piece.endswith("/>") and "</" not in piece
    return "\n".join(lines)
