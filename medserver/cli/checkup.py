"""What `doctor` finds, step by step, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import click

OK = "ok"
WARNING = "warning"
PROBLEM = "problem"

_MARKS = {OK: "ok      ", WARNING: "warning ", PROBLEM: "PROBLEM "}


@dataclass(frozen=True)
class Step:
    """One thing that was examined.

    Parameters
    ----------
    name : str
        What was examined, in a word.
    state : str
        `OK`, `WARNING` (it may be as it should) or `PROBLEM`.
    text : str
        What was found, as a sentence.
    advice : str
        What can be done about it; empty if nothing need be.
    """

    name: str
    state: str
    text: str
    advice: str = ""


def shown(steps: Iterable[Step], aloud: bool) -> Iterator[Step]:
    """Yield the steps, and write each as it is done unless the output is for machines."""
    for step in steps:
        if aloud:
            click.echo(f"{_MARKS[step.state]}{step.text}")
            if step.advice:
                click.echo(f"{' ' * len(_MARKS[OK])}{step.advice}")
        yield step


def described(steps: Iterable[Step]) -> list[dict[str, str]]:
    """Return the steps for JSON."""
    return [asdict(step) for step in steps]
