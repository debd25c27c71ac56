"""Have the node do something large, and look at the most memory that it had for that: 200 MB are the limit.

    scripts/memory                          all of them, each as large as it comes
    scripts/memory move --count 50000       one of them, of that size

The operations and what is counted: object, GB that are stored and fetched (2); move, instances of a study (20,000);
find, studies that match (100,000); convert, GB of which the bytes are swapped in a worker that may have 64 MB (2).
Nothing in them is left to chance.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.memory import operations
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node

GB = 2**30


def main() -> None:
    """Read the command line and do the operations."""
    parser = argparse.ArgumentParser(
        prog="scripts/memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("operation", nargs="?", choices=COUNTS, help="all by default")
    parser.add_argument("--count", type=int, help="how many, of one operation")
    options = parser.parse_args()
    if options.count is not None and options.operation is None:
        parser.error("--count needs an operation")
    chosen = [options.operation] if options.operation else COUNTS
    reports = [_measured(name, options.count or COUNTS[name]) for name in chosen]
    if not all(reports):
        raise SystemExit(1)


def _measured(name: str, count: int) -> bool:
    """Do an operation, print what it took, and tell whether that is within the limit."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "convert":
            operations.convert(Path(folder), count * GB)  # or it fails
            print(f"convert {count:,} GB: within 64 MB", flush=True)
            return True
        node = Node(Path(folder))
        try:
            NODES[name](node, count)
            peak = operations.peak_resident_bytes(node)
        finally:
            node.kill()
    is_within = peak < operations.RESIDENT_MAX_BYTES
    print(f"{name} {count:,}: {peak / 1e6:.0f} MB{'' if is_within else ', TOO MUCH'}", flush=True)
    return is_within


def _object(node: Node, count: int) -> None:
    node.start()
    operations.store_and_get(node, count * GB)


def _move(node: Node, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dcmtk = Dcmtk(Path(folder))
        try:
            node.add_remote(dcmtk.start_storescp("STORESCP", options=["--ignore"]).address)
            node.start()
            study = operations.store_study(node, count)
            assert operations.move_study(node, study, "STORESCP") == count
        finally:
            dcmtk.close()


def _find(node: Node, count: int) -> None:
    operations.fill_index(node, count)
    node.start()
    assert operations.find_studies(node) == count


NODES: dict[str, Callable[[Node, int], None]] = {"object": _object, "move": _move, "find": _find}
COUNTS = {"object": 2, "move": 20_000, "find": 100_000, "convert": 2}


if __name__ == "__main__":
    main()
