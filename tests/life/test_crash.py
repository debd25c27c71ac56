"""Every pair of events, of which the second is interrupted at a crash point, by a kill or by a power cut.

The process is killed, or the power is cut, which takes what the index had not flushed; then the node starts, and what
was interrupted is done again: a sender had no answer, a worker's lease runs out.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest

from tests.life.checks import DAMAGE, play, play_to_the_end
from tests.life.conftest import STATES, States
from tests.life.crashes import INTERRUPTED, interrupt
from tests.life.events import EVENTS

POINTS = 4
"""The crash points of a pair are chosen among so many; an event that has fewer is interrupted at its first."""


@pytest.mark.parametrize("second", INTERRUPTED)
def test_every_pair_interrupted(states: States, tmp_path: Path, second: str) -> None:
    """Each in one of the states, at one of its points, by a kill or a power cut; the others are for `scripts/life`."""
    row = INTERRUPTED.index(second)
    interrupted = 0
    for number, first in enumerate(EVENTS):
        state = list(STATES)[(number + row) % len(STATES)]
        if second == "compress" and "order" in (*STATES[state], first):
            continue  # what that leaves is not named by the order
        for point in dict.fromkeys([1 + (number // 2 + row) % POINTS, 1]):
            if is_interrupted(states, tmp_path / "life", state, first, second, point, cut=(number + row // 2) % 2 == 1):
                interrupted += 1
                break
    assert interrupted > 0


def is_interrupted(states: States, folder: Path, state: str, first: str, second: str, point: int, cut: bool) -> bool:
    """Play a pair; False if it came to its end before the point."""
    before, model = states[state][0], copy.deepcopy(states[state][1])
    try:
        with before.copy_to(folder) as life:
            events = [second]
            if cut and first not in (*DAMAGE, "promote"):  # what the first one has left unflushed is lost as well
                model.after(first, model.expected_outcomes(first)[0])
                events.insert(0, first)
            else:
                play(life, model, first)
            if not interrupt(life, point, *events, cut=cut):
                return False
            assert model.must - model.ordered <= life.stored()
            play(life, model, second, is_repeated=True)
            play_to_the_end(life, model)
            return True
    finally:
        shutil.rmtree(folder)
