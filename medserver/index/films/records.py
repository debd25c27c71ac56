"""Films as they go into the index and come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from medserver.index.jobs.records import NewJob


@dataclass(frozen=True, slots=True)
class NewFilm:
    """A film that is to be printed.

    Parameters
    ----------
    uid : str
        Its UID; that of the Print Job, where somebody asks for one.
    printer : str
        The name of the ``[printer NAME]`` entry.
    requested_by : str
        The AE title, or what else asked for it.
    origin : str
        How it was asked for, see `medserver.printing.queue`.
    label : str
        Film Session Label, or what else people call it.
    priority : str
        Print Priority: HIGH, MED or LOW.
    copies : int
        How often it is printed.
    content : str
        The film, see `medserver.printing.film`.
    volume : str
        The volume with its images, which are then a file of this UID there; empty if it brings none.
    request_uid : str
        The work item or the Print Job that it is part of, with others perhaps; empty if there is none.
    """

    uid: str
    printer: str
    requested_by: str
    origin: str
    label: str
    priority: str
    copies: int
    content: str
    volume: str = ""
    request_uid: str = ""


@dataclass(frozen=True, slots=True)
class FilmRow(NewFilm):
    """A film that was asked for, and what has become of it. It is a `NewFilm`, and more.

    Parameters
    ----------
    state : str
        Execution Status (PS3.3 C.13.8), or CANCELED.
    status_info : str
        Execution Status Info.
    detail : str
        The same in words: what happened last.
    printed_by : str
        The printer that has it: another one than `printer` if that was a substitute; empty before any has.
    reference : str
        What the printer calls it; empty while it is not known to have it.
    handovers : int
        How often it was begun to hand it over: what was begun and has no reference may have been printed.
    printings : int
        How often somebody has asked for it to be printed again; the hand-overs of each time are counted by themselves.
    created_at, changed_at : datetime
        When it was asked for, and when this was last changed.
    ended_at : datetime or None
        When it was done, given up or cancelled; None before that.
    id : int
        Its number: a later one has a higher number.
    """

    state: str = "PENDING"
    status_info: str = ""
    detail: str = ""
    printed_by: str = ""
    reference: str = ""
    handovers: int = 0
    printings: int = 0
    created_at: datetime = datetime.min
    changed_at: datetime = datetime.min
    ended_at: datetime | None = None
    id: int = 0

    @property
    def name(self) -> str:
        """Return what printers know it by: its UID, and which time it is when it is printed again."""
        return f"{self.uid}-{self.printings + 1}" if self.printings else self.uid


@dataclass(frozen=True, slots=True)
class FilmChange:
    """What a film becomes, and the jobs that follow; the names are those of `FilmRow`."""

    state: str
    status_info: str
    detail: str
    printed_by: str
    reference: str
    handovers: int
    printings: int
    is_final: bool
    printer: str
    jobs: Sequence[NewJob] = ()
