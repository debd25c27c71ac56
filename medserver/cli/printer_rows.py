"""``medserver printer list|status``: the printers of this node, and how they are."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.responses import FAILURE
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.errors import BadUsage, MedserverError

if TYPE_CHECKING:
    from medserver.config import Config, Printer
    from medserver.printing.printers.printer import PrinterStatus


@click.command("list")
@json_option
@pass_invocation
def list_printers(invocation: Invocation, as_json: bool) -> None:
    """List the printers of the configuration, and how many films wait for each."""
    from medserver.node import open_node

    with closing(open_node(invocation.config_file)) as node:
        printers, counts = node.config.current.printers, node.index.films.counts()
    found = [_described(printer, counts) for printer in printers]
    names = {printer.name for printer in printers}
    lost = sorted({name for name, state in counts if name not in names and state in ("PENDING", "PRINTING")})
    if as_json:
        echo_json(found + [_counted(name, counts) for name in lost])
        return
    if not found:
        click.echo("no [printer NAME] in the configuration")
    else:
        header = ("NAME", "OUTPUT", "AE TITLE", "WHERE", "MEDIA", "CALIBRATED", "WAIT", "FAILED")
        echo_table(header, [_cells(each) for each in found], shrinks=True)
    for name in lost:
        waiting = count_in_words(_counted(name, counts)["waiting"], "film")
        click.echo(f"waiting for '{printable(name)}', which is not in the configuration: {waiting}")


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
@pass_invocation
@click.pass_context
def status(ctx: click.Context, invocation: Invocation, names: tuple[str, ...], as_json: bool) -> None:
    """Ask printers how they are, all without a NAME; ends with 1 if one takes no films."""
    config = invocation.config
    for name in names:
        if config.printer(name) is None:
            raise BadUsage(f"there is no [printer {printable(name, CELL_LENGTH_MAX)}] in the configuration")
    asked = [printer for printer in config.printers if not names or printer.name in names]
    found = [(printer.name, _status(config, printer)) for printer in asked]
    if as_json:
        echo_json([
            {"name": name, "status": each.state, "info": each.info, "detail": each.detail} for name, each in found
        ])
    elif not found:
        click.echo("no [printer NAME] in the configuration")
    else:
        rows = [(name, each.state, each.info or "-", printable(each.detail) or "-") for name, each in found]
        echo_table(("NAME", "STATUS", "INFO", "DETAIL"), rows, shrinks=True)
    if any(each.state == "FAILURE" for _, each in found):
        ctx.exit(FAILURE)


def _status(config: Config, printer: Printer) -> PrinterStatus:
    from medserver.printing.printers.outputs import output_of
    from medserver.printing.printers.printer import PrinterStatus

    try:
        return output_of(config, printer).status()
    except MedserverError as error:
        return PrinterStatus("FAILURE", "PRINTER DOWN", str(error))


def _described(printer: Printer, counts: dict[tuple[str, str], int]) -> dict[str, Any]:
    where = printer.url or printer.destination or str(printer.folder or "")
    return _counted(printer.name, counts) | {
        "output": printer.output,
        "ae_title": printer.ae_title,
        "where": where,
        "media": list(printer.media),
        "is_calibrated": printer.curve is not None,
        "substitute": printer.substitute,
    }


def _counted(name: str, counts: dict[tuple[str, str], int]) -> dict[str, Any]:
    waiting = counts.get((name, "PENDING"), 0) + counts.get((name, "PRINTING"), 0)
    return {"name": name, "waiting": waiting, "failed": counts.get((name, "FAILURE"), 0)}


def _cells(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["name"],
        each["output"],
        each["ae_title"] or "-",
        printable(each["where"], CELL_LENGTH_MAX),
        ", ".join(each["media"]),
        "yes" if each["is_calibrated"] else "no",
        str(each["waiting"]),
        str(each["failed"]),
    )
