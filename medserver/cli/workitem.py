"""``medserver workitem``: work items (Unified Procedure Steps, PS3.4 CC), of this node or at another AE."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.keys import key_option, parse_keys
from medserver.cli.peer import Peer, at_option
from medserver.cli.text import CELL_LENGTH_MAX, count_in_words, printable
from medserver.cli.workitem_places import place_of
from medserver.dicom import uids
from medserver.errors import BadUsage
from medserver.workitems.content import code, code_of, data_set, first_item, items, moment, value
from medserver.workitems.creating import PRIORITIES, READINESS
from medserver.workitems.outcomes import FINAL, SCHEDULED, STATES
from medserver.workitems.states import PROGRESS

ALL = uids.UPS_GLOBAL_SUBSCRIPTION_INSTANCE

COLUMNS: Mapping[str, str] = {
    "SOPInstanceUID": "UID",
    "ProcedureStepState": "STATE",
    "ScheduledProcedureStepPriority": "PRIORITY",
    "ScheduledWorkitemCodeSequence": "TYPE",
    "ProcedureStepLabel": "LABEL",
    "PatientID": "PATIENT",
    "ScheduledProcedureStepStartDateTime": "START",
    PROGRESS: "PROGRESS",
}
"""What a list shows."""


@click.group()
def command() -> None:
    """Create, list, show, cancel and watch work items (UPS); say who is told of them."""


@command.command("list")
@at_option
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Those in this state only.")
@key_option
@json_option
@pass_invocation
def list_items(
    invocation: Invocation, peer: Peer | None, state: str | None, keys: tuple[str, ...], as_json: bool
) -> None:
    """List work items, the oldest first.

    For example: medserver workitem list --state SCHEDULED -k "ScheduledWorkitemCodeSequence[0].CodeValue=denoise"
    """
    identifier = parse_keys(keys).identifier
    if state:
        identifier.ProcedureStepState = state
    for keyword in COLUMNS:
        if keyword not in identifier:
            setattr(identifier, keyword, [] if keyword.endswith("Sequence") else None)
    with place_of(invocation, peer) as place:
        found = list(place.find(identifier))
    if as_json:
        echo_json(found)
        return
    if found:
        echo_table(tuple(COLUMNS.values()), [_row(one) for one in found], shrinks=True)
    click.echo(count_in_words(len(found), "work item"), err=True)


@command.command()
@click.argument("uid", metavar="UID")
@at_option
@pass_invocation
def show(invocation: Invocation, peer: Peer | None, uid: str) -> None:
    """Show all attributes of a work item, as DICOM JSON."""
    with place_of(invocation, peer) as place:
        echo_json(place.get(uid))


@command.command()
@at_option
@click.option("--label", help="What is to be done, for people (Procedure Step Label).")
@click.option("--type", "type_code", metavar="CODE,SCHEME[,MEANING]", help="What is to be done, as a code.")
@click.option(
    "--priority", type=click.Choice(PRIORITIES, case_sensitive=False), show_default="MEDIUM", help="How urgent it is."
)
@click.option(
    "--readiness",
    type=click.Choice(READINESS, case_sensitive=False),
    show_default="READY",
    help="Whether its input is there (Input Readiness State).",
)
@click.option("--worklist", metavar="LABEL", help="The worklist that it belongs to.")
@click.option("--patient", metavar="ID", help="The Patient ID.")
@click.option("--study", "studies", metavar="UID", multiple=True, help="A study that is its input. May be repeated.")
@click.option("--start", metavar="DATETIME", show_default="now", help="When it is to begin (DT: 20260131120000+0100).")
@click.option("--uid", metavar="UID", default="", help="Its UID; default: a new one.")
@click.option(
    "--attributes", "file", metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, allow_dash=True, path_type=Path),
    help="Attributes as DICOM JSON (PS3.18 F); the options win. - is standard input.",
)  # fmt: skip
@pass_invocation
def create(invocation: Invocation, peer: Peer | None, file: Path | None, uid: str, **options: Any) -> None:
    """Create a work item, and write its UID."""
    content = _read(file) if file else {}
    content |= _content(content, **options)
    with place_of(invocation, peer) as place:
        made, remark = place.create(uid, content)
    _remark(remark)
    click.echo(made)


@command.command()
@click.argument("uid", metavar="UID")
@at_option
@click.option("--reason", metavar="TEXT", help="Why.")
@click.option("--contact", metavar="NAME", help="Whom to ask.")
@pass_invocation
def cancel(invocation: Invocation, peer: Peer | None, uid: str, reason: str | None, contact: str | None) -> None:
    """Have a work item cancelled: at once if nobody has claimed it, else its performer is asked."""
    given = {"ReasonForCancellation": reason, "ContactDisplayName": contact}
    with place_of(invocation, peer) as place:
        _remark(place.cancel(uid, data_set(**{name: text for name, text in given.items() if text})))
        click.echo(value(place.get(uid), "ProcedureStepState"))


@command.command()
@click.argument("uid", metavar="UID")
@at_option
@click.option(
    "--every",
    "every_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="How often to look.",
)
@pass_invocation
def watch(invocation: Invocation, peer: Peer | None, uid: str, every_s: float) -> None:
    """Look at a work item now and then until it is final, and write what has changed."""
    known = ""
    while True:
        with place_of(invocation, peer) as place:
            content = place.get(uid)
        state, progress = value(content, "ProcedureStepState"), _progress(content)
        line = f"{state} {progress}".strip()
        if line != known:
            click.echo(printable(line))
            known = line
        if state in FINAL:
            return
        time.sleep(every_s)


@command.command()
@click.argument("uid", metavar="[UID]", required=False)
@at_option
@click.option("--receiver", metavar="AE", help="The AE title that is to be told; default: that of this node.")
@click.option("--lock", is_flag=True, help="Keep what is final until it unsubscribes.")
@pass_invocation
def subscribe(invocation: Invocation, peer: Peer | None, uid: str | None, receiver: str | None, lock: bool) -> None:
    """Have an AE told of changes of a work item, or of all that there are and will be."""
    with place_of(invocation, peer) as place:
        _remark(place.subscribe(uid or ALL, receiver or _own_title(invocation, peer), lock))


@command.command()
@click.argument("uid", metavar="[UID]", required=False)
@at_option
@click.option("--receiver", metavar="AE", help="The AE title that is told; default: that of this node.")
@pass_invocation
def unsubscribe(invocation: Invocation, peer: Peer | None, uid: str | None, receiver: str | None) -> None:
    """Have an AE told no longer of a work item, or of any."""
    with place_of(invocation, peer) as place:
        _remark(place.unsubscribe(uid or ALL, receiver or _own_title(invocation, peer)))


@command.command()
@at_option
@click.option("--receiver", metavar="AE", help="The AE title that is told; default: that of this node.")
@pass_invocation
def suspend(invocation: Invocation, peer: Peer | None, receiver: str | None) -> None:
    """Have an AE told of no new work items; of those that there are it goes on being told."""
    with place_of(invocation, peer) as place:
        _remark(place.suspend(receiver or _own_title(invocation, peer)))


@command.command()
@click.argument("uid", metavar="[UID]", required=False)
@json_option
@pass_invocation
def subscribers(invocation: Invocation, uid: str | None, as_json: bool) -> None:
    """Show who is told of a work item of this node, or of all; and what waits to be told."""
    from contextlib import closing

    from medserver.node import open_node
    from medserver.workitems.follow_ups import UPS_EVENT

    with closing(open_node(invocation.config_file)) as node:
        subscriptions = node.index.workitems.subscriptions
        told = subscriptions.of(uid) if uid else subscriptions.of_all()
        waiting = {one.destination: one.count for one in node.index.jobs.counts() if one.kind == UPS_EVENT}
        entries = {one.receiver: node.config.current.destination(one.receiver) for one in told}
    rows = [
        {
            "receiver": one.receiver,
            "lock": one.has_lock,
            "waiting": waiting.get(entry.name, 0) if (entry := entries[one.receiver]) else 0,
            "is_known": entry is not None,
        }
        for one in told
    ]
    if as_json:
        echo_json(rows)
    elif not rows:
        click.echo("nobody is told")
    else:
        cells = [
            (printable(str(one["receiver"])), "yes" if one["lock"] else "no",
             str(one["waiting"]) if one["is_known"] else "no entry with an address")
            for one in rows
        ]  # fmt: skip
        echo_table(("RECEIVER", "LOCK", "EVENTS WAITING"), cells)


def _own_title(invocation: Invocation, peer: Peer | None) -> str:
    if peer is None:
        raise BadUsage("--receiver is needed: this node does not tell itself")
    return peer.calling_ae_title


def _remark(remark: str) -> None:
    if remark:
        click.echo(printable(remark), err=True)


def _read(file: Path) -> dict[str, Any]:
    """Read attributes as DICOM JSON.

    Raises
    ------
    BadUsage
        They are none.
    """
    text = click.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BadUsage(f"{file} is not JSON: {error}") from None
    if isinstance(content, list) and len(content) == 1:
        [content] = content
    if not isinstance(content, dict) or not all(isinstance(one, dict) and "vr" in one for one in content.values()):
        raise BadUsage(f"{file} is not a data set as DICOM JSON (PS3.18 F.2)")
    return content


def _content(
    given: Mapping[str, Any],
    label: str | None,
    type_code: str | None,
    priority: str | None,
    readiness: str | None,
    worklist: str | None,
    patient: str | None,
    studies: tuple[str, ...],
    start: str | None,
) -> dict[str, Any]:
    """Return what the options say, and what every item has."""
    from datetime import UTC, datetime

    usual = {
        "ProcedureStepState": SCHEDULED,
        "ScheduledProcedureStepPriority": "MEDIUM",
        "InputReadinessState": "READY",
        "ScheduledProcedureStepStartDateTime": moment(datetime.now(UTC)),
        "ProcedureStepLabel": label or (type_code or "").partition(",")[0] or None,
    }
    said: dict[str, Any] = {
        "ProcedureStepLabel": label,
        "ScheduledProcedureStepPriority": priority,
        "InputReadinessState": readiness,
        "ScheduledProcedureStepStartDateTime": start,
        "WorklistLabel": worklist,
        "PatientID": patient,
        "ScheduledWorkitemCodeSequence": [_code(type_code)] if type_code else None,
        "InputInformationSequence": [_input(study) for study in studies] or None,
    }
    wanted = {name: text for name, text in said.items() if text}
    return data_set(**usual) | dict(given) | data_set(**wanted)


def _code(text: str) -> dict[str, Any]:
    parts = [part.strip() for part in text.split(",", 2)]
    if len(parts) < 2 or not all(parts[:2]):
        raise BadUsage(f"'{text}' is not a code: write CODE,SCHEME or CODE,SCHEME,MEANING")
    return code(parts[0], parts[1], parts[2] if len(parts) > 2 else parts[0])


def _input(study_instance_uid: str) -> dict[str, Any]:
    return data_set(TypeOfInstances="DICOM", StudyInstanceUID=study_instance_uid)


def _row(content: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(printable(_cell(content, keyword), CELL_LENGTH_MAX) for keyword in COLUMNS)


def _cell(content: Mapping[str, Any], keyword: str) -> str:
    if keyword == PROGRESS:
        return _progress(content)
    if keyword.endswith("Sequence"):
        return ",".join(code_of(first_item(content, keyword))) if items(content, keyword) else ""
    return value(content, keyword)


def _progress(content: Mapping[str, Any]) -> str:
    """Return how far an item has come, or why it was cancelled."""
    progress = first_item(content, PROGRESS)
    percent = value(progress, "ProcedureStepProgress")
    reason = first_item(progress, "ProcedureStepDiscontinuationReasonCodeSequence")
    texts = (
        f"{percent} %" if percent else "",
        value(progress, "ProcedureStepProgressDescription"),
        value(progress, "ReasonForCancellation") or value(reason, "CodeMeaning"),
    )
    return ", ".join(text for text in texts if text)
