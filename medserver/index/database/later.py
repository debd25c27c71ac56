"""What a migration leaves to jobs: it looks at rows only, and files are read or written by workers.

The jobs are as the schema has them since 0002. Without a lane no worker would find them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import peewee

from medserver.index.database.moments import now, to_text

_COLUMNS = "kind, destination, order_key, payload, state, due_at, created_at, priority, ready, attempts"


def add_jobs(database: peewee.Database, kind: str, payloads: Iterable[Mapping[str, Any]]) -> None:
    """Add jobs.

    Parameters
    ----------
    database : peewee.Database
        In the transaction of a migration.
    kind : str
        Their kind.
    payloads : iterable of Mapping
        One for each job.
    """
    place = _place(database)
    for payload in payloads:
        add_jobs_of(database, kind, f"SELECT {_text(place)} AS payload", (json.dumps(payload),))


def add_jobs_of(
    database: peewee.Database, kind: str, select: str, parameters: tuple[str, ...] = (), *, priority: int = 1
) -> None:
    """Add a job for each payload that a statement selects.

    Parameters
    ----------
    database, kind
        As for `add_jobs`.
    select : str
        The statement, with one column, the text ``payload``.
    parameters : tuple of str
        What it is given.
    priority : int
        Of the jobs.
    """
    run, place, moment = database.execute_sql, _place(database), to_text(now())
    run(
        f"INSERT INTO jobs ({_COLUMNS}) SELECT {_text(place)}, '', '', payload, 'waiting', {_text(place)}, "
        f"{_text(place)}, {priority}, 1, 0 FROM ({select}) AS chosen",
        (kind, moment, moment, *parameters),
    )
    if run(f"SELECT 1 FROM jobs WHERE kind = {place} LIMIT 1", (kind,)).fetchall():
        run(f"INSERT INTO job_kinds (kind, paused) VALUES ({place}, 0) ON CONFLICT DO NOTHING", (kind,))
        lane = f"INSERT INTO job_lanes (kind, destination, paused) VALUES ({place}, '', 0) ON CONFLICT DO NOTHING"
        run(lane, (kind,))


def _place(database: peewee.Database) -> str:
    return "?" if hasattr(database, "pragma") else "%s"


def _text(place: str) -> str:
    return f"CAST({place} AS TEXT)"
