"""``medserver doctor``: what is wrong, in plain sentences."""

from __future__ import annotations

import click

from medserver.cli.checkup import PROBLEM, described, shown
from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.node_checkup import examine_node
from medserver.cli.peer import Peer, optional_peer_argument
from medserver.cli.peer_checkup import PeerCheckup
from medserver.cli.responses import FAILURE


@click.command()
@optional_peer_argument
@click.option(
    "--thorough", is_flag=True, help="Ask PEER for every transfer syntax of every SOP class that it accepts."
)
@click.option("-v", "--verbose", is_flag=True, help="List every SOP class that PEER accepts.")
@json_option
@pass_invocation
@click.pass_context
def command(
    ctx: click.Context,
    invocation: Invocation,
    peer: Peer | None,
    thorough: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Find out what is wrong with this node, or between this node and PEER.

    PEER is the name of an [ae NAME] entry or AE@host:port. Without it the node itself is examined: its
    configuration, folders, index and port, and whether the AEs of its configuration can be reached. The exit
    code is 1 if there is a problem; warnings do not count.
    """
    if peer is None:
        steps = list(shown(examine_node(invocation), not as_json))
        document: dict[str, object] = {}
    else:
        checkup = PeerCheckup(peer, invocation.config, thorough=thorough, verbose=verbose)
        steps = list(shown(checkup.steps(), not as_json))
        document = {"peer": str(peer.address), **checkup.described()}
    problem_count = sum(step.state == PROBLEM for step in steps)
    if as_json:
        echo_json({"ok": not problem_count, **document, "steps": described(steps)})
    ctx.exit(FAILURE if problem_count else 0)
