"""``medserver index duplicates``: objects that are not the current one of their instance, and which one is to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from medserver import archive
from medserver.archive import Difference
from medserver.cli.index_items import as_json_value, decider, echo_items, opened_node
from medserver.cli.invocation import Invocation, json_option, pass_invocation
from medserver.errors import BadUsage, StoreFailure
from medserver.index import ObjectVersion, Promotion
from medserver.index.objects.lineage import are_one
from medserver.log import escaped
from medserver.node import Node

_HOW = {"compressed": "compressed without loss", "restored": "its pixels restored"}


@click.group()
def duplicates() -> None:
    """See what is stored beside the current object of an instance, and decide which one is to be current."""


@duplicates.command("list")
@json_option
@pass_invocation
def list_duplicates(invocation: Invocation, as_json: bool) -> None:
    """List duplicates: objects that are stored though another one has their SOP Instance UID.

    What was compressed here and what it was made from are listed too: only one of them is the current object.
    """
    with opened_node(invocation) as node:
        echo_items(node.index.versions.duplicates(), as_json, _line)


@duplicates.command()
@click.argument("number", type=int)
@json_option
@pass_invocation
def show(invocation: Invocation, number: int, as_json: bool) -> None:
    """Show a duplicate and the current object, and which attributes differ.

    Values are cut after 64 characters, and of pixel data it is only told that it differs.
    """
    with opened_node(invocation) as node:
        shown = _require(node, number)
        versions = node.index.versions.of(shown.sop_instance_uid)
        current = next((one for one in versions if one.is_current), None)
        decided = node.index.promotions.of(shown.sop_instance_uid)
        differing, problem = _differences(node, versions, shown, current)
    if as_json:
        document = {
            "duplicate": asdict(shown),
            "current": asdict(current) if current else None,
            "differences": [asdict(one) for one in differing],
            "not_compared": problem,
            "promotions": [_decision(one) for one in decided],
        }
        click.echo(json.dumps(document, indent=2, default=as_json_value))
        return
    _echo_object("current object" if shown.is_current else "duplicate", shown)
    if current is None:
        click.echo("there is no current object: it is lost")
    elif current.number != number:
        _echo_object("current object", current)
    if problem:
        click.echo(f"not compared: {escaped(problem, 400)}")
    if differing:
        click.echo("attributes that differ (duplicate | current object)")
    for one in differing:
        click.echo(_difference_line(one))
    for promotion in decided:
        click.echo(_promotion_line(promotion, versions))


@duplicates.command()
@click.argument("number", type=int)
@click.option("--why", default="", help="Why this object is the right one.")
@click.option("--by", help="Who decided it; default: the user who runs this.")
@pass_invocation
def promote(invocation: Invocation, number: int, why: str, by: str | None) -> None:
    """Make a duplicate the current object: the one that is found and sent from now on.

    It is read in full before. The object that was current stays stored, and is a duplicate then. The decision is noted
    on the volumes too, so that a rebuilt index comes to the same. Nothing is sent to anybody by this.
    """
    with opened_node(invocation) as node:
        promotion = archive.promote(node, _require(node, number).key, by=decider(by), why=why)
        versions = node.index.versions.of(promotion.sop_instance_uid)
        now = next((one.number for one in versions if one.key == promotion.key), number)
    form = f", the form that was made from object {number}," if now != number else ""
    click.echo(f"object {now}{form} is the current one now")


def _require(node: Node, number: int) -> ObjectVersion:
    found = node.index.versions.get(number)
    if found is None:
        raise BadUsage(f"there is no object {number}")
    return found


def _differences(
    node: Node, versions: Sequence[ObjectVersion], one: ObjectVersion, current: ObjectVersion | None
) -> tuple[list[Difference], str]:
    """Return what differs between an object and the current one, and what cannot be told."""
    if current is None or current.number == one.number:
        return [], ""
    missing = [each.number for each in (one, current) if not each.copies]
    if missing:
        return [], f"object {missing[0]} has no file"
    try:
        found = archive.differences(node, one.copies[0], current.copies[0])
    except StoreFailure as error:
        return [], str(error)
    has_other_pixels = one.transfer_syntax_uid != current.transfer_syntax_uid and not are_one(versions, one, current)
    return found, "the pixel data, for the transfer syntaxes differ" if has_other_pixels else ""


def _echo_object(title: str, one: ObjectVersion) -> None:
    click.echo(f"{title} {one.number}")
    fields: dict[str, object] = {
        "what": _role(one),
        "sop instance": one.sop_instance_uid,
        "digest": one.digest,
        "transfer syntax": one.transfer_syntax_uid,
        "size": f"{one.size_bytes} bytes",
        "received": f"{one.received_at:%Y-%m-%d %H:%M:%S}",
        "from": escaped(one.calling_ae_title or "?"),
        "receipts": one.receipts,
    }
    if one.is_to_be_deleted:
        fields["deletion"] = "ordered"
    for name, value in fields.items():
        click.echo(f"  {name:<16}{value}")
    for copy in one.copies:
        click.echo(f"  {'copy':<16}{copy.volume}:{copy.path}, {copy.state}")


def _role(one: ObjectVersion) -> str:
    """Say how an object came to be here, and what was made from it."""
    came = "received" if one.made_from is None else f"made from object {one.made_from}: {_HOW[one.made_how or '']}"
    forms = ", ".join(map(str, one.forms))
    made = f"; the original of object {forms}" if forms else ""
    return f"{came}{made}{'' if one.copies else ', and not stored any more'}"


def _word(one: ObjectVersion) -> str:
    """Say in a word what an object is."""
    if one.made_from is not None:
        return f"{one.made_how}"
    return "original" if one.forms else "duplicate"


def _line(one: ObjectVersion) -> str:
    at, caller = f"{one.received_at:%Y-%m-%d %H:%M:%S}", escaped(one.calling_ae_title or "?")
    first = one.copies[0]
    where = f"{first.volume}:{first.path}, {one.size_bytes} bytes"
    return f"{one.number} {at} {_word(one)} {one.sop_instance_uid} from {caller}: {where}"


def _difference_line(one: Difference) -> str:
    first, second = ("absent" if value is None else escaped(value) for value in one.values)
    name = f"({one.tag[:4]},{one.tag[4:]}) {one.keyword}".rstrip()
    return f"{name}: differs" if one.tag == "7FE00010" else f"{name}: {first} | {second}"


def _promotion_line(one: Promotion, versions: Sequence[ObjectVersion]) -> str:
    number = next((f"object {each.number}" for each in versions if each.key == one.key), "an object that is gone")
    why = f": {escaped(one.reason, 400)}" if one.reason else ""
    return f"{one.decided_at:%Y-%m-%d %H:%M:%S} {number} was made the current one by {escaped(one.decided_by)}{why}"


def _decision(one: Promotion) -> dict[str, Any]:
    return {
        "digest": one.digest,
        "transfer_syntax_uid": one.transfer_syntax_uid,
        "decided_at": one.decided_at,
        "by": one.decided_by,
        "why": one.reason,
    }
