"""Send instances to five destinations of every temper, while workers are killed and the rule changes.

    scripts/deliveries 10000                 a seed is chosen and printed
    scripts/deliveries 10000 --seed 7        the same moments again
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.delivery.campaign import OPTIONS, Campaign, make_studies, prepared
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node

PORTIONS = 20
PORTION_MAX = 500


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/deliveries", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many instances")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "node").mkdir()
        (root / "dcmtk").mkdir()
        node, dcmtk = Node(root / "node", options=OPTIONS), Dcmtk(root / "dcmtk")
        try:
            with prepared(node, dcmtk, chance) as destinations:
                campaign = Campaign(node, destinations, chance, lambda line: print(line, flush=True))
                node.start()
                samples = make_studies(root / "made", options.count)
                campaign.run(dcmtk, samples, portion=min(PORTION_MAX, -(-options.count // PORTIONS)))
                campaign.check()
        finally:
            node.kill()
            dcmtk.close()
    print(f"all {options.count} at all {len(destinations.all)}: {campaign}, {campaign.resent} sent again")


if __name__ == "__main__":
    main()
