"""Flip single bits in the files of two volumes, and check each time that all are found and repaired and none is served.

    scripts/flips 10000                 a seed is chosen and printed
    scripts/flips 10000 --seed 7        the same campaign again
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
from datetime import timedelta
from pathlib import Path

from medserver import archive
from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.verification import verify_copies
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.peers.files import make_small
from tests.safekeeping.conftest import run_all, sent, served
from tests.safekeeping.flips import Flips

OBJECTS = 100
FLIPS_PER_ROUND = 100


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/flips", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("flips", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    logging.disable()  # thousands of lines about damage
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.ini"
        config.write_text("[node]\n[volume main]\npath = store\n[volume near]\npath = near\nrole = replica\n")
        node = open_node(ConfigFile(config))
        samples = make_small(Path(folder) / "made", OBJECTS)
        for sample in samples:
            receive(node, sample)
        worker = Runner(node, periodic=())
        run_all(worker)
        flips = Flips(node, random.Random(options.seed), ("main", "near"))
        while flips.count < options.flips:
            flips.flip(min(FLIPS_PER_ROUND, options.flips - flips.count))
            if flips.count // FLIPS_PER_ROUND % 2:  # in every other round verification has to find all by itself
                assert served(node) == sent(samples), "a wrong bit was served"
            repaired = verify_and_repair(node, worker, flips)
            assert served(node) == sent(samples), "a wrong bit was served"
            print(f"\r{flips.count} flips, {repaired} copies repaired in this round", end="", flush=True)
        node.close()
    print()


def verify_and_repair(node: Node, worker: Runner, flips: Flips) -> int:
    """Find everything that was flipped, and repair it; return how many copies were bad."""
    later = node.clock() + timedelta(seconds=1)
    for name in node.volumes:
        for _ in verify_copies(node, node.index.upkeep.to_verify(name, later), Pace(None)):
            pass
    assert flips.not_found() == [], "a flipped bit was not found"
    bad = len(list(node.index.upkeep.bad()))
    run_all(worker)
    assert list(node.index.upkeep.bad()) == [], "a copy was not repaired"
    assert list(archive.check(node, digests=True)) == []
    return bad


if __name__ == "__main__":
    main()
