"""The table of states and events of the manual's page `design` says what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver.cli.manual import pages
from tests.life.events import EVENTS
from tests.life.life import Life

STATES = {
    "A is stored": ("receive", "jobs"),
    "A is retired": ("receive", "compress", "jobs"),
    "A is ordered to be deleted": ("receive", "jobs", "order"),
}
Row = tuple[str | None, str | None, set[str]]
"""The answer to a sender; when all is done, which content is current, and which are stored."""

_A: Row = (None, "A", {"A"})
_GONE: Row = (None, None, set())
ROWS: dict[tuple[str, str], tuple[Row, Row, Row]] = {
    ("A is received", "receive"): (("same", "A", {"A"}),) * 3,
    ("B, ``keep``", "receive other, keep"): (("kept", "A", {"A", "B"}),) * 3,
    ("B, ``replace``", "receive other, replace"): (
        ("replaced", "B", {"A", "B"}),
        ("replaced", "B", {"A", "B"}),
        ("replaced", "B", {"B"}),
    ),
    ("B, ``reject``", "receive other, reject"): (
        ("rejected", "A", {"A"}),
        ("rejected", "A", {"A"}),
        ("rejected", None, set()),
    ),
    ("it is compressed", "compress"): (_A, _A, _GONE),
    ("a copy is lost or bad", "lose"): (_A, _A, _GONE),
    ("the order is carried out", "delete"): (_A, _A, _GONE),
    ("its rows are lost by a", "power cut"): (_A, _A, _GONE),
}


@pytest.mark.parametrize("row", ROWS, ids=[event for _, event in ROWS])
@pytest.mark.parametrize("state", STATES)
def test_the_table_of_the_manual(template: Life, tmp_path: Path, state: str, row: tuple[str, str]) -> None:
    label, event = row
    assert f"\n{label} " in pages()["design"] and f" {state}" in pages()["design"]
    answer, current, stored = ROWS[row][list(STATES).index(state)]
    with template.copy_to(tmp_path / "life") as life:
        for before in STATES[state]:
            EVENTS[before](life)
            life.clock.advance(60)
        assert EVENTS[event](life) == answer
        life.run()
        found = life.current()
        assert (found and life.content_of(found), life.stored()) == (current, stored)
