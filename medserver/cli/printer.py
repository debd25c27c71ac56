"""``medserver printer``: the printers of this node, and a node that is a hard-copy device."""

from __future__ import annotations

import click

from medserver.cli.printer_calibrate import calibrate
from medserver.cli.printer_rows import list_printers, status
from medserver.cli.printer_serve import serve


@click.group()
def command() -> None:
    """Show and calibrate the printers of this node, or run a hard-copy device."""


for _one in (list_printers, status, calibrate, serve):
    command.add_command(_one)
