"""Send random images through every encoder, and compare what this node, other programs and another plug-in decode.

    scripts/pixels 2000                 a seed is chosen and printed
    scripts/pixels 2000 --seed 7        the same images again
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medserver.codecs import Workers
from medserver.dicom.syntax_names import short_name
from tests.pixels.kinds import Kind, random_kind
from tests.pixels.matrix import ENCODED, EQUAL, Matrix, refusal

PROCESSES = 2
PORTION = 100


def main() -> None:
    """Read the command line and run the campaign."""
    parser = argparse.ArgumentParser(
        prog="scripts/pixels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="how many images")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    images = [random_kind(chance) for _ in range(options.count)]
    with tempfile.TemporaryDirectory() as folder, Workers(PROCESSES) as workers:
        counted, wrong = _tried(Matrix(workers, Path(folder)), images)
    for name in map(short_name, ENCODED):
        print(f"{name}: {counted[name, EQUAL]} equal, {counted[name, 'refused']} refused as the table says")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{options.count} images, none wrong")


def _tried(matrix: Matrix, images: list[Kind]) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Try each image in each transfer syntax; count what came of it, and say what went wrong."""
    counted: Counter[tuple[str, str]] = Counter()
    wrong = []
    with ThreadPoolExecutor(PROCESSES) as threads:
        outcomes = threads.map(lambda kind: list(_outcomes(matrix, kind)), images)
        for number, (kind, found) in enumerate(zip(images, outcomes, strict=True), 1):
            for name, outcome, expected in found:
                counted[name, EQUAL if outcome == EQUAL else "refused"] += 1
                if outcome != expected:
                    wrong.append(f"image {number} in {name}: {kind}\n    {outcome}\n    and not: {expected}")
            if number % PORTION == 0:
                print(f"{number} images", flush=True)
    return counted, wrong


def _outcomes(matrix: Matrix, kind: Kind) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each transfer syntax, what came of an image in it, and what should have."""
    for uid in ENCODED:
        try:
            outcome = matrix.outcome(kind, uid)
        except Exception as error:  # noqa: BLE001 - the campaign goes on, and tells it at the end
            outcome = f"{type(error).__name__}: {error}"
        yield short_name(uid), outcome, refusal(kind, uid) or EQUAL


if __name__ == "__main__":
    main()
