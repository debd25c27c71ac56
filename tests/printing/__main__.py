"""Print films on two printers by four workstations while the node is killed.

    scripts/films 200 --kills 50             a seed is chosen and printed
    scripts/films 200 --kills 50 --seed 7    about the same moments again
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.printing.campaign import Campaign


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/films", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many films are acknowledged, at least")
    parser.add_argument("--kills", type=int, default=20, help="how often the node is killed meanwhile")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), random.Random(options.seed), lambda line: print(line, flush=True))
        try:
            campaign.run(options.count, options.kills)
            campaign.check()
        finally:
            campaign.close()
    print(f"all {len(campaign.acknowledged)} films printed, {campaign.marked} sheets marked as possible reprints")


if __name__ == "__main__":
    main()
