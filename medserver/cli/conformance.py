"""``medserver conformance``: what the node promises to its peers (PS3.2 N)."""

from __future__ import annotations

import click

from medserver import conformance
from medserver.cli.invocation import echo_json, json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Print the DICOM conformance statement.

    It has the layout of PS3.2 Annex N, is written in reStructuredText, and is made from the tables that the
    node works with. No configuration is needed: what can be configured is shown with its default.
    """
    if as_json:
        echo_json(conformance.facts())
    else:
        click.echo(conformance.to_restructured_text(conformance.statement()), nl=False)
