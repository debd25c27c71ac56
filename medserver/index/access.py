"""What each part of an index works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.backend import Backend
from medserver.index.job_table import JobTable
from medserver.index.jobs import Jobs
from medserver.index.writer import Writer


@dataclass(frozen=True, slots=True)
class Access:
    """The ways to the database.

    Parameters
    ----------
    backend : Backend
        The database.
    read : callable
        Reads with a connection that is lent.
    writer : Writer
        Performs transactions.
    jobs : Jobs
        Told of jobs that are added.
    job_table : JobTable
        The SQL of that.
    clock : callable
        Tells the present moment.
    """

    backend: Backend
    read: Callable[..., Any]
    writer: Writer
    jobs: Jobs
    job_table: JobTable
    clock: Callable[[], datetime]
