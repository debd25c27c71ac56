"""Types of options and arguments that click takes too generously."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

SECONDS_MAX = 86_400.0
"""A day: longer waits are mistakes, and the longest overflow the timers of the operating system."""


class Seconds(click.FloatRange):
    """A length of time above 0, and a number at that: ``nan`` is in every range of click's."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=SECONDS_MAX)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return seconds


class NamedPath(click.Path):
    """A path that names something: an empty one would be the folder that the program happens to be in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("an empty path names nothing; write . for the current folder.", param, ctx)
        return super().convert(value, param, ctx)
