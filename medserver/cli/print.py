"""``medserver print``: films of this node, or of a hard-copy device elsewhere."""

from __future__ import annotations

import click

from medserver.cli.print_changes import cancel, preview, retry
from medserver.cli.print_rows import queue, show
from medserver.cli.print_send import send


@click.group()
def command() -> None:
    """Print images, here or by a hard-copy device elsewhere, and look after the films of this node."""


for _one in (send, queue, show, retry, cancel, preview):
    command.add_command(_one)
