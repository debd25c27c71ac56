"""Tables of states and events, as text that is read once: a column for each state, a row for each event."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

State = TypeVar("State", bound=IntEnum)
Event = TypeVar("Event", bound=IntEnum)


def read_table(text: str, states: type[State], events: type[Event]) -> dict[tuple[State, Event], State]:
    """Return the next state, for each state and event; a point stands for a pair that does not happen."""
    (_, *names), *rows = (line.upper().split() for line in text.strip().splitlines())
    return {
        (states[name], events[event]): states[following]
        for event, *cells in rows
        for name, following in zip(names, cells, strict=True)
        if following != "."
    }
