"""What a delivery waits for: every state of a job, its lane, its rule and the clock, against a table written anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from itertools import product
from pathlib import Path

import pytest

from medserver.config import Config, read_config
from medserver.delivery.answers import Answer
from medserver.delivery.waiting import Wait, WaitsFor, wait_of
from medserver.dicom import status
from medserver.index import Job, Lane, LaneState
from medserver.index.jobs.records import IN_TURN, STATES
from medserver.routing.deliveries import OUTBOX_KINDS, Delivery
from tests.cli.conftest import config_path  # noqa: F401 - a fixture
from tests.clock import NOON
from tests.documents import parse, tables
from tests.peers.command_line import invoke

LATER, MUCH_LATER = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
FULL, DOWN = status.describe(status.OUT_OF_RESOURCES), "cannot connect to ARCHIVE: refused"
HOURS = {"open": "0-24", "closed": f"{NOON.astimezone().hour + 2}-{NOON.astimezone().hour + 3}"}
ACTIONS = {"notify": "availability", "forward_step": "both"}


@dataclass(frozen=True)
class Case:
    kind: str
    state: str
    rule: str  # "open" or "closed", by its hours; "lost" or "none"
    is_paused: bool
    pause_reason: str
    paused_until: object
    due_at: object

    @property
    def action(self) -> str:
        return self.kind if self.kind in ACTIONS else "deliver"

    def config(self) -> Config:
        text = "[ae ARCHIVE]\naddress = 127.0.0.1:1\n"
        if self.rule in HOURS:
            text += f"[route r]\nto = ARCHIVE\nhours = {HOURS[self.rule]}\n"
            text += f"send = {ACTIONS[self.kind]}\n" if self.kind in ACTIONS else ""
        return read_config(text, base=Path("/nowhere")).config

    def wait(self) -> Wait:
        lane = LaneState(Lane(self.kind, "ARCHIVE"), self.is_paused, None, self.paused_until, self.pause_reason, 1)
        job = Job(1, self.kind, "ARCHIVE", "", {}, 1, self.state, 1, self.due_at, IN_TURN, None, None, None)
        delivery = Delivery("1.2", self.action, None if self.rule == "none" else "r", "")
        return wait_of(job, delivery, lane, self.config(), NOON)

    def expected(self) -> str:
        is_alone = self.paused_until is not None and self.paused_until > NOON and self.kind != "hold"
        holds_up = [
            (self.state in ("dead", "undecided"), "decision"),
            (self.state == "running", {"hold": "completeness", "confirm": "commitment"}.get(self.kind, "nothing")),
            (self.rule == "lost" and self.kind != "confirm", "decision"),
            (self.is_paused, "pause"),
            (self.kind == "hold", "completeness"),
            (self.rule == "closed" and self.kind != "confirm", "hours"),
            (is_alone and self.pause_reason == FULL, "resources"),
            (is_alone, "connection"),
            (self.kind == "confirm", "commitment"),
            (self.due_at > NOON, "next-try"),
        ]
        return next((what for holds, what in holds_up if holds), "turn")


PAUSES = [("", None), (DOWN, MUCH_LATER), (FULL, MUCH_LATER), (DOWN, NOON), (FULL, IN_TURN)]


@pytest.mark.parametrize("kind", OUTBOX_KINDS)
@pytest.mark.parametrize("state", STATES)
def test_every_state(kind: str, state: str) -> None:
    seen = set()
    rest = product(["open", "closed", "lost", "none"], [False, True], PAUSES, [IN_TURN, NOON, LATER])
    for rule, is_paused, (reason, until), due_at in rest:
        case = Case(kind, state, rule, is_paused, reason, until, due_at)
        wait = case.wait()
        assert wait.what.value == case.expected(), case
        seen.add(wait.what)
        if wait.what in (WaitsFor.NOTHING, WaitsFor.PAUSE, WaitsFor.DECISION) or state == "running":
            assert wait.next_try_at is None, case
        elif wait.what is WaitsFor.HOURS:
            assert wait.next_try_at.astimezone().hour == NOON.astimezone().hour + 2, case
        else:
            is_alone = until is not None and kind != "hold"
            assert wait.next_try_at == max(NOON, due_at, until if is_alone else NOON), case
    assert len(seen) == 1 if state != "waiting" else len(seen) >= 3


def of_manual(page: str, title: str) -> list[str]:
    """Return the first column of a table of the manual, without the names of columns and rows that go on."""
    text = resources.files("medserver.manual").joinpath(page).read_text()
    return [row[0] for row in tables(parse(text))[title][1:] if row[0]]


def test_the_manual_names_all_that_is_waited_for() -> None:
    assert sorted(of_manual("routing.rst", "What a delivery waits for")) == sorted(each.value for each in WaitsFor)
    assert of_manual("jobs.rst", "States of jobs") == [*STATES]
    assert len(of_manual("routing.rst", "What an answer to C-STORE means")) == len(Answer)


def test_the_command_names_all_that_is_waited_for(config_path: Path) -> None:  # noqa: F811
    told = invoke("--config", config_path, "outbox", "--help").stdout
    assert [line.split()[0] for line in told.partition("WAITS FOR is")[2].splitlines()[1:11]] == [
        each.value for each in WaitsFor
    ]
