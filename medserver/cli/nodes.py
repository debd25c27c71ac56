"""``medserver nodes``: the nodes that share the index."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict

import click

from medserver import lock
from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, duration_in_words, printable
from medserver.errors import BadUsage
from medserver.host import node_uuid
from medserver.index import open_index
from medserver.index.nodes.records import NodeRecord
from medserver.index.nodes.sight import Sight, look_at_nodes


@click.group()
def command() -> None:
    """See which nodes share the index, and forget those that are gone."""


@command.command("list")
@json_option
@pass_invocation
def list_nodes(invocation: Invocation, as_json: bool) -> None:
    """List the nodes that share the index, and who has locked it."""
    config = invocation.config
    seen = look_at_nodes(config.index.url, config.node.data)
    if as_json:
        echo_json({"nodes": [_described(node, seen) for node in seen.nodes], "locked": seen.problem})
        return
    if seen.nodes:
        here = node_uuid(config.node.data)
        header = ("UUID", "HOST", "ROLE", "STATE", "HEARD", "PRIMARY")
        echo_table(header, [_row(node, seen, here) for node in seen.nodes])
    else:
        click.echo("no node has been started")
    if seen.problem:
        click.echo(f"locked: {printable(seen.problem)}")


@command.command()
@click.argument("uuid")
@pass_invocation
def forget(invocation: Invocation, uuid: str) -> None:
    """Forget the node UUID, which is gone for good: what others may do does not depend on it any more."""
    config = invocation.config
    with lock.shared(config.node.data), closing(open_index(config.index.url, base=config.node.data)) as index:
        if not index.nodes.forget(uuid):
            raise BadUsage(f"there is no node {printable(uuid)}: medserver nodes list names them")
    click.echo(f"{printable(uuid)} is forgotten")


def _state(node: NodeRecord, seen: Sight) -> str:
    return "running" if node.is_heard(seen.now) else "silent"


def _row(node: NodeRecord, seen: Sight, here: str) -> tuple[str, ...]:
    name = f"{node.name} (this one)" if node.uuid == here else node.name
    heard = duration_in_words(max(0.0, (seen.now - node.heartbeat_at).total_seconds())) if node.heartbeat_at else "-"
    primary = f"{node.serves.primary} {node.serves.volumes.get(node.serves.primary, '')}"
    return node.uuid, printable(name, CELL_LENGTH_MAX), node.role, _state(node, seen), heard, printable(primary)


def _described(node: NodeRecord, seen: Sight) -> dict:
    moments = {name: getattr(node, name).isoformat() for name in ("started_at", "heartbeat_at")}
    return asdict(node) | moments | {"state": _state(node, seen)}
