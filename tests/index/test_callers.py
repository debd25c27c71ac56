"""The list of unknown callers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from medserver.index import Index, RejectedCall, open_index
from medserver.index.callers import CALLERS_MAX
from tests.clock import Clock
from tests.index.samples import NOON


@pytest.fixture
def clocked(index_url: str, tmp_path: Path):
    """An index with a clock of its own."""
    with open_index(index_url, base=tmp_path, clock=Clock(step_s=1)) as index:
        yield index


def test_calls_are_counted(clocked: Index) -> None:
    for _ in range(3):
        clocked.note_unknown_caller(RejectedCall("STRANGER", "MEDSERVER", "10.0.0.9"))
    clocked.note_unknown_caller(RejectedCall("STRANGER", "OTHER", "10.0.0.9"))
    other, caller = clocked.unknown_callers()
    assert (other.called_ae_title, other.attempts) == ("OTHER", 1)
    assert (caller.calling_ae_title, caller.address, caller.attempts) == ("STRANGER", "10.0.0.9", 3)
    assert caller.first_seen_at == NOON + timedelta(seconds=1)
    assert caller.last_seen_at == NOON + timedelta(seconds=3)


def test_the_list_is_bounded(clocked: Index) -> None:
    for number in range(CALLERS_MAX + 5):
        clocked.note_unknown_caller(RejectedCall(f"AE{number}", "MEDSERVER", "10.0.0.9"))
    clocked.note_unknown_caller(RejectedCall("hostile\0\ud800", "MEDSERVER", "10.0.0.9"))
    titles = [caller.calling_ae_title for caller in clocked.unknown_callers()]
    assert len(titles) == CALLERS_MAX
    assert titles[0] == "hostile?"
    assert titles[-1] == "AE6"


def test_progress_is_kept(index: Index) -> None:
    assert index.progress.get("check") is None
    index.progress.set("check", "main/2026")
    index.progress.set("check", "main/2027")
    assert index.progress.get("check") == "main/2027"
    index.progress.set("check", None)
    assert index.progress.get("check") is None
