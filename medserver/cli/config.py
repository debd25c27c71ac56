"""``medserver config``: check and show the configuration."""

from __future__ import annotations

import dataclasses

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.text import count_in_words
from medserver.config.options import Option, options_of
from medserver.config.settings import Setting
from medserver.config.values import LINES, without_password
from medserver.errors import ConfigError


@click.group()
def command() -> None:
    """Check and show the configuration."""


@command.command()
@json_option
@pass_invocation
def check(invocation: Invocation, as_json: bool) -> None:
    """Read the configuration and report every mistake, those of rules by which is processed or printed as well."""
    config = invocation.config
    if config.processings or config.types:
        from medserver.processing.checking import problems_of  # with the types, which takes a while

        problems = list(problems_of(config))
        if problems:
            raise ConfigError(problems)
    if any(route.printer for route in config.routes):
        from medserver.printing import checking

        problems = list(checking.problems_of(config))
        if problems:
            raise ConfigError(problems)
    if as_json:
        echo_json({"file": str(invocation.config_file.path), "ok": True, "ae_count": len(config.remotes)})
        return
    click.echo(f"{invocation.config_file.path}: no mistakes, {count_in_words(len(config.remotes), 'AE')}")


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
        first, *others = _lines(setting)
        click.echo(f"{f'{setting.option} = {first}':<48}  ; {setting.origin}")
        for line in others:
            click.echo(f"    {line}")


def _lines(setting: Setting) -> list[str]:
    """Return the lines in which a value is written: one, unless the line ends say something."""
    lines = setting.text.split("\n")
    option = _option(setting)
    return lines if option is not None and option.type.name == LINES else [", ".join(lines)]


def _option(setting: Setting) -> Option | None:
    """Return the row of the table, None for an option that is named as an attribute is."""
    return options_of(setting.section.partition(" ")[0]).get(setting.option)


def _without_secrets(setting: Setting) -> Setting:
    """Hide the password in a URL."""
    if setting.option == "url":
        return dataclasses.replace(setting, text=without_password(setting.text))
    return setting


def _described(setting: Setting) -> dict[str, str]:
    """Return a setting with what the table of options says about it."""
    option = _option(setting)
    return {
        **dataclasses.asdict(setting),
        "type": option.type.name if option else "key",
        "unit": option.unit if option else "",
        "help": option.help if option else "What the attribute of this name has to match, as in a C-FIND.",
    }
