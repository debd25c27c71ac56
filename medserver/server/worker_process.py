"""A process that performs jobs: one of the node's, or alone on whatever machine."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import closing

from medserver.config import ConfigFile
from medserver.log import Event
from medserver.node import open_node
from medserver.scu import releasing
from medserver.server.acceptor_process import DRAIN_S
from medserver.server.hangup import Hangup
from medserver.server.heartbeat import Heartbeat
from medserver.server.priority import lower_priority
from medserver.server.registration import register
from medserver.server.signals import is_asked_to_stop
from medserver.server.stop_request import StopRequest
from medserver.trail.keeping import Keeper
from medserver.work.kinds import JOB_KINDS, PERIODIC, JobKind, Periodic
from medserver.work.runner import Runner

WATCH_INTERVAL_S = 0.5

logger = logging.getLogger(__name__)


def run(config_file: ConfigFile, supervisor: int) -> None:
    """Perform jobs until SIGTERM or SIGINT, or until the supervisor is gone. The process has to end then.

    The stop signals must be blocked when this is called, so that they can be waited for.

    Parameters
    ----------
    supervisor : int
        Its process ID: it may be gone before this process looks for the first time.

    Raises
    ------
    IndexFailure
        The index cannot be opened.
    """

    def is_wanted() -> bool:
        return not is_asked_to_stop(config_file, WATCH_INTERVAL_S) and os.getppid() == supervisor

    lower_priority()
    _perform(config_file, "serve", is_wanted, JOB_KINDS, PERIODIC)


def work(
    config_file: ConfigFile,
    kinds: Iterable[JobKind] = JOB_KINDS,
    periodic: Iterable[Periodic] = PERIODIC,
    *,
    listens: bool = True,
) -> None:
    """Perform jobs until SIGTERM or SIGINT, as the only process. It has to end then.

    Parameters
    ----------
    kinds, periodic
        As for `Runner`.
    listens : bool
        Whether it takes messages, of which each is taken by one worker: who does only some kinds of job must not take
        those that others could act upon.

    Raises
    ------
    IndexFailure
        The index cannot be opened.
    """
    stop_request = StopRequest(Hangup(config_file))  # before anybody can see that we are here
    is_stopping = False

    def is_wanted(timeout_s: float = WATCH_INTERVAL_S) -> bool:
        nonlocal is_stopping
        is_stopping = is_stopping or stop_request.wait(timeout_s)
        return not is_stopping

    with closing(open_node(config_file)) as node:
        register(node, "worker", lambda timeout_s: not is_wanted(timeout_s))
    logger.info(Event("working", pid=os.getpid()))
    while not is_stopping:
        _perform(config_file, "worker", is_wanted, kinds, periodic, listens)
    logger.info("stopped")


def _perform(
    config_file: ConfigFile,
    role: str,
    is_wanted: Callable[[], bool],
    kinds: Iterable[JobKind],
    periodic: Iterable[Periodic],
    listens: bool = True,
) -> None:
    """Perform jobs as long as `is_wanted` returns True, which it takes its time for, and with the same index."""
    node = open_node(config_file)
    node.watch.start()
    runner = Runner(node, kinds, periodic, threads=config_file.current.jobs.threads, listens=listens)
    heartbeat = Heartbeat(node, role)
    gc.freeze()  # what is here now stays: the collector need not look at it each time
    keeper = Keeper(node)
    runner.start()
    keeper.start()
    heartbeat.start()
    while is_wanted() and not heartbeat.is_outdated:
        config_file.current  # noqa: B018 - a changed file is taken over; the threads of the runner do all the rest
    heartbeat.stop()
    runner.stop(DRAIN_S)
    keeper.stop()
    releasing.wait()
    node.close()
