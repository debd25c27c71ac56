"""What may be stored of an instance: the rules of duplicates, of deletion, and of what is received again.

Nobody knows what became of a request that was not answered, nor when a worker carries an order of deletion out: so an
instance has several states that are right, and is in one of them.
"""

from __future__ import annotations

from typing import NamedTuple

KEEP, REPLACE = "keep", "replace"


class State(NamedTuple):
    """One of the states that are right.

    Parameters
    ----------
    stored : frozenset of str
        The versions that are stored, by the SHA-256 of their data sets as they were received.
    current : str
        Which of them is the current one; empty if none is stored.
    ordered : frozenset of str
        Those that are to be deleted.
    """

    stored: frozenset[str] = frozenset()
    current: str = ""
    ordered: frozenset[str] = frozenset()


_DELETION = ""


class History:
    """What was asked and answered of one instance, in its order.

    Parameters
    ----------
    duplicates : str
        The rule of the archive: ``keep`` or ``replace``.
    """

    def __init__(self, duplicates: str) -> None:
        self._duplicates = duplicates
        self._states = {State()}
        self._asked: str | None = None
        self.pixels: dict[str, str] = {}

    def ask(self, version: str, pixels: str) -> None:
        """Note that a version is sent.

        Parameters
        ----------
        version : str
            SHA-256 of its data set.
        pixels : str
            SHA-256 of its pixels.
        """
        self._begin(version)
        self.pixels[version] = pixels

    def ask_for_deletion(self) -> None:
        """Note that the deletion of the instance is asked for."""
        self._begin(_DELETION)

    def answer(self) -> None:
        """Note that what was asked last has been answered with success."""
        assert self._asked is not None
        self._states = self._after(self._asked)
        self._asked = None

    @property
    def is_certain(self) -> bool:
        """Whether everything that was asked was answered."""
        return self._asked is None

    def states(self) -> set[State]:
        """Return the states that are right now."""
        return _in_time(self._states if self._asked is None else self._states | self._after(self._asked))

    def states_at_rest(self) -> set[State]:
        """Return the states that are right when nothing is left to do."""
        return {state for state in self.states() if not state.ordered}

    def _begin(self, asked: str) -> None:
        self._states = self.states()
        self._asked = asked

    def _after(self, asked: str) -> set[State]:
        before = _in_time(self._states)
        if asked == _DELETION:
            return _in_time({state._replace(ordered=state.stored) for state in before})
        return _in_time({self._received(state, asked) for state in before})

    def _received(self, state: State, version: str) -> State:
        if version in state.stored:
            return state._replace(ordered=frozenset())
        if not state.stored:
            return State(frozenset({version}), version)
        if self._duplicates == KEEP:
            return State(state.stored | {version}, state.current)
        return State(state.stored | {version}, version, state.ordered)


def _in_time(states: set[State]) -> set[State]:
    """Add the states in which a worker has carried the orders out."""
    return states | {_without(state, state.ordered) for state in states if state.ordered}


def _without(state: State, versions: frozenset[str]) -> State:
    left = state.stored - versions
    return State(left, state.current if state.current in left else "")
