"""Have two hosts process images while workers, computing processes and nodes are killed, and one host is lost.

    scripts/processing 2000 --kills 100             a seed is chosen and printed
    scripts/processing 2000 --kills 100 --seed 7    the same items, victims and moments again
    scripts/processing 2000 --namespaces            the hosts are machines of their own; only root may do that

The hosts are folders, journals and ports of their own on this machine, with one PostgreSQL and one shared volume. In
namespaces they have addresses, host names and boot IDs of their own, reach PostgreSQL by TCP, and do not see the folder
of each other.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.index.cluster import Cluster, find_programs
from tests.peers.machines import NETWORK, NotPermitted, machines
from tests.peers.ports import free_port
from tests.processing.campaign import Campaign


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/processing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many work items")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--namespaces", action="store_true", help="two network namespaces, as two machines")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    logging.disable(logging.WARNING)
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is missing (Debian package postgresql)")
    began_at = time.monotonic()
    with ExitStack() as stack:
        hosts = []
        if options.namespaces:
            try:
                hosts = stack.enter_context(machines(2))
            except NotPermitted as error:
                raise SystemExit(f"no two machines: {error}") from None
        cluster = Cluster(programs)
        stack.callback(cluster.remove)
        if hosts:
            cluster.listen(hosts[0].here, free_port(), NETWORK)
        cluster.start()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="medserver-processing-"))
        campaign = Campaign(
            Path(folder), cluster.new_database(), options.count, options.kills, options.seed,
            lambda line: print(line, flush=True), hosts,
        )  # fmt: skip
        campaign.run()
    print(
        f"all {options.count} items completed, {campaign.outputs} outputs, each once, {campaign.resent} sent again; "
        f"{campaign}; {time.monotonic() - began_at:.0f} s"
    )


if __name__ == "__main__":
    main()
