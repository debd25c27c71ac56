"""What the commands that look into the index share: the open node, and items as lines or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime

import click

from medserver import modes
from medserver.cli.invocation import Invocation
from medserver.cli.progress import Progress
from medserver.node import Node, open_node


@contextmanager
def opened_node(invocation: Invocation) -> Iterator[Node]:
    """Open the node, whose index nobody replaces meanwhile."""
    with closing(open_node(invocation.config_file)) as node:
        yield node


def echo_items(items: Iterable, as_json: bool, line: Callable[..., str], bar: Progress | None = None) -> int:
    """Write items as they come, a line each (above the bar) or as one JSON array; return how many there were."""
    count = 0
    for count, item in enumerate(items, start=1):
        if as_json:
            click.echo(("[" if count == 1 else ",") + json.dumps(asdict(item), default=as_json_value))
        elif bar is not None:
            bar.echo(line(item), err=False)
        else:
            click.echo(line(item))
    if as_json:
        click.echo("]" if count else "[]")
    return count


def decider(by: str | None) -> str:
    """Return who decides: who is named, or who runs the command."""
    return by or os.environ.get("SUDO_USER") or modes.user()


def as_json_value(value: object) -> object:
    """Return what JSON has for a value that it has not."""
    return value.isoformat() if isinstance(value, datetime) else dict(value)
