"""Claiming stays quick with very many jobs: every statement of a worker begins with an index."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from medserver.index import Index, Lane, open_index
from medserver.index.database.models import JobKinds, JobLanes
from medserver.index.database.moments import to_text
from medserver.index.database.statements import insertion, spelled
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
        insert_kind = spelled(index.backend, insertion(JobKinds, ("kind",), paused=0))
        insert_lane = spelled(index.backend, insertion(JobLanes, ("kind", "destination"), paused=0))
        for lane in LANES:
            connection.execute(insert_lane, lane)
        for name in ("copy", "check"):
            connection.execute(insert_kind, (name,))
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
        "claim": (table._claimable, ("copy", "A", 1, moment, 10)),
        "limits": (table._running, ("A", "copy")),
        "begin": (table._begin, ("owner", moment, among)),
        "done": (table._complete, ("owner", among)),
        "failed": (table._wait, (moment, 0, "error", "owner", 1)),
        "extend": (table._extend, (moment, "owner", among)),
        "expired": (table._expired, (moment,)),
        "lanes": (lanes._select, ()),
        "due too late": (waits._due, ("copy", "A", 1, moment, moment, moment)),
        "held too long": (waits._leases, ("copy", "A", moment)),
        "order: any": (order._any, (*key, *key)),
        "order: promote": (order._promote, (*key, *key)),
    }


def plan(index: Index, statement: str, parameters: tuple) -> list[str]:
    """Return the steps of the plan of a statement, with tables by their names."""
    aliases = {alias: table for table, alias in re.findall(r'"(\w+)" AS "(\w+)"', statement)}
    explain = "EXPLAIN QUERY PLAN " if index.backend.name == "sqlite" else "EXPLAIN "
    with closing(index.backend.connect(writing=True)) as connection:
        steps = [str(row[-1]) for row in connection.execute(explain + statement, parameters)]
    return [
        re.sub(r"^(SEARCH|SCAN) (\w+)", lambda found: f"{found[1]} {aliases.get(found[2], found[2])}", step)
        for step in steps
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("claim", "limits", "begin", "done", "failed", "extend", "expired", "lanes", "order: any"),
        *("order: promote", "due too late", "held too long"),
    ],
)
def test_no_statement_scans_the_jobs(filled: Index, name: str) -> None:
    statement, parameters = statements(filled)[name]
    steps = plan(filled, statement, parameters)
    assert not [step for step in steps if "SCAN jobs" in step or "Seq Scan on jobs" in step], steps
    if name in ("claim", "lanes"):
        assert any("jobs_ready" in step for step in steps), steps
        assert not any("TEMP B-TREE FOR ORDER BY" in step or "Sort" in step for step in steps[:2] if name == "claim")


def test_the_detector_sees_a_scan(filled: Index) -> None:
    steps = plan(filled, 'SELECT * FROM "jobs" AS "t1" WHERE "t1"."owner" = \'x\'', ())
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


def test_no_statement_is_planned_again_for_other_values(make_directory: MakeDirectory) -> None:
    """SQLite would do so wherever there is a partial index."""
    planned: list[str] = []

    def note(*what: object) -> int:
        planned.append(name)
        return apsw.SQLITE_OK

    with open_index("sqlite:///index.db", base=make_directory("planned")) as index:
        connection = index.backend.connect(writing=True)
        connection.authorizer = note  # asked wherever a statement is planned
        for name, (statement, parameters) in statements(index).items():
            connection.execute(statement, parameters).fetchall()
        assert set(planned) == set(statements(index))
        planned.clear()
        for name, (statement, parameters) in statements(index).items():
            connection.execute(statement, parameters).fetchall()
        connection.close()
    assert not planned
