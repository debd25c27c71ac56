"""``medserver config``: check and show the configuration."""

from __future__ import annotations

import dataclasses

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.config.options import options_of
from medserver.config.settings import Setting
from medserver.config.values import without_password


@click.group()
def command() -> None:
    """Check and show the configuration."""


@command.command()
@json_option
@pass_invocation
def check(invocation: Invocation, as_json: bool) -> None:
    """Read the configuration and report every mistake."""
    config = invocation.config
    if as_json:
        echo_json({"file": str(invocation.config_file.path), "ok": True, "ae_count": len(config.remotes)})
        return
    click.echo(f"{invocation.config_file.path}: no mistakes, {len(config.remotes)} AEs")


@command.command()
@json_option
@pass_invocation
def show(invocation: Invocation, as_json: bool) -> None:
    """Show every option with its value and where the value comes from."""
    settings = [_without_secrets(setting) for setting in invocation.config_file.settings]
    if as_json:
        echo_json([_described(setting) for setting in settings])
        return
    section = None
    for setting in settings:
        if setting.section != section:
            section = setting.section
            click.echo(f"[{section}]")
        text = ", ".join(setting.text.split("\n"))
        click.echo(f"{f'{setting.option} = {text}':<48}  ; {setting.origin}")


def _without_secrets(setting: Setting) -> Setting:
    """Hide the password in a URL."""
    if setting.option == "url":
        return dataclasses.replace(setting, text=without_password(setting.text))
    return setting


def _described(setting: Setting) -> dict[str, str]:
    """Return a setting with what the table of options says about it."""
    option = options_of(setting.section.partition(" ")[0])[setting.option]
    return {
        **dataclasses.asdict(setting),
        "type": option.type.name,
        "unit": option.unit,
        "help": option.help,
    }
