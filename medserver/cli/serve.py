"""``medserver serve``: run the node."""

from __future__ import annotations

import signal

import click

from medserver import log
from medserver.cli.invocation import Invocation, pass_invocation


@click.command()
@pass_invocation
def command(invocation: Invocation) -> None:
    """Run the node until it gets SIGTERM or SIGINT.

    Running operations are given a few seconds to finish. SIGHUP has the configuration read anew; it also comes when the
    terminal is closed, and the node goes on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # one that comes before the node is ready waits
    from medserver.server import serve  # what serves is not imported by the other commands

    config_file = invocation.config_file
    log.configure(config_file.current.log.level)
    serve(config_file)
