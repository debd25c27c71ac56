"""How far an item has come is told while it is computed, and not too often."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from medserver.index import JobFilter
from medserver.node import Node
from medserver.processing import task
from medserver.processing.progress import Note, Progress, noted
from medserver.workitems.content import content_of, first_item, value
from medserver.workitems.events import PROGRESS_REPORT
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload
from tests.peers.process import wait_until
from tests.processing import items, phantoms
from tests.processing.conftest import WORKITEM
from tests.processing.test_limits import PATIENCE_S, open_one, types, working  # noqa: F401 - fixtures

TOLD = "ProcedureStepProgressInformationSequence"


def percent(node: Node) -> str:
    return value(first_item(content_of(items.row_of(node).content), TOLD), "ProcedureStepProgress")


def reports(node: Node) -> list[EventPayload]:
    events = map(EventPayload.of, node.index.jobs.list(JobFilter(kind=UPS_EVENT)))
    return [each for each in events if each.event_type_id == PROGRESS_REPORT]


def test_what_takes_long_tells_how_far_it_is(open_one: Callable[..., Node], tmp_path: Path) -> None:  # noqa: F811
    options = ("ae DEST.address=127.0.0.1:1",)
    with closing(open_one(*options, slices=4)) as node, working(node):
        items.watch(node, "DEST")
        mark = tmp_path / "mark"
        items.request(node, items.instances(4), kind="linger", parameters={"mark": str(mark)})
        wait_until(lambda: percent(node) == "12", deadline_s=PATIENCE_S, what="half of one of four")
        revision = items.row_of(node).revision
        [report] = reports(node)
        [told] = report.information["00741002"]["Value"]
        assert value(told, "ProcedureStepProgress") == "12"
        mark.touch()
        wait_until(lambda: items.row_of(node).state == "COMPLETED", deadline_s=PATIENCE_S, what="the end")
        assert items.row_of(node).revision == revision + 1, "what stays the same is not told again"


def test_what_is_done_at_once_tells_nothing(open_one: Callable[..., Node]) -> None:  # noqa: F811
    with closing(open_one("ae DEST.address=127.0.0.1:1", slices=4)) as node:
        items.watch(node, "DEST")
        items.request(node, items.instances(4))
        items.perform(node)
        assert items.row_of(node).state == "COMPLETED" and reports(node) == [] and percent(node) == ""


def test_it_is_told_once_a_second_at_most_and_only_more() -> None:
    told: list[int] = []
    now = [0.0]
    one = Progress(told.append, lambda: now[0])
    asked: list[float] = []

    def fraction(given: float) -> float:
        asked.append(given)
        return given

    for now[0], given in ((0.5, 0.5), (1.0, 0.1), (1.9, 0.3), (2.1, 0.4), (3.2, 0.2), (4.3, 0.404), (5.4, 1.0)):
        one.at(lambda given=given: fraction(given))
    assert told == [10, 40, 99] and asked == [0.1, 0.4, 0.2, 0.404, 1.0]


def test_parts_are_added_up(tmp_path: Path) -> None:
    now = [0.0]
    notes = [Note(tmp_path, index, lambda: now[0]) for index in range(2)]
    notes[0].reached(0.9)
    assert noted(tmp_path, 2) == 0.0, "not before its time"
    now[0] = 1.0
    notes[0].reached(0.5)
    assert noted(tmp_path, 2) == 0.25
    notes[1].reached(1.0)
    notes[0].reached(1.0)
    assert noted(tmp_path, 2) == 0.75
    (tmp_path / "progress-0").write_text("7e9")
    (tmp_path / "progress-1").write_text("nonsense")
    assert noted(tmp_path, 2) == 0.5 and noted(tmp_path, 1) == 1.0


VOLUME = np.random.default_rng(5).integers(0, 2000, (12, 24, 24)).astype(np.uint16)
EACH = {
    "denoise": ({}, 10),
    "reformat": ({}, 10),
    "segment": ({"lower": 100}, 5),
    "multiframe": ({}, 10),
    "register": ({}, 20),
}
"""Types, parameters, and how often they note how far they are, at least."""


@pytest.mark.parametrize("kind", EACH)
def test_each_type_notes_how_far_it_is(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[float] = []

    class Noting(Note):
        def reached(self, fraction: float) -> None:
            reached.append(fraction)
            super().reached(fraction)

    if kind == "register":
        pytest.importorskip("SimpleITK")
    monkeypatch.setattr(task, "Note", Noting)
    instances = phantoms.ct_series(VOLUME)
    if kind == "register":
        instances += phantoms.ct_series(VOLUME, series=2)
    inputs, outputs = phantoms.write(tmp_path / "in", instances), tmp_path / "out"
    outputs.mkdir()
    parameters, least = EACH[kind]
    task.perform(kind, str(inputs), str(outputs), parameters, WORKITEM)
    assert len(reached) >= least and reached[0] < 0.5 and reached[-1] == 1.0
    assert reached == sorted(reached)
