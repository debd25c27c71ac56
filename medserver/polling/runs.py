"""What came of collecting: noted in the index, for the schedule and for the administrator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from medserver.node import Node


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one time.

    Parameters
    ----------
    studies, instances : int
        How many were found at the AE.
    missing, fetched : int
        How many instances were lacking, and how many of them came.
    deleted : int
        How many were deleted here, and are not fetched for that reason.
    problem : str
        Why it ended early, or what the AE could not send; empty if all is here.
    skipped_count : int
        How many studies were skipped because of a failure of the AE, this time or before. They are tried again the
        next time, after the others.
    skipped : mapping of str to str
        Study Instance UID to the reason, of some of them.
    is_continued : bool
        Whether it has given way to others, and is continued as soon as its turn comes.
    """

    studies: int = 0
    instances: int = 0
    missing: int = 0
    fetched: int = 0
    problem: str = ""
    skipped_count: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)
    deleted: int = 0
    is_continued: bool = False

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
    text = node.index.progress.get(_key(name))
    if text is None:
        return None
    noted = json.loads(text)
    return LastRun(datetime.fromisoformat(noted["at"]), Run(**noted["run"]), noted["failures"])


def note_run(node: Node, name: str, last: LastRun) -> None:
    """Note what came of an entry."""
    noted = {"at": last.at.isoformat(), "failures": last.failures, "run": last.run.described()}
    node.index.progress.set(_key(name), json.dumps(noted))


def _key(name: str) -> str:
    return f"poll:{name}"
