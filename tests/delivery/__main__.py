"""Send instances to three destinations, one of which is killed again and again, and so are the workers.

    scripts/deliveries 10000                 a seed is chosen and printed
    scripts/deliveries 10000 --seed 7        the same moments again
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.delivery.campaign import OPTIONS, Campaign, prepare
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_small
from tests.peers.node import Node

PORTION = 500


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/deliveries", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many instances")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "node").mkdir()
        (root / "dcmtk").mkdir()
        node, dcmtk = Node(root / "node", options=OPTIONS), Dcmtk(root / "dcmtk")
        try:
            destinations = prepare(node, dcmtk)
            node.start()
            samples = make_small(root / "made", options.count)
            campaign = Campaign(node, destinations, random.Random(options.seed), lambda line: print(line, flush=True))
            campaign.run(dcmtk, samples, portion=PORTION, kill_workers=True)
            campaign.check(samples)
        finally:
            node.kill()
            dcmtk.close()
    print(f"all {options.count} at all three; {campaign.restarts} restarts of one, {campaign.kills} kills of workers")


if __name__ == "__main__":
    main()
