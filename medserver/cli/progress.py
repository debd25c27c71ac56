"""A progress bar on standard error, where that is a terminal, and nothing where it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


ERASE_LINE = "\r\x1b[K"
"""What a terminal erases the line with that the cursor is in (ECMA-48 EL)."""


class Progress:
    """How far some work has come; the bar appears when the amount is known.

    Parameters
    ----------
    label : str
        What stands before the bar.
    visible : bool
        Whether a bar is shown at all.
    """

    def __init__(self, label: str, visible: bool) -> None:
        self._label = label
        self._visible = visible
        self._bar: Any = None
        self._done = 0

    def expect(self, amount: int) -> None:
        """Tell how much there is to do, once; later calls change nothing."""
        if self._visible and self._bar is None and amount > 0:
            self._bar = click.progressbar(length=amount, label=self._label, file=sys.stderr)
            self._bar.__enter__()
            self._bar.update(self._done)

    def advance(self, amount: int = 1) -> None:
        """Tell that so much more is done."""
        self._done += amount
        if self._bar is not None:
            self._bar.update(amount)

    def reach(self, amount: int) -> None:
        """Tell that so much is done in all."""
        if amount > self._done:
            self.advance(amount - self._done)

    def echo(self, text: str, *, err: bool = True) -> None:
        """Write a line above the bar, to standard error or standard output."""
        if self._bar is not None:
            click.echo(ERASE_LINE, nl=False, err=True)
        click.echo(text, err=err)
        if self._bar is not None:
            click.echo(self._bar.format_progress_line(), nl=False, err=True)

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


@contextmanager
def progress(label: str, visible: bool = True) -> Iterator[Progress]:
    """Show the progress of what is done inside.

    Parameters
    ----------
    label : str
        What stands before the bar.
    visible : bool
        False where the output is for machines.
    """
    shown = Progress(label, visible and sys.stderr.isatty())
    try:
        yield shown
    finally:
        shown.close()
