"""A group of commands of which each is imported when it is called: one that needs much makes the others no slower."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class GroupOnDemand(click.Group):
    """A group whose commands are imported when they are called, or listed with their summaries.

    Parameters
    ----------
    *args, **attributes
        As for `click.Group`.
    modules : mapping of str to str
        Name -> module and name in it, as in ``print_rows:queue``.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such one."""
        if cmd_name not in self._modules:
            return None
        module, _, name = self._modules[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"medserver.cli.{module}"), name)
        return found
