"""Kill a loaded node any number of times, and check each time that nothing acknowledged is lost.

    scripts/crash 1000                  a seed is chosen and printed
    scripts/crash 1000 --seed 7         the same campaign again
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.crash.campaign import Campaign
from tests.peers.node import Node


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Node(Path(folder)), options.seed)
        for number in range(1, options.kills + 1):
            campaign.kill_at_random()
            print(f"\rkill {number}: {campaign.load.count} instances acknowledged, all there", end="", flush=True)
        campaign.node.start()
        campaign.check_store()
    print()


if __name__ == "__main__":
    main()
