"""``medserver print queue|show``: the films of this node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, duration_in_words, printable

if TYPE_CHECKING:
    from medserver.index import FilmRow
    from medserver.node import Node

STATES = ("PENDING", "PRINTING", "DONE", "FAILURE", "CANCELED")
OPEN = ("PENDING", "PRINTING", "FAILURE")

_TEXTS = (
    "uid", "state", "status_info", "detail", "printer", "printed_by", "reference", "requested_by", "origin", "label",
    "priority", "copies", "handovers", "printings", "request_uid",
)  # fmt: skip
_MOMENTS = ("created_at", "changed_at", "ended_at")


@click.command()
@click.option("--printer", metavar="NAME", help="Those of this printer.")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Those in this state, or these.")
@click.option("--all", "everything", is_flag=True, help="Those that are done or cancelled too.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many at most.")
@json_option
@pass_invocation
def queue(
    invocation: Invocation, printer: str | None, states: tuple[str, ...], everything: bool, limit: int, as_json: bool
) -> None:
    """List the films that wait, are being printed, or have failed, the first that was asked for first.

    REPRINT says which films may be on two sheets: 'possible' if a printer may have had it before, and 'asked' if
    somebody has asked for it again.
    """
    from medserver.node import open_node

    wanted = states or (STATES if everything else OPEN)
    among = {"state": wanted} | ({"printer": (printer,)} if printer else {})
    with closing(open_node(invocation.config_file)) as node:
        found, now = list(islice(_films(node, among), limit + 1)), node.clock()
    shown = found[:limit]
    if as_json:
        echo_json([described(row) for row in shown])
    elif not shown:
        click.echo("no film waits" if not (states or printer or everything) else "no such film")
    else:
        header = ("UID", "PRINTER", "STATE", "INFO", "SINCE", "FROM", "COPIES", "REPRINT", "DETAIL")
        echo_table(header, [_cells(row, now) for row in shown], shrinks=True)
    if len(found) > limit:
        click.echo(f"... and more than these {limit} (--limit)", err=True)


@click.command()
@click.argument("uid", metavar="UID")
@json_option
@pass_invocation
def show(invocation: Invocation, uid: str, as_json: bool) -> None:
    """Show all of the film UID: what it shows, which printer has it, and what was last heard of it."""
    from medserver.node import open_node
    from medserver.printing.changing import required_film
    from medserver.printing.film import film_of

    with closing(open_node(invocation.config_file)) as node:
        row = required_film(node, uid)
    film = film_of(row.content)
    if as_json:
        echo_json(described(row) | {"images": len(film.boxes), "image_display_format": film.image_display_format})
        return
    for name, text in described(row).items():
        click.echo(f"{name.replace('_', ' '):<16}{printable(str(text)) if text not in (None, '') else '-'}")
    click.echo(f"{'format':<16}{printable(film.image_display_format)}")
    click.echo(f"{'images':<16}{len(film.boxes)}")
    click.echo(f"{'reprint':<16}{_reprint(row) or '-'}")


def described(row: FilmRow) -> dict[str, Any]:
    """Return a film as JSON can hold it."""
    moments = {name: getattr(row, name) for name in _MOMENTS}
    return {name: getattr(row, name) for name in _TEXTS} | {
        name: moment.isoformat() if moment is not None else None for name, moment in moments.items()
    }


def _films(node: Node, among: dict[str, Any]) -> Iterator[FilmRow]:
    after = 0
    while rows := node.index.films.page(after, among):
        yield from rows
        after = rows[-1].id


def _cells(row: FilmRow, now: datetime) -> tuple[str, ...]:
    return (
        row.uid,
        printable(row.printed_by or row.printer, CELL_LENGTH_MAX),
        row.state,
        printable(row.status_info, CELL_LENGTH_MAX) or "-",
        duration_in_words((now - row.created_at).total_seconds()),
        printable(row.requested_by, CELL_LENGTH_MAX),
        str(row.copies),
        _reprint(row) or "-",
        printable(row.detail, CELL_LENGTH_MAX) or "-",
    )


def _reprint(row: FilmRow) -> str:
    return "possible" if row.handovers > 1 else "asked" if row.printings else ""
