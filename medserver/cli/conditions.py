"""``medserver conditions``: under which conditions the images of a study or series were acquired."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from dataclasses import asdict

import click

from medserver.cli.instances import instances_of
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.conditions import SeriesConditions, read_conditions
from medserver.errors import BadUsage
from medserver.node import open_node


@click.command()
@click.argument("uid", metavar="UID")
@click.option("--csv", "as_csv", is_flag=True, help="A line for each condition of each series, for spreadsheets.")
@json_option
@pass_invocation
def command(invocation: Invocation, uid: str, as_csv: bool, as_json: bool) -> None:
    """Show the acquisition conditions of the study, series or instance UID, by series.

    They are read from what is stored: exposure, sequence, dose and so on, as the modality has them, those in the
    functional groups of enhanced objects too. A condition that differs between images has all its values.
    """
    if as_csv and as_json:
        raise BadUsage("say either --csv or --json")
    with closing(open_node(invocation.config_file)) as node:
        found = read_conditions(node, instances_of(node, uid))
    if as_json:
        echo_json([asdict(one) for one in found])
    elif as_csv:
        click.echo(_csv(found), nl=False)
    else:
        for one in found:
            _show(one)


def _show(one: SeriesConditions) -> None:
    title = " ".join(filter(None, [one.modality, printable(one.description)]))
    click.echo(f"{title or 'series'} ({count_in_words(one.instances, 'instance')}) {one.series_instance_uid}")
    rows = [
        (value.keyword, printable(", ".join(value.values), 2 * CELL_LENGTH_MAX), value.unit) for value in one.values
    ]
    if rows:
        echo_table(("CONDITION", "VALUE", "UNIT"), rows)
    else:
        click.echo("it tells no conditions")


def _csv(found: list[SeriesConditions]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("study_instance_uid", "series_instance_uid", "modality", "condition", "value", "unit"))
    for one in found:
        for value in one.values:
            row = (one.study_instance_uid, one.series_instance_uid, one.modality)
            writer.writerow([_safe(cell) for cell in (*row, value.keyword, ", ".join(value.values), value.unit)])
    return text.getvalue()


def _safe(cell: str) -> str:
    """Return a text that a spreadsheet does not take for a formula: it comes from a peer."""
    is_number = cell.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") and not is_number else cell
