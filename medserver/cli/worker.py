"""``medserver worker``: perform jobs, and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from medserver import log
from medserver.cli.invocation import Invocation, pass_invocation
from medserver.config.values import closest
from medserver.errors import BadUsage

if TYPE_CHECKING:
    from medserver.work.kinds import JobKind, Periodic


@click.command()
@click.option("--kinds", metavar="KIND,...", help="Jobs of these kinds only, as 'medserver jobs' names them.")
@pass_invocation
def command(invocation: Invocation, kinds: str | None) -> None:
    """Perform jobs until it gets SIGTERM or SIGINT.

    SIGHUP has the configuration read anew.

    For any machine that reaches the index and the volumes. 'medserver serve' has workers of its own, see [jobs].
    With --kinds process,process_large it does nothing but process images.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # one that comes before the node is ready waits
    from medserver.server import work  # what serves is not imported by the other commands

    chosen = _chosen(kinds)
    config_file = invocation.config_file
    log.configure(config_file.current.log.level)
    work(config_file, *chosen, listens=kinds is None)


def _chosen(names: str | None) -> tuple[Sequence[JobKind], Sequence[Periodic]]:
    """Return the kinds that are meant, and what comes periodically of these.

    Raises
    ------
    BadUsage
        There is no such kind.
    """
    from medserver.work.kinds import JOB_KINDS, PERIODIC

    known = {kind.name: kind for kind in JOB_KINDS}
    wanted = list(known) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise BadUsage(f"--kinds: there is no kind of job {name!r}{closest(name, known)}")
    return [known[name] for name in wanted], [one for one in PERIODIC if one.kind in wanted]
