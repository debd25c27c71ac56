"""What came of collecting: noted in the index, for the schedule and for the administrator."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from medserver.node import Node


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one time.

    Parameters
    ----------
    studies, instances : int
        How many were found at the AE; instances of studies that are complete here are not looked at, nor counted.
    missing, fetched : int
        How many instances were lacking, and how many of them came.
    problem : str
        Why it ended early, or what the AE could not send; empty if all is here.
    """

    studies: int = 0
    instances: int = 0
    missing: int = 0
    fetched: int = 0
    problem: str = ""

    def described(self) -> dict[str, object]:
        """Return it for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LastRun:
    """What came of the last time that an entry was performed.

    Parameters
    ----------
    at : datetime
        When it ended.
    run : Run
        What came of it.
    failures : int
        How often in a row the AE could not be asked.
    """

    at: datetime
    run: Run
    failures: int = 0


def last_run(node: Node, name: str) -> LastRun | None:
    """Return what came of the last time that an entry was performed, None if it never was."""
    text = node.index.progress_get(_key(name))
    if text is None:
        return None
    noted = json.loads(text)
    return LastRun(datetime.fromisoformat(noted["at"]), Run(**noted["run"]), noted["failures"])


def note_run(node: Node, name: str, last: LastRun) -> None:
    """Note what came of an entry."""
    noted = {"at": last.at.isoformat(), "failures": last.failures, "run": last.run.described()}
    node.index.progress_set(_key(name), json.dumps(noted))


def _key(name: str) -> str:
    return f"poll:{name}"
