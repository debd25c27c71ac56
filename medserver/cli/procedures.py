"""``medserver procedures``: the performed procedure steps that modalities have reported."""

from __future__ import annotations

import json
from contextlib import closing

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.errors import BadUsage, NoSuchInstance
from medserver.index import PerformedStep
from medserver.node import open_node


@click.group()
def command() -> None:
    """Look at the performed procedure steps (MPPS) that modalities have reported."""


@command.command("list")
@click.option("--study", "study", metavar="UID", help="Those of this study only.")
@click.option("--series", "series", metavar="UID", help="Those that name this series only.")
@json_option
@pass_invocation
def list_steps(invocation: Invocation, study: str | None, series: str | None, as_json: bool) -> None:
    """List the steps, the oldest first."""
    if study and series:
        raise BadUsage("say either --study or --series")
    with closing(open_node(invocation.config_file)) as node:
        known = node.index.performed_steps
        steps = known.of_study(study) if study else known.of_series(series) if series else list(known.all())
    if as_json:
        echo_json([_described(step) for step in steps])
    elif not steps:
        click.echo("no performed procedure steps")
    else:
        header = ("UID", "STATE", "MODALITY", "STATION", "ID", "DESCRIPTION", "CHANGED")
        echo_table(header, [_row(step) for step in steps])


@command.command()
@click.argument("uid", metavar="UID")
@pass_invocation
def show(invocation: Invocation, uid: str) -> None:
    """Show everything about one step, as DICOM JSON."""
    with closing(open_node(invocation.config_file)) as node:
        step = node.index.performed_steps.get(uid)
    if step is None:
        raise NoSuchInstance(f"there is no performed procedure step {printable(uid)}")
    echo_json({**_described(step), "attributes": json.loads(step.content)})


def _row(step: PerformedStep) -> tuple[str, ...]:
    from medserver.procedures.performed import decoded  # with pydicom

    content = decoded(step)
    names = ("Modality", "PerformedStationAETitle", "PerformedProcedureStepID", "PerformedProcedureStepDescription")
    cells = [printable(str(content.get(name) or ""), CELL_LENGTH_MAX) for name in names]
    return (step.sop_instance_uid, step.state, *cells, f"{step.changed_at:%Y-%m-%d %H:%M:%S}")


def _described(step: PerformedStep) -> dict[str, object]:
    return {
        "sop_instance_uid": step.sop_instance_uid,
        "state": step.state,
        "calling_ae_title": step.calling_ae_title,
        "created_at": step.created_at.isoformat(),
        "changed_at": step.changed_at.isoformat(),
    }
