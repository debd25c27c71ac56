"""``medserver print``: films of this node, or of a hard-copy device elsewhere."""

from __future__ import annotations

import click

from medserver.cli.on_demand import GroupOnDemand


@click.group(
    cls=GroupOnDemand,
    modules={
        "send": "print_send:send",
        "queue": "print_rows:queue",
        "show": "print_rows:show",
        "retry": "print_changes:retry",
        "cancel": "print_changes:cancel",
        "preview": "print_changes:preview",
    },
)
def command() -> None:
    """Print images, here or by a hard-copy device elsewhere, and look after the films of this node."""
