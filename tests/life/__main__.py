"""Let anything happen to an instance, in any order, with crashes and power cuts, and check what must be true then.

    scripts/life 1000                   a seed is chosen and printed
    scripts/life 1000 --seed 7          the same walks again
    scripts/life 1000 --length 5        with as many events in each
    scripts/life --triples              every triple of events, without crashes
    scripts/life --pairs                every pair of events in each of the states of the tests, without crashes
"""

from __future__ import annotations

import argparse
import copy
import itertools
import logging
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.codec_workers import SharedWorkers
from tests.hurry import hurried
from tests.life.checks import play, play_to_the_end
from tests.life.conftest import STATES
from tests.life.crashes import INTERRUPTED, interrupt
from tests.life.events import EVENTS
from tests.life.life import Images, Life, make_template
from tests.life.model import Model

_RESUMED = ("copy", "compress", "retire", "repair", "remove")
"""Their jobs come again by themselves, at any later moment."""

POINTS_MAX = 14
"""More than an event passes."""

Step = tuple[str, int, bool]
"""An event; the crash point that it comes to, 0 if none; whether the power is cut there."""


def main() -> None:
    """Read the command line and walk."""
    parser = argparse.ArgumentParser(
        prog="scripts/life", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where archives are made; best in memory")
    parser.add_argument("--triples", action="store_true")
    parser.add_argument("--pairs", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if options.triples:
        walks: Iterable[list[Step]] = every_triple()
    elif options.pairs:
        walks = every_pair()
    else:
        print(f"seed {options.seed}", flush=True)
        walks = random_walks(random.Random(options.seed), options.count, options.length)
    failed = 0
    with template(options.folder) as (life, folder):
        for number, steps in enumerate(walks, start=1):
            print(f"\r{number} walks, {failed} failed", end="", flush=True)
            try:
                walk(life, folder / "walk", steps)
            except Exception as error:
                failed += 1
                print(f"\r{steps}\n    {type(error).__name__}: {str(error)[:1000]}", flush=True)
            finally:
                shutil.rmtree(folder / "walk", ignore_errors=True)
    print()
    raise SystemExit(bool(failed))


@contextmanager
def template(where: Path | None) -> Iterator[tuple[Life, Path]]:
    """Give a new archive, and a folder for what becomes of it."""
    with tempfile.TemporaryDirectory(dir=where) as name, hurried():
        folder, workers = Path(name), SharedWorkers()
        try:
            yield make_template(folder / "template", Images(folder / "made"), workers), folder
        finally:
            workers.end()


def random_walks(chance: random.Random, count: int, length: int) -> Iterator[list[Step]]:
    """Yield as many walks, which begin with a reception."""
    for _ in range(count):
        events = ["receive", *chance.choices(list(EVENTS), k=length)]
        yield [
            (event, chance.randint(1, POINTS_MAX) if event in INTERRUPTED and chance.random() < 0.4 else 0,
             chance.random() < 0.5)
            for event in events
        ]


def every_triple() -> Iterator[list[Step]]:
    """Yield every triple of events after a reception, without interruption."""
    for events in itertools.product(EVENTS, repeat=3):
        yield [(event, 0, False) for event in ("receive", *events)]


def every_pair() -> Iterator[list[Step]]:
    """Yield every pair of events in each state, without interruption."""
    for before, *events in itertools.product(STATES.values(), EVENTS, EVENTS):
        yield [(event, 0, False) for event in (*before, *events)]


def walk(template: Life, folder: Path, steps: Iterable[Step]) -> None:
    """Walk; what is interrupted is done again afterwards, as senders and workers do."""
    model = Model()
    with template.copy_to(folder) as life:
        for event, number, cut in steps:
            if number:
                interrupt(life, number, event, cut=cut)
                assert model.must - model.ordered <= life.stored(), f"after {event} was interrupted: {life.stored()}"
            if not number or event not in _RESUMED:
                play(life, model, event, is_repeated=bool(number))
        play_to_the_end(life, copy.deepcopy(model))


if __name__ == "__main__":
    main()
