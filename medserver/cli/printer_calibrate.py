"""``medserver printer calibrate``: print a step wedge, and take what was measured on it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.config import Printer
from medserver.errors import BadUsage, OutOfResources


@click.command()
@click.argument("name")
@click.option("--steps", metavar="NUMBER", type=click.IntRange(6, 64), default=18, show_default=True,
              help="How many steps the wedge has.")  # fmt: skip
@click.option("--densities", metavar="NUMBERS", help="The measured densities of all steps, the first step first.")
@click.option("--densities-from", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A file with the measured densities.")  # fmt: skip
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the curve to this file; default: 'curve' of the printer.")  # fmt: skip
@json_option
@pass_invocation
def calibrate(
    invocation: Invocation,
    name: str,
    steps: int,
    densities: str | None,
    densities_from: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print a step wedge on printer NAME; or write its curve, when its steps were measured with a densitometer.

    The wedge has the levels of the printer, whatever its curve is by now: read its steps from left to right and from
    top to bottom. With a curve, P-values have the density on its sheets that the standard wants (PS3.14), and these do
    not say any longer that they are not calibrated. A curve counts from the next film on.

    For example: medserver printer calibrate paper; then
    medserver printer calibrate paper --densities "1.92 1.71 1.55 ..."
    """
    printer = invocation.config.printer(name)
    if printer is None:
        raise BadUsage(f"no [printer {printable(name, CELL_LENGTH_MAX)}] in the configuration")
    if densities is not None and densities_from is not None:
        raise BadUsage("--densities or --densities-from, not both")
    if densities is None and densities_from is None:
        _print(invocation, printer, steps, as_json)
        return
    try:
        text = densities if densities_from is None else densities_from.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"{densities_from}: {error}") from error
    _write(printer, text or "", output, as_json)


def _print(invocation: Invocation, printer: Printer, steps: int, as_json: bool) -> None:
    """Have the wedge printed."""
    from medserver.node import open_node  # --help does without
    from medserver.printing.calibration import print_wedge, wedge_levels

    with closing(open_node(invocation.config_file)) as node:
        uid = print_wedge(node, printer, steps)
    if as_json:
        echo_json({"uid": uid, "levels": list(wedge_levels(steps))})
        return
    click.echo(f"film {uid}: a wedge of {steps} steps; measure them from left to right and from top to bottom, then:")
    click.echo(f'medserver printer calibrate {printer.name} --densities "..."')


def _write(printer: Printer, text: str, output: Path | None, as_json: bool) -> None:
    """Write the curve."""
    from medserver.printing.calibration import parse_densities, write_curve

    path = output or printer.curve
    if path is None:
        raise BadUsage(f"where to? give -o FILE, and name it in [printer {printer.name}]: curve = FILE")
    measured = parse_densities(text)
    try:
        write_curve(path, printer.name, measured, datetime.now(UTC))
    except OSError as error:
        raise OutOfResources(f"{path}: {error.strerror or error}") from error
    is_named = printer.curve is not None and path.resolve() == printer.curve.resolve()
    if as_json:
        echo_json({"curve": str(path), "density_min": measured[-1], "density_max": measured[0], "in_use": is_named})
        return
    click.echo(f"{path}: {measured[-1]:.2f} to {measured[0]:.2f} OD")
    if not is_named:
        click.echo(f"name it in [printer {printer.name}]: curve = {path.resolve()}")
