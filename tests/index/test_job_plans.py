"""Claiming stays quick with very many jobs: every statement of a worker begins with an index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.index import Index, Lane, open_index
from medserver.index.database.moments import to_text
from medserver.index.jobs.order import Order, OrderKey
from tests.conftest import MakeDirectory
from tests.index.samples import NOON

JOBS = {"sqlite": 100_000, "postgresql": 50_000}
LANES = [Lane("copy", "A"), Lane("copy", "B"), Lane("check")]
ENOUGH_S = 0.5
"""For a claim, even on a loaded machine; a scan of all jobs takes longer."""

_ROW = (
    "INSERT INTO jobs (kind, destination, order_key, payload, priority, state, ready, attempts, due_at, created_at) "
    "SELECT {kind}, {destination}, CASE WHEN n % 2 = 0 THEN '' ELSE 'key' || (n % 1000) END, '{{}}', "
    "1 + n % 2, 'waiting', CASE WHEN n % 2 = 0 OR n < 1000 THEN 1 ELSE 0 END, 0, '{moment}', '{moment}' FROM {numbers}"
)
_NUMBERS = {
    "sqlite": "(WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < {count}) "
    "SELECT n FROM counted)",
    "postgresql": "generate_series(0, {count}) AS numbers(n)",
}


@pytest.fixture(scope="module", params=JOBS)
def filled(request: pytest.FixtureRequest, make_directory: MakeDirectory) -> Iterator[Index]:
    base: Path = make_directory("plans")
    kind = request.param
    url = "sqlite:///index.db" if kind == "sqlite" else request.getfixturevalue("new_database")()
    with open_index(url, base=base, clock=lambda: NOON) as index:
        connection = index.backend.connect(writing=True)
        insert_lane = index.backend.sql("INSERT INTO job_lanes (kind, destination, paused) VALUES (?, ?, 0)")
        for lane in LANES:
            connection.execute(insert_lane, lane)
        for name in ("copy", "check"):
            connection.execute(index.backend.sql("INSERT INTO job_kinds VALUES (?, 0)"), (name,))
        connection.execute(
            _ROW.format(
                kind="CASE WHEN n % 3 = 2 THEN 'check' ELSE 'copy' END",
                destination="CASE n % 3 WHEN 0 THEN 'A' WHEN 1 THEN 'B' ELSE '' END",
                moment=to_text(NOON),
                numbers=_NUMBERS[kind].format(count=JOBS[kind]),
            )
        )
        connection.close()
        yield index


def statements(index: Index) -> dict[str, tuple[str, tuple]]:
    """Return what a worker executes, by the index that it has to use."""
    table, lanes, order = index.jobs._table, index.jobs._lanes, Order(index.backend)
    waits = index.jobs._waits
    key, moment = OrderKey("copy", "A", "key3"), to_text(NOON)
    among = index.backend.list_parameter([1, 2, 3])
    return {
        "claim": (table.claimable, ("copy", "A", 1, moment, 10)),
        "limits": (table._running, ("A", "copy")),
        "begin": (table._begin, ("owner", moment, among)),
        "done": (table._complete, ("owner", among)),
        "failed": (table._wait, (moment, 0, "error", "owner", 1)),
        "extend": (table._extend, (moment, "owner", among)),
        "expired": (table.expired, (moment,)),
        "lanes": (lanes.select, ()),
        "due too late": (waits.due, ("copy", "A", 1, moment, moment, moment)),
        "held too long": (waits.leases, ("copy", "A", moment)),
        "order: any": (order._any, (*key, *key)),
        "order: promote": (order._promote, (*key, *key)),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("claim", "limits", "begin", "done", "failed", "extend", "expired", "lanes", "order: any"),
        *("order: promote", "due too late", "held too long"),
    ],
)
def test_no_statement_scans_the_jobs(filled: Index, name: str) -> None:
    statement, parameters = statements(filled)[name]
    connection = filled.backend.connect(writing=True)
    explain = "EXPLAIN QUERY PLAN " if filled.backend.name == "sqlite" else "EXPLAIN "
    steps = [str(row[-1]) for row in connection.execute(explain + statement, parameters)]
    connection.close()
    assert not [step for step in steps if "SCAN jobs" in step or "Seq Scan on jobs" in step], steps
    if name in ("claim", "lanes"):
        assert any("jobs_ready" in step for step in steps), steps
        assert not any("TEMP B-TREE FOR ORDER BY" in step or "Sort" in step for step in steps[:2] if name == "claim")


def test_the_detector_sees_a_scan(filled: Index) -> None:
    connection = filled.backend.connect()
    explain = "EXPLAIN QUERY PLAN " if filled.backend.name == "sqlite" else "EXPLAIN "
    steps = [str(row[-1]) for row in connection.execute(explain + "SELECT * FROM jobs WHERE owner = 'x'")]
    connection.close()
    assert any("SCAN jobs" in step or "Seq Scan on jobs" in step for step in steps)


def test_a_claim_is_quick(filled: Index) -> None:
    filled.jobs.lanes()
    begun = time.monotonic()
    claimed = filled.jobs.claim(
        LANES[0], owner="quick", lease_until=NOON, limit=50, concurrency=9, destination_concurrency=9
    )
    filled.jobs.complete(claimed)
    filled.jobs.lanes()
    assert len(claimed) == 50
    assert time.monotonic() - begun < ENOUGH_S
