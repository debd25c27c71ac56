"""The command line of `scripts/bench`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from scripts.benchmarks import report
from scripts.benchmarks.cells import CELLS, Cell
from scripts.benchmarks.material import FULL, QUICK, Material
from scripts.benchmarks.rounds import measure
from tests.peers import PROGRAMS, is_installed

PEERS = ("dcmtk", "orthanc")
ROUNDS = 5

DESCRIPTION = """\
Measure medserver beside Orthanc and DCMTK on loopback, with the same data.
The candidates take turns within each round; medians are compared.
The exit code is 0 if every floor that was measured is met, 1 if not.
`scripts/bench index` measures the index alone."""


def chosen(names: str | None) -> list[Cell]:
    """Return the cells of a list such as 'store,get-ct': names, or what they begin with before a hyphen.

    Raises
    ------
    ValueError
        There is no such cell.
    """
    if names is None:
        return list(CELLS)
    found = []
    for name in names.split(","):
        some = [cell for cell in CELLS if cell.name == name or cell.name.startswith(f"{name}-")]
        if not some:
            raise ValueError(f"no cell {name!r}; there are {', '.join(cell.name for cell in CELLS)}")
        found += some
    return [cell for cell in CELLS if cell in found]


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=DESCRIPTION,
        epilog="Cells: " + ", ".join(cell.name for cell in CELLS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, help=f"how often each cell is measured (default: {ROUNDS})")
    parser.add_argument("--cells", metavar="NAME,...", help="only these, such as store,find-all")
    parser.add_argument(
        "--quick", action="store_true", help="one round with little data: shows that it works, no more"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument(
        "--folder", type=Path, help="where the stores are made, on the disk to be measured (default: TMPDIR)"
    )
    return parser


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = arguments()
    options = parser.parse_args()
    try:
        cells = chosen(options.cells)
    except ValueError as error:
        parser.error(str(error))
    if missing := [PROGRAMS[peer][0] for peer in PEERS if not is_installed(peer)]:
        parser.error(f"missing peers; as root: apt-get install {' '.join(missing)}")
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    sizes = QUICK if options.quick else FULL
    # SIGTERM ends it as Ctrl-C does: on the way out every server is killed and every file removed. A shell that starts
    # it in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="medserver-bench-", dir=options.folder) as folder:
        outcomes = measure(cells, rounds, Material(Path(folder) / "material", sizes), Path(folder))
    print(report.table(outcomes))
    if options.json:
        options.json.write_text(report.document(outcomes, rounds, sizes))
    return 0 if all(outcome.floors_met for outcome in outcomes) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
