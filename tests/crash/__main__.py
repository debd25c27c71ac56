"""Kill a loaded node any number of times, and check each time that nothing acknowledged is lost.

    scripts/crash 1000                  a seed is chosen and printed
    scripts/crash 1000 --seed 7         the same campaign again
    scripts/crash 1000 --worker         only the worker is killed, while it copies and repairs
    scripts/crash 1000 --cuts           power cuts: what was not flushed is lost
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
from pathlib import Path

from tests.crash import workers
from tests.crash.campaign import Campaign
from tests.crash.power.campaign import PowerCampaign
from tests.peers.node import Node


ROUNDS_PER_NODE, CUTS_PER_ROUND = 6, 9


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", type=int, help="at least as many; with --cuts, kills and power cuts together")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--worker", action="store_true", help="kill the worker alone, on a node with a replica")
    what.add_argument("--cuts", action="store_true", help="cut the power, on a node with a replica")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.cuts:
        _cut_the_power(options.seed, options.kills)
        return
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), options=workers.OPTIONS if options.worker else None)
        run = _kill_the_worker if options.worker else _kill_everything
        try:
            run(node, options.seed, options.kills)
        finally:
            node.kill()
    print()


def _kill_everything(node: Node, seed: int, kills: int) -> None:
    campaign = Campaign(node, seed)
    while campaign.kills < kills:
        campaign.kill_at_random()
        _tell(campaign)
    node.start()
    campaign.check_store()


def _kill_the_worker(node: Node, seed: int, kills: int) -> None:
    campaign = workers.WorkerCampaign(node, seed)
    while campaign.kills < kills:
        node.start()
        campaign.kill_round()
        campaign.finish()
        _tell(campaign)


def _cut_the_power(seed: int, count: int) -> None:
    """Cut on one node after the other: they stay small, and each begins as a new archive does."""
    logging.disable(logging.ERROR)  # each start in this process has something to say
    chance, done = random.Random(seed), 0
    while done < count:
        with tempfile.TemporaryDirectory() as folder:
            node = Node(Path(folder), options=workers.OPTIONS)
            campaign = PowerCampaign(node, chance.randrange(2**32))
            try:
                for _ in range(ROUNDS_PER_NODE):
                    campaign.round(CUTS_PER_ROUND)
                    count_now = done + campaign.kills + campaign.cuts
                    print(f"\rkills and cuts {count_now}: all that was acknowledged is there", end="", flush=True)
                campaign.finish()
            except BaseException:
                print(f"\nthe log of the node:\n{node.output[-8000:]}")
                raise
            finally:
                node.kill()
            done += campaign.kills + campaign.cuts
    print()


def _tell(campaign: Campaign) -> None:
    print(f"\rkill {campaign.kills}: {campaign.load.count} instances acknowledged, all there", end="", flush=True)


if __name__ == "__main__":
    main()
