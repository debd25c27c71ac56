"""``medserver printer``: a node that is a hard-copy device."""

from __future__ import annotations

import click

from medserver.cli.printer_serve import serve


@click.group()
def command() -> None:
    """Run a hard-copy device."""


command.add_command(serve)
