"""``medserver processing``: types of image processing, rules, requests, and what was made from what."""

from __future__ import annotations

import click

from medserver.cli.invocation import Invocation, echo_json, echo_table, json_option, pass_invocation
from medserver.cli.processing_derivations import derivations
from medserver.cli.processing_rules import list_rules, test
from medserver.cli.processing_run import run
from medserver.config import Config
from medserver.processing.parameters import Parameter
from medserver.processing.types import ProcessingType, all_types, find_type


@click.group()
def command() -> None:
    """Have images processed; see types, rules, and what was made from what."""


for _one in (run, derivations, list_rules, test):
    command.add_command(_one)


@command.command("types")
@json_option
@pass_invocation
def list_types(invocation: Invocation, as_json: bool) -> None:
    """List the types of processing: ours, those of plug-ins, and those of the configuration."""
    types = all_types(_config(invocation))
    if as_json:
        echo_json([_described(kind) for kind in types])
        return
    header = ("TYPE", "VERSION", "OF EACH", "IMAGES", "WHAT")
    echo_table(header, [_row(kind) for kind in types], shrinks=True)


@command.command()
@click.argument("type_name", metavar="TYPE")
@json_option
@pass_invocation
def show(invocation: Invocation, type_name: str, as_json: bool) -> None:
    """Show what TYPE makes, and its parameters with units, bounds and defaults."""
    kind = find_type(type_name, _config(invocation))
    if as_json:
        echo_json(_described(kind))
        return
    click.echo(f"{kind.name} {kind.version}: {kind.meaning}")
    click.echo(f"takes: {_images(kind)}, each {kind.scope} for itself")
    click.echo(f"makes: {kind.makes}")
    if kind.command is not None:
        image = f" in a container of {kind.command.image}" if kind.command.image else ""
        click.echo(f"by: {' '.join(kind.command.command) or 'the program of the image'}{image}")
    click.echo(f"a part of the result alone: {'yes' if kind.is_partial else 'no'}")
    if kind.parameters:
        click.echo()
        header = ("PARAMETER", "DEFAULT", "VALUES", "MEANING")
        echo_table(header, [_parameter_row(parameter) for parameter in kind.parameters], shrinks=True)


def _config(invocation: Invocation) -> Config | None:
    """Return the configuration, if there is one: the types that need none are listed without."""
    return invocation.config if invocation.config_path.exists() else None


def _row(kind: ProcessingType) -> tuple[str, ...]:
    return (kind.name, kind.version, kind.scope, _images(kind), kind.meaning)


def _images(kind: ProcessingType) -> str:
    return ", ".join(kind.modalities) or "any"


def _parameter_row(parameter: Parameter) -> tuple[str, ...]:
    return (parameter.name, parameter.default_text(), parameter.values_text(), parameter.meaning)


def _described(kind: ProcessingType) -> dict[str, object]:
    return {
        "name": kind.name,
        "meaning": kind.meaning,
        "version": kind.version,
        "scope": kind.scope,
        "modalities": list(kind.modalities),
        "makes": kind.makes,
        "is_partial": kind.is_partial,
        "command": _described_command(kind),
        "parameters": [_described_parameter(parameter) for parameter in kind.parameters],
    }


def _described_command(kind: ProcessingType) -> dict[str, object] | None:
    entry = kind.command
    if entry is None:
        return None
    limits = {"memory_max_bytes": entry.memory_max_bytes, "time_max_s": entry.time_max_s, "cpus": entry.cpus}
    limits |= {"files_max": entry.files_max, "output_max_bytes": entry.output_max_bytes}
    return {"command": list(entry.command), "image": entry.image, "new_uids": entry.new_uids} | limits


def _described_parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "meaning": parameter.meaning,
        "kind": parameter.kind,
        "unit": parameter.unit,
        "count": parameter.count,
        "default": parameter.default,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "choices": list(parameter.choices),
    }
