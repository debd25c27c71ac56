"""``medserver printer``: a node that is a hard-copy device, and its printers."""

from __future__ import annotations

import click

from medserver.cli.printer_calibrate import calibrate
from medserver.cli.printer_serve import serve


@click.group()
def command() -> None:
    """Run a hard-copy device, calibrate its printers."""


command.add_command(calibrate)
command.add_command(serve)
