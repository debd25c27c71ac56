"""A worker whose jobs write down what they do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from medserver import log
from medserver.config import ConfigFile
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.server import heartbeat, work
from medserver.work import runner
from medserver.work.kinds import Backoff, JobKind, Periodic

REMOVE_UNFINISHED_INTERVAL_S = 0.1
LEASE_S = 1.0


class Log:
    """A file that several processes append lines to."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, event: str, kind: str, number: int) -> None:
        line = f"{event} {kind} {number} {os.getpid()} {threading.get_ident()} {time.monotonic():.6f}\n"
        os.write(self._descriptor, line.encode())


def pause(seconds: float) -> None:
    """Take some time."""
    threading.Event().wait(seconds)


def kinds(notes: Log) -> tuple[JobKind, ...]:
    """Return what this worker can do."""

    def note(node: Node, batch: Batch) -> Iterator[Outcome]:
        for job in batch:
            notes.write("begin", job.kind, job.id)
            pause(job.payload.get("work_s", 0.0))
            notes.write("end", job.kind, job.id)
            if job.attempts <= job.payload.get("failures", 0):
                yield failed(job, f"attempt {job.attempts}")
            else:
                yield done(job)

    def patient(node: Node, batch: Batch) -> Iterator[Outcome]:
        notes.write("begin", batch[0].kind, batch[0].id)
        while not batch.should_stop:
            pause(0.01)
        return iter(())

    def stubborn(node: Node, batch: Batch) -> None:
        notes.write("begin", batch[0].kind, batch[0].id)
        pause(60)

    quick = Backoff(first_s=0.05, longest_s=0.2)
    return (
        JobKind("note", note, lease_s=LEASE_S, concurrency=3, destination_concurrency=2, batch_max=5, backoff=quick),
        JobKind(
            "ordered",
            note,
            lease_s=LEASE_S,
            concurrency=6,
            destination_concurrency=4,
            batch_max=3,
            backoff=quick,
            is_for_remote=True,
        ),
        JobKind("single", note, lease_s=LEASE_S, concurrency=1, destination_concurrency=1, backoff=quick),
        JobKind("patient", patient, lease_s=60, is_for_remote=True),
        JobKind("stubborn", stubborn, lease_s=60),
    )


def main(config: Path, history: Path, log_path: Path, *options: str) -> None:
    """Work in a process that was forked for it, until asked to stop.

    Parameters
    ----------
    config, history, log_path : Path
        The configuration, and the files that take what the jobs write down, and the log.
    *options : str
        ``no sweep``: messages only. ``periodic``: with something periodic.
    """
    output = os.open(log_path, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    log.configure(stream=os.fdopen(output, "w", buffering=1))
    interval_s = 60.0 if "no sweep" in options else REMOVE_UNFINISHED_INTERVAL_S
    runner.Runner.__init__.__kwdefaults__["sweep_interval_s"] = interval_s
    heartbeat.Heartbeat.__init__.__defaults__ = (REMOVE_UNFINISHED_INTERVAL_S,)
    periodic = (Periodic("tick", "single", 0.3),) if "periodic" in options else ()
    work(ConfigFile(config), kinds(Log(history)), periodic)
