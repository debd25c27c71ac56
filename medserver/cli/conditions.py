"""``medserver conditions``: under which conditions the images of a study or series were acquired."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from dataclasses import asdict

import click

from medserver.cli.instances import instances_of
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.conditions import (
    Findings,
    Outlier,
    SeriesConditions,
    compare_instances,
    find_outliers,
    read_conditions,
    series_of_protocol,
)
from medserver.errors import BadUsage, NoSuchInstance
from medserver.log import quoted
from medserver.node import Node, open_node


class _ShowByDefault(click.Group):
    """A group whose subcommand ``show`` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``show`` before what is no subcommand."""
        if args and args[0] not in (*self.commands, "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowByDefault)
def command() -> None:
    """Show with which parameters images were acquired, and compare them."""


@command.command()
@click.argument("uid", metavar="UID")
@click.option("--csv", "as_csv", is_flag=True, help="A line for each condition of each series, for spreadsheets.")
@json_option
@pass_invocation
def show(invocation: Invocation, uid: str, as_csv: bool, as_json: bool) -> None:
    """Show the acquisition conditions of the study, series or instance UID, by series.

    'medserver conditions UID' does the same.

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


@command.command()
@click.argument("uid", metavar="[UID]", required=False)
@click.option("--protocol", metavar="NAME", help="The series with this Protocol Name, instead of UID.")
@click.option("--modality", metavar="CODE", help="With --protocol: the modality, such as CT.")
@json_option
@pass_invocation
@click.pass_context
def compare(
    ctx: click.Context,
    invocation: Invocation,
    uid: str | None,
    protocol: str | None,
    modality: str | None,
    as_json: bool,
) -> None:
    """Compare what was performed with what was defined, and with what is usual.

    Of the study, series or instance UID: performed procedure protocols against the defined ones that they refer to, and
    series against all others with the same Protocol Name and modality. With --protocol all series of a protocol are
    compared with each other; that takes five at least. The exit code is 1 if something is not as defined or unusual.
    """
    if (uid is None) == (protocol is None) or (protocol is None) != (modality is None):
        raise BadUsage("say either UID, or --protocol and --modality")
    with closing(open_node(invocation.config_file)) as node:
        if uid:
            found = compare_instances(node, instances_of(node, uid))
        else:
            found = Findings((), _outliers(node, str(protocol), str(modality)))
    if as_json:
        echo_json(found.described())
    else:
        _show_findings(found)
    if found.outliers or any(one.is_fulfilled is False for each in found.protocols for one in each.comparisons):
        ctx.exit(FAILURE)


def _outliers(node: Node, protocol: str, modality: str) -> list[Outlier]:
    if next(series_of_protocol(node, protocol, modality), None) is None:
        wanted = f"modality {quoted(modality)} with the Protocol Name {quoted(protocol)}"
        raise NoSuchInstance(f"there is no series of {wanted}")
    return find_outliers(node, protocol, modality)


def _show_findings(found: Findings) -> None:
    for protocol in found.protocols:
        click.echo(f"performed protocol {protocol.performed} against {protocol.defined or 'nothing'}")
        if protocol.problem:
            click.echo(protocol.problem)
            continue
        answers = {True: "as defined", False: "NOT AS DEFINED", None: "cannot be told"}
        rows = [
            (printable(one.keyword, 2 * CELL_LENGTH_MAX), printable(one.constraint, CELL_LENGTH_MAX),
             printable(one.performed, CELL_LENGTH_MAX), answers[one.is_fulfilled], printable(one.significance))
            for one in protocol.comparisons
        ]  # fmt: skip
        echo_table(("PARAMETER", "DEFINED", "PERFORMED", "", "SIGNIFICANCE"), rows)
    if found.outliers:
        outlier_rows = [
            (one.series_instance_uid, printable(one.protocol, CELL_LENGTH_MAX), one.keyword,
             printable(one.value, CELL_LENGTH_MAX), printable(one.usual, CELL_LENGTH_MAX), one.unit, str(one.series))
            for one in found.outliers
        ]  # fmt: skip
        echo_table(("SERIES", "PROTOCOL", "CONDITION", "VALUE", "USUAL", "UNIT", "OF"), outlier_rows)
    else:
        click.echo("no series is unusual for its protocol")


def _show(one: SeriesConditions) -> None:
    title = " ".join(filter(None, [one.modality, printable(one.description)]))
    click.echo(f"{title or 'series'} ({count_in_words(one.instances, 'instance')}) {one.series_instance_uid}")
    rows = [
        (value.keyword, printable(", ".join(value.values), 2 * CELL_LENGTH_MAX), value.unit) for value in one.values
    ]
    if rows:
        echo_table(("CONDITION", "VALUE", "UNIT"), rows)
    else:
        click.echo("no acquisition conditions in its headers")


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
