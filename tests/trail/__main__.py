"""Kill the node and rsyslog while queries are asked: each message arrives; or measure what audit rows cost.

    scripts/audit 100000 --kills 100             a seed is chosen and printed
    scripts/audit 100000 --kills 100 --seed 7    about the same moments again
    scripts/audit 300 --cost                     processor time of objects received with and without
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from tests.trail.campaign import Campaign
from tests.trail.cost import measure


def main() -> None:
    """Read the command line and run the campaign, or measure."""
    parser = argparse.ArgumentParser(
        prog="scripts/audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many queries are answered, or objects received in each round")
    parser.add_argument("--kills", type=int, default=20, help="how often the node or rsyslog is killed meanwhile")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--cost", action="store_true", help="measure the cost on reception")
    parser.add_argument("--folder", type=Path, help="where its files are; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.cost:
            found = measure(Path(folder), count=options.count)
            print(f"{found['without']:.0f} us without, {found['with']:.0f} us with: {found['percent']:.1f} % more")
            return
        print(f"seed {options.seed}", flush=True)
        campaign = Campaign(Path(folder), random.Random(options.seed), lambda line: print(line, flush=True))
        try:
            campaign.run(options.count, options.kills)
            campaign.check()
        finally:
            campaign.close()
    share = 100 * campaign.duplicates / campaign.messages
    print(
        f"all {len(campaign.answered)} answered queries are in the trail, all {campaign.messages} messages have "
        f"arrived, {campaign.duplicates} of them twice or more ({share:.2f} %); killed: {dict(campaign.kills)}"
    )


if __name__ == "__main__":
    main()
