"""Kill a loaded node any number of times, and check each time that nothing acknowledged is lost.

    scripts/crash 1000                  a seed is chosen and printed
    scripts/crash 1000 --seed 7         the same campaign again
    scripts/crash 1000 --worker         only the worker is killed, while it copies and repairs
    scripts/crash 1000 --cuts           power cuts: what was not flushed is lost
    scripts/crash 1000 --postgresql     with the load of power cuts, on PostgreSQL; kills alone: its files are its own
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.crash import workers
from tests.crash.campaign import Campaign
from tests.crash.power.campaign import PowerCampaign, options_of
from tests.crash.power.kills import KillCampaign
from tests.index.cluster import Cluster, find_programs
from tests.peers.node import Node


ROUNDS_PER_NODE, CUTS_PER_ROUND = 6, 14


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kills", type=int, help="at least as many; with --cuts, kills and power cuts together")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--worker", action="store_true", help="kill the worker alone, on a node with a replica")
    what.add_argument("--cuts", action="store_true", help="cut the power, on a node with a replica")
    what.add_argument("--postgresql", action="store_true", help="kill a node whose index is on PostgreSQL")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    if options.cuts:
        _run_on_nodes(PowerCampaign, options.seed, options.kills, lambda: "sqlite:///index.db")
        return
    if options.postgresql:
        with _postgresql() as cluster:
            _run_on_nodes(KillCampaign, options.seed, options.kills, cluster.new_database)
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


def _run_on_nodes(kind: type[PowerCampaign], seed: int, count: int, new_index: Callable[[], str]) -> None:
    """Kill and cut on one node after the other: they stay small, and each begins as a new archive does.

    What has lost something is kept, with the log of what was done to the disk.
    """
    logging.disable(logging.ERROR)  # each start in this process has something to say
    chance, done = random.Random(seed), 0
    died_at: Counter[str] = Counter()
    while done < count:
        folder = Path(tempfile.mkdtemp(prefix="medserver-crash-"))
        options = options_of(chance) | {"index.url": new_index()}
        node = Node(folder, options=options)
        campaign = kind(node, chance.randrange(2**32))
        try:
            for _ in range(ROUNDS_PER_NODE):
                campaign.round(CUTS_PER_ROUND)
                count_now = done + campaign.kills + campaign.cuts
                print(f"\rkills and cuts {count_now}: all that was acknowledged is there", end="", flush=True)
            campaign.finish()
        except BaseException:
            print(f"\n{options}\nround {campaign.kills}, cut {campaign.cuts}; kept in {folder}; the log of the node:")
            print(node.output[-8000:])
            raise
        finally:
            node.kill()
        shutil.rmtree(folder)
        done += campaign.kills + campaign.cuts
        died_at += campaign.died_at
    print("\nprocesses died at:", ", ".join(f"{point or 'no point'} {died}" for point, died in died_at.most_common()))


@contextmanager
def _postgresql() -> Iterator[Cluster]:
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is missing (Debian package postgresql)")
    cluster = Cluster(programs)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.remove()


def _tell(campaign: Campaign) -> None:
    print(f"\rkill {campaign.kills}: {campaign.load.count} instances acknowledged, all there", end="", flush=True)


if __name__ == "__main__":
    main()
