"""Every pair of events in both orders, in one of two states of an instance, until all jobs are done.

SQLite for all; PostgreSQL for one pair of each event. Every pair in all states: `scripts/life --pairs`; longer walks:
`scripts/life`.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.life.checks import play_to_the_end
from tests.life.conftest import States
from tests.life.events import EVENTS
from tests.life.life import Life
from tests.life.model import Model

Playing = Callable[..., None]


@pytest.fixture
def play_all(states: States, tmp_path: Path) -> Iterator[Playing]:
    """Give a function that plays events in a state, and what must follow from them."""

    def perform(state: str, *events: str) -> None:
        before, model = states[state]
        folder = tmp_path / "life"
        with before.copy_to(folder) as life:
            play_to_the_end(life, copy.deepcopy(model), *events)
        shutil.rmtree(folder)

    yield perform


@pytest.mark.parametrize("first", EVENTS)
def test_every_pair(play_all: Playing, first: str) -> None:
    """The states take turns, so that each event is the first and the second one in both."""
    for number, second in enumerate(EVENTS, start=list(EVENTS).index(first)):
        play_all(("received", "retired")[number % 2], first, second)


@pytest.mark.parametrize("first", EVENTS)
def test_pairs_on_postgresql(new_database, template: Life, tmp_path: Path, first: str) -> None:
    """Each event before another one; which one goes round, so that all come at both places."""
    names = list(EVENTS)
    second = names[(names.index(first) * 5 + 3) % len(names)]
    life = Life(tmp_path / "life", template.images, template.workers, new_database())
    life.new()
    with life:
        play_to_the_end(life, Model(), "receive", "copy", first, second)
