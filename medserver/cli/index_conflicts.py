"""``medserver index conflicts``: what does not fit together, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import click

from medserver import archive
from medserver.cli.index_items import as_json_value, decider, echo_items, opened_node
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.errors import BadUsage
from medserver.index import Conflict
from medserver.log import escaped
from medserver.node import Node

_TITLES = {"present": "stored", "arrived": "received"}
"""What `list` and `show` call fields of a conflict, if that is not their name."""


@click.group()
def conflicts() -> None:
    """See what does not fit together, and note what was decided."""


@conflicts.command("list")
@click.option("--all", "with_resolved", is_flag=True, help="Also those that are resolved.")
@json_option
@pass_invocation
def list_conflicts(invocation: Invocation, with_resolved: bool, as_json: bool) -> None:
    """List what does not fit together: two persons under one Patient ID, a study of two patients ..."""
    with opened_node(invocation) as node:
        listed = (one for one in node.index.conflicts() if with_resolved or one.resolved_at is None)
        echo_items(listed, as_json, _line)


@conflicts.command()
@click.argument("number", type=int)
@json_option
@pass_invocation
def show(invocation: Invocation, number: int, as_json: bool) -> None:
    """Show both sides of a conflict, and what was decided."""
    with opened_node(invocation) as node:
        conflict = _require(node, number)
    if as_json:
        echo_json({name: as_json_value(value) if _is_special(value) else value for name, value in _fields(conflict)})
        return
    for name, value in _fields(conflict):
        if value is not None:
            text = _side(value) if isinstance(value, Mapping) else escaped(str(value), 400)
            click.echo(f"{_TITLES.get(name, name):<18}{text}")


@conflicts.command()
@click.argument("number", type=int)
@click.option("--why", required=True, help="What was found out or done.")
@click.option("--by", help="Who decided it; default: the user who runs this.")
@pass_invocation
def resolve(invocation: Invocation, number: int, why: str, by: str | None) -> None:
    """Note that somebody has looked at a conflict, and why it is none any more.

    Objects and patients stay as they are. A decision is kept as it is: a conflict cannot be resolved twice. It is noted
    on the volumes too, so that a rebuilt index knows it.
    """
    with opened_node(invocation) as node:
        if not archive.resolve_conflict(node, number, by=decider(by), why=why):
            known = _require(node, number)
            raise BadUsage(f"conflict {number} was resolved by {escaped(known.resolved_by or '?')} before")
    click.echo(f"conflict {number} is resolved")


def _require(node: Node, number: int) -> Conflict:
    conflict = node.index.conflict(number)
    if conflict is None:
        raise BadUsage(f"there is no conflict {number}")
    return conflict


def _fields(conflict: Conflict) -> list[tuple[str, object]]:
    return list(asdict(conflict).items())


def _is_special(value: object) -> bool:
    return hasattr(value, "isoformat") or isinstance(value, Mapping)


def _line(conflict: Conflict) -> str:
    present, arrived = _side(conflict.present), _side(conflict.arrived)
    caller = escaped(conflict.calling_ae_title or "?")
    at = f"{conflict.found_at:%Y-%m-%d %H:%M:%S}"
    state = f"; resolved by {escaped(conflict.resolved_by or '?')}" if conflict.resolved_at else ""
    subject = f"{conflict.number} {at} {conflict.kind} {escaped(conflict.subject)}"
    return f"{subject} from {caller}: stored {present}; received {arrived}{state}"


def _side(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={escaped(value)}" for name, value in values.items())
