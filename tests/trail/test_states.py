"""The states of a row and what happens to it, every pair, with a kill at each point in between: none is lost."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from medserver.index import Repository
from medserver.trail.forwarding import RowState, state_of
from medserver.trail.verification import verify
from tests.peers.process import wait_until
from tests.peers.rsyslog import Rsyslog
from tests.trail import steps

PENDING, PRUNED = "pending", "pruned"
TO_SEND, SENT, CONFIRMED = RowState.TO_SEND, RowState.SENT, RowState.CONFIRMED
State = str | RowState

BECOMES: Mapping[tuple[State, str], State] = {
    (PENDING, "seal"): TO_SEND, (PENDING, "send"): PENDING, (PENDING, "age"): PENDING,
    (PENDING, "break"): TO_SEND, (PENDING, "prune"): PENDING,
    (TO_SEND, "seal"): TO_SEND, (TO_SEND, "send"): SENT, (TO_SEND, "age"): CONFIRMED,
    (TO_SEND, "break"): TO_SEND, (TO_SEND, "prune"): TO_SEND,
    (SENT, "seal"): SENT, (SENT, "send"): SENT, (SENT, "age"): CONFIRMED,
    (SENT, "break"): TO_SEND, (SENT, "prune"): SENT,
    (CONFIRMED, "seal"): CONFIRMED, (CONFIRMED, "send"): CONFIRMED, (CONFIRMED, "age"): CONFIRMED,
    (CONFIRMED, "break"): CONFIRMED, (CONFIRMED, "prune"): PRUNED,
    (PRUNED, "seal"): PRUNED, (PRUNED, "send"): PRUNED, (PRUNED, "age"): PRUNED,
    (PRUNED, "break"): PRUNED, (PRUNED, "prune"): PRUNED,
}  # fmt: skip
"""A break is noticed when there is something to send: another row is told and sealed, and so is one that waits."""

LEADS_TO: Mapping[State, tuple[str, ...]] = {
    PENDING: (), TO_SEND: ("seal",), SENT: ("seal", "send"), CONFIRMED: ("seal", "age"),
    PRUNED: ("seal", "age", "prune"),
}  # fmt: skip

POINTS = {
    "seal": ("audit rows sealed",), "send": ("audit window sent", "audit window closed"),
    "age": ("audit window sent", "audit window closed"), "break": ("audit rows sealed",),
    "prune": ("audit rows pruned",),
}  # fmt: skip


def state(folder: Path, options: Mapping[str, object], name: str) -> State:
    """Return the state of the one row, which is in the trail once or was pruned; what there is is intact."""
    with closing(steps.opened(folder, options)) as node:
        audit = node.index.audit
        found = verify(node.index)
        assert found.is_intact, found.problems
        pending = [row for row in audit.pending() if row.patient_id == "the one"]
        sealed = [each for each in audit.page() if each.row.patient_id == "the one"]
        assert len(pending) + len(sealed) <= 1
        if pending:
            return PENDING
        if not sealed:
            assert audit.chain().pruned_position >= 1
            return PRUNED
        known = audit.repositories().get(name) or Repository(name, 0, 0, None, None)
        return state_of(sealed[0].position, known)


@pytest.mark.parametrize(("before", "step"), BECOMES, ids=str)
def test_each_pair_with_kills_between(before: State, step: str, tmp_path: Path, rsyslog: Rsyslog) -> None:
    options, name = {**rsyslog.options, "audit.repositories": rsyslog.tls}, rsyslog.tls
    (tmp_path / "data").mkdir()
    with closing(steps.opened(tmp_path, options)) as node:
        steps.tell(node, "the one")
    for each in LEADS_TO[before]:
        steps.perform(each, tmp_path, options, name)
    assert state(tmp_path, options, name) == before
    if step == "break":
        rsyslog.kill()
    for point in POINTS[step]:
        steps.killed(point, step, tmp_path, options, name)
        assert state(tmp_path, options, name) in (before, BECOMES[before, step])
    steps.perform(step, tmp_path, options, name)
    assert state(tmp_path, options, name) == BECOMES[before, step]
    if step == "break":
        rsyslog.start()
    for each in ("seal", "send"):
        steps.perform(each, tmp_path, options, name)
    wait_until(lambda: any("the one" in one for one in rsyslog.messages()), what="the row to arrive")
