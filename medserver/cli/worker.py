"""``medserver worker``: perform jobs, and nothing else."""

from __future__ import annotations

import signal

import click

from medserver import log
from medserver.cli.invocation import Invocation, pass_invocation


@click.command()
@pass_invocation
def command(invocation: Invocation) -> None:
    """Perform jobs until it gets SIGTERM or SIGINT.

    SIGHUP has the configuration read anew.

    For any machine that reaches the index and the volumes. 'medserver serve' has workers of its own, see [jobs].
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # one that comes before the node is ready waits
    from medserver.server import work  # what serves is not imported by the other commands

    config_file = invocation.config_file
    log.configure(config_file.current.log.level)
    work(config_file)
