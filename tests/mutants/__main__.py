"""Put plausible faults into the product, one at a time, and see whether the tests catch them.

    scripts/mutants 40                                  a seed is chosen and printed
    scripts/mutants 40 --seed 7 --save faults.json      the same faults again, and a list of them
    scripts/mutants --faults faults.json --commit main --results after.json --before before.json
                                                        the faults of a list, in another commit, compared with an
                                                        earlier run; the file that caught a fault then runs first
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.mutants.choice import choose, find_candidates
from tests.mutants.mutant import Mutant
from tests.mutants.trial import Scratch, Verdict, clone, scratch_folder

LIMIT_S = 300


def main() -> None:
    """Read the command line and run the campaign."""
    options = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # nothing that was started stays behind
    folder = options.folder or scratch_folder()
    try:
        scratch = Scratch(clone(folder, options.commit), options.limit)
        mutants = _mutants(options, scratch.checkout)
        before = {_key(row): row for row in _load(options.before)}
        done = {_key(row): row for row in _load(options.results)}
        for number, mutant in enumerate(mutants, start=1):
            row = done.get(_key(asdict(mutant)), {})
            if not row or row["not_run"]:
                print(f"\n{number}. {mutant}", flush=True)
                earlier = before.get(_key(asdict(mutant)), {})
                first = [earlier["test"].partition("::")[0]] if earlier.get("test") else []
                verdict = scratch.try_out(mutant, first=first, only=row.get("not_run", []))
                row = asdict(mutant) | asdict(verdict)
                print(_line(verdict, earlier), flush=True)
            done[_key(row)] = row
            if options.results:
                options.results.write_text(json.dumps(list(done.values()), indent=1) + "\n")
        print(f"\n{dict(Counter(row['outcome'] for row in done.values()))}")
        print("\n".join(["failing without any fault:", *scratch.failing] if scratch.failing else []))
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, nargs="?", help="how many faults")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--faults", type=Path, help="take the faults of this list, made by --save")
    parser.add_argument("--save", type=Path, help="write the list of the chosen faults")
    parser.add_argument("--commit", default="HEAD", help="the product and the tests of this commit")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for the tests of one fault (%(default)s)")
    parser.add_argument("--results", type=Path, help="written after each fault; a second run takes it up")
    parser.add_argument("--before", type=Path, help="the results of an earlier run to compare with")
    parser.add_argument("--folder", type=Path, help="where the clone is made and kept (a temporary folder)")
    options = parser.parse_args()
    if (options.count is None) == (options.faults is None):
        parser.error("either a count or --faults")
    return options


def _mutants(options: argparse.Namespace, checkout: Path) -> list[Mutant]:
    if options.faults:
        return [Mutant(**row) for row in _load(options.faults)]
    print(f"seed {options.seed}", flush=True)
    mutants = choose(find_candidates(checkout), options.seed, options.count)
    if options.save:
        options.save.write_text(json.dumps([asdict(mutant) for mutant in mutants], indent=1) + "\n")
    return mutants


def _load(path: Path | None) -> list[dict]:
    return json.loads(path.read_text()) if path and path.exists() else []


def _key(row: dict) -> tuple:
    return row["file"], row["function"], row["operator"], row["before"], row["after"], row["occurrence"]


def _line(verdict: Verdict, earlier: dict) -> str:
    line = f"  {verdict.outcome} in {verdict.seconds} s {verdict.test} {verdict.reason}".rstrip()
    if verdict.not_run:
        line += f"; {len(verdict.not_run)} files did not run"
    if earlier and verdict.outcome != "gone" and (earlier["outcome"] == "survived") != (verdict.outcome == "survived"):
        line += f"\n  DIFFERS: before it {earlier['outcome']} {earlier['test']}"
    return line


if __name__ == "__main__":
    main()
