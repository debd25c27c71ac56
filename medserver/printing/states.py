"""The states of a film, and what they become: one table, and one function through which films change.

A film is PENDING until it is begun to be handed over, PRINTING until the printer is done with it, and then DONE.
FAILURE and CANCELED are ends too, from which it comes back by `RETRY`. How often a hand-over was begun is counted in
the row before it is begun: what was begun, and has no reference, may have been printed.

References
----------
PS3.3 C.13.8
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

from medserver.audit import AuditRow
from medserver.errors import ActionNotAppropriate, NoSuchInstance
from medserver.index import FilmChange, FilmRow, NewJob
from medserver.node import Node
from medserver.printing.telling import rows_of_end

PENDING, PRINTING, DONE, FAILURE, CANCELED = "PENDING", "PRINTING", "DONE", "FAILURE", "CANCELED"
STATES = (PENDING, PRINTING, DONE, FAILURE, CANCELED)
FINAL = frozenset((DONE, FAILURE, CANCELED))


class Happening(Enum):
    """What happens to a film."""

    HANDOVER_BEGUN = "begun to hand over"
    NOT_TAKEN = "not taken by the printer, for certain"
    HANDED_OVER = "handed over"
    FOLLOWED = "followed"
    WAITS = "waits"
    PRINTED = "printed"
    FAILED = "failed for good"
    CANCEL = "cancelled"
    RETRY = "printed again"


TRANSITIONS: Mapping[tuple[str, Happening], str] = MappingProxyType(
    {
        (PENDING, Happening.HANDOVER_BEGUN): PRINTING,
        (PRINTING, Happening.HANDOVER_BEGUN): PRINTING,  # a worker was lost in the midst of it
        (PRINTING, Happening.NOT_TAKEN): PENDING,
        (PRINTING, Happening.HANDED_OVER): PRINTING,
        (PRINTING, Happening.FOLLOWED): PRINTING,
        (PENDING, Happening.WAITS): PENDING,
        (PRINTING, Happening.WAITS): PRINTING,
        (PRINTING, Happening.PRINTED): DONE,
        (PENDING, Happening.FAILED): FAILURE,
        (PRINTING, Happening.FAILED): FAILURE,
        (PENDING, Happening.CANCEL): CANCELED,
        (PRINTING, Happening.CANCEL): CANCELED,
        (FAILURE, Happening.RETRY): PENDING,
        (CANCELED, Happening.RETRY): PENDING,
        (DONE, Happening.RETRY): PENDING,
    }
)
"""State and what happens -> the state that follows; what is not here does not happen to a film."""


_TOLD = frozenset((Happening.PRINTED, Happening.FAILED))
"""What the audit trail tells of films: that one is printed, or never will be."""


def change_film(
    node: Node,
    uid: str,
    happening: Happening,
    *,
    printings: int | None = None,
    handovers: int | None = None,
    info: str | None = None,
    detail: str | None = None,
    printed_by: str | None = None,
    reference: str | None = None,
    printer: str | None = None,
    jobs: Sequence[NewJob] = (),
) -> FilmRow:
    """Let something happen to a film.

    Parameters
    ----------
    node : Node
        Where it was asked for.
    uid : str
        Which.
    happening : Happening
        What.
    printings, handovers : int, optional
        Which time it is printed, and how many hand-overs of that had been begun, when it was decided. If it is printed
        again since, or another hand-over was begun, somebody else has the film: it stays as it is.
    info, detail, printed_by, reference, printer
        New values of the row; None: as they are.
    jobs : sequence of NewJob
        What follows, in the same transaction.

    Returns
    -------
    FilmRow
        As it was before.

    Raises
    ------
    NoSuchInstance
        There is no such film.
    ActionNotAppropriate
        This does not happen to a film in its state, or somebody else has it.
    """

    def decided(film: FilmRow) -> FilmChange:
        state = _state_after(film, happening, printings, handovers)
        return _becoming(film, happening, state, [*jobs, *told], info, detail, printed_by, reference, printer)

    told = rows_of_end(node, uid, is_printed=happening is Happening.PRINTED) if happening in _TOLD else []
    before = node.index.films.change(uid, decided)
    if before is None:
        raise NoSuchInstance(f"there is no film {uid}")
    return before


def _becoming(
    film: FilmRow, happening: Happening, state: str, jobs: Sequence[NewJob | AuditRow],
    info: str | None, detail: str | None, printed_by: str | None, reference: str | None, printer: str | None,
) -> FilmChange:  # fmt: skip
    """Return what a film becomes; what is None stays as it is."""
    begun = film.handovers + {Happening.HANDOVER_BEGUN: 1, Happening.NOT_TAKEN: -1}.get(happening, 0)
    begun = 0 if happening is Happening.RETRY else begun
    may_be_had = "" if happening is Happening.NOT_TAKEN and begun == 0 else film.printed_by
    is_anew = happening in (Happening.HANDOVER_BEGUN, Happening.NOT_TAKEN, Happening.RETRY)
    return FilmChange(
        state=state,
        status_info=film.status_info if info is None else info,
        detail=film.detail if detail is None else detail,
        printed_by=may_be_had if printed_by is None else printed_by,
        reference="" if is_anew else film.reference if reference is None else reference,
        handovers=begun,
        printings=film.printings + (happening is Happening.RETRY),
        is_final=state in FINAL,
        printer=film.printer if printer is None else printer,
        jobs=jobs,
    )


def _state_after(film: FilmRow, happening: Happening, printings: int | None, handovers: int | None) -> str:
    """Return the state that follows.

    Raises
    ------
    ActionNotAppropriate
        As `change_film`.
    """
    state = TRANSITIONS.get((film.state, happening))
    if state is None:
        raise ActionNotAppropriate(f"film {film.uid} is {film.state}: it cannot be {happening.value}")
    if printings not in (None, film.printings):
        raise ActionNotAppropriate(f"film {film.uid} is printed again since")
    if handovers not in (None, film.handovers):
        raise ActionNotAppropriate(f"film {film.uid} was begun to hand over by another worker since")
    return state
