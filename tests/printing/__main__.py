"""Print films on two printers by four workstations while the node is killed, or its power is cut.

    scripts/films 200 --kills 50             a seed is chosen and printed
    scripts/films 200 --kills 50 --seed 7    about the same moments again
    scripts/films 200 --cuts                 200 power cuts: what was not flushed is lost
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
from pathlib import Path

from tests.printing.campaign import Campaign
from tests.printing.power import PowerCampaign

CUTS_PER_ROUND = 20


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/films", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many films are acknowledged, or power cuts made, at least")
    parser.add_argument("--cuts", action="store_true", help="cut the power, on a node of its own for every 20 cuts")
    parser.add_argument("--kills", type=int, default=20, help="how often the node is killed meanwhile")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.cuts:
        _cut(options.count, options.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), random.Random(options.seed), lambda line: print(line, flush=True))
        try:
            campaign.run(options.count, options.kills)
            campaign.check()
        finally:
            campaign.close()
    print(f"all {len(campaign.acknowledged)} films printed, {campaign.marked} sheets marked as possible reprints")


def _cut(count: int, seed: int) -> None:
    logging.disable(logging.ERROR)  # each start in this process has something to say
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        campaign = PowerCampaign(Path(folder), chance, lambda line: print(line, flush=True))
        try:
            while campaign.cuts < count:
                campaign.round(min(CUTS_PER_ROUND, count - campaign.cuts) - 1)
                print(f"{campaign.cuts} power cuts: all that was acknowledged is there, and printed", flush=True)
        finally:
            campaign.close()
    for (printer, state), films in sorted(campaign.found.items()):
        print(f"the cuts left {films} films of printer {printer} {state}")
    print(f"{campaign.reprints} sheets marked as possible reprints")


if __name__ == "__main__":
    main()
