"""Deliveries are one row from wish to end: versions of rules, what was delivered, and jobs that wait for a decision.

Jobs get a state, ``undecided``. Columns of pauses get the names of what they hold. The series of a performed step are
found by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_STATES = "('waiting', 'running', 'undecided', 'dead')"

_TYPES = {
    "sqlite": {"BIGINT": "INTEGER", "TEXT": "TEXT"},
    "postgresql": {"BIGINT": "BIGINT", "TEXT": 'TEXT COLLATE "C"'},
}

_TABLES = {
    "rule_versions": """
        digest TEXT NOT NULL PRIMARY KEY
        name TEXT NOT NULL
        content TEXT NOT NULL
        noted_at TEXT NOT NULL
    """,
    "delivered": """
        sop_instance_uid TEXT NOT NULL
        digest TEXT NOT NULL
        destination TEXT NOT NULL
        rule TEXT NOT NULL
        is_committed BIGINT NOT NULL
        delivered_at TEXT NOT NULL
        PRIMARY KEY (sop_instance_uid, digest, destination)
    """,
}


def _definition(line: str, types: dict[str, str]) -> str:
    first, kind, *rest = line.split(" ", 2)
    return line if first == "PRIMARY" else " ".join([f'"{first}"', types[kind], *rest])


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the tables, and change that of jobs."""
    is_sqlite, run = hasattr(database, "pragma"), database.execute_sql
    types = _TYPES["sqlite" if is_sqlite else "postgresql"]
    for table, lines in _TABLES.items():
        columns = (_definition(line.strip(), types) for line in lines.strip().splitlines())
        run(f'CREATE TABLE "{table}" ({", ".join(columns)})')
    run("CREATE INDEX performed_step_series_of ON performed_step_series (sop_instance_uid)")
    for old, new in (("rests_until", "paused_until"), ("rest_reason", "pause_reason")):
        run(f'ALTER TABLE job_lanes RENAME COLUMN "{old}" TO "{new}"')
    if is_sqlite:
        _remake(run)
    else:
        run("ALTER TABLE jobs DROP CONSTRAINT jobs_state_check")
        run(f"ALTER TABLE jobs ADD CONSTRAINT jobs_state_check CHECK (state IN {_STATES})")
    run("CREATE INDEX jobs_undecided ON jobs (kind, destination, id) WHERE state = 'undecided'")


def _remake(run: Callable[..., Any]) -> None:
    """Make the table of jobs anew: SQLite changes no constraint. No number is ever given twice."""
    [[definition]] = run("SELECT sql FROM sqlite_master WHERE name = 'jobs'").fetchall()
    of_jobs = "type = 'index' AND tbl_name = 'jobs' AND sql NOT NULL"
    indexes = run(f"SELECT sql FROM sqlite_master WHERE {of_jobs}").fetchall()
    numbered = run("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchall()
    states = "('waiting', 'running', 'dead')"
    assert states in definition and definition.startswith('CREATE TABLE "jobs"')
    run(definition.replace('CREATE TABLE "jobs"', 'CREATE TABLE "jobs_remade"', 1).replace(states, _STATES))
    run("INSERT INTO jobs_remade SELECT * FROM jobs")
    run("DROP TABLE jobs")
    run("ALTER TABLE jobs_remade RENAME TO jobs")
    for [text] in indexes:
        run(text)
    run("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
    for [number] in numbered:
        run("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (number,))
