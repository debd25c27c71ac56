"""What one run of the program was given: the record that every subcommand receives from click."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medserver.cli.text import fitted, shortened
from medserver.errors import ConfigError

if TYPE_CHECKING:
    from medserver.config import Config, ConfigFile

LOOK_EVERY_S = 0.005
"""How old the configuration may be that an operation works with; a look at the file for each costs too much."""


@dataclass(frozen=True)
class Invocation:
    """The options in front of the subcommand.

    Parameters
    ----------
    config_path : Path
        The file that ``--config`` names.
    overrides : tuple of str
        The texts of ``--set``.
    debug : bool
        Whether tracebacks are shown.
    """

    config_path: Path
    overrides: tuple[str, ...] = ()
    debug: bool = False

    @cached_property
    def config_file(self) -> ConfigFile:
        """The configuration, read when first needed.

        Raises
        ------
        ConfigError
            If it cannot be used.
        """
        if not self.config_path.exists():
            raise ConfigError(f"{self.config_path}: no such file (name another with --config)")
        from medserver.config import ConfigFile  # --version and --help do without

        return ConfigFile(self.config_path, self.overrides, os.environ, look_every_s=LOOK_EVERY_S)

    @property
    def config(self) -> Config:
        """What the configuration says now."""
        return self.config_file.current


pass_invocation = click.make_pass_decorator(Invocation)

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for machines.")


def echo_json(document: object) -> None:
    """Write one JSON document; characters outside ASCII are escaped, as they may come from a peer."""
    click.echo(json.dumps(document, indent=2))


def echo_table(header: tuple[str, ...], rows: list[tuple[str, ...]], *, shrinks: bool = False) -> None:
    """Write columns, each as wide as its widest cell; with `shrinks` a terminal gets what it has room for."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if shrinks and sys.stdout.isatty():
        widths = fitted(widths, shutil.get_terminal_size().columns)
    for row in [header, *rows]:
        cells = [shortened(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
