"""``medserver print``: films of this node, or of a hard-copy device elsewhere."""

from __future__ import annotations

import click

from medserver.cli.print_send import send


@click.group()
def command() -> None:
    """Print images of this node, or have them printed by a hard-copy device."""


command.add_command(send)
