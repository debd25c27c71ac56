"""A node in the process of a recording, and the same after a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medserver import archive
from medserver.archive.fetch import open_object
from medserver.archive.findings import Finding, Problem
from medserver.archive.reconciling import Reconciliation
from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.errors import DamagedObject
from medserver.index import StoredCopy
from medserver.node import Node, open_node
from medserver.work.runner import Runner
from tests.clock import Clock

OPTIONS = (
    "volume main.path=store", "volume main.role=primary", "ae PACS.address=127.0.0.1:1", "route all.to=PACS",
)  # fmt: skip

TIMES_WAITED, WAITED_S = 3, 600
RUNS_MAX = 200


def opened(folder: Path, *options: str, receives: bool = False) -> Node:
    """Open the node whose data folder is below a folder; nobody writes a config.ini."""
    config = folder / "config.ini"
    if not config.exists():
        config.write_text("[node]\n")
    options = (f"node.data={folder / 'data'}", *OPTIONS, *options)
    return open_node(ConfigFile(config, options), receives=receives)


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[Node, Reconciliation]]:
    """Open a node as a start does, and check at the end that index and volumes agree."""
    node = opened(folder, *options)
    try:
        yield node, archive.reconcile(node)
        assert [finding for finding in archive.check(node, digests=True) if not is_harmless(node, finding)] == []
    finally:
        node.close()


def is_harmless(node: Node, finding: Finding) -> bool:
    """Tell whether nobody lacks anything: what is needed nowhere, or a copy that is yet to be entered."""
    is_replica = finding.volume != node.primary_volume.name
    return finding.problem == Problem.SURPLUS or (finding.problem == Problem.NOT_INDEXED and is_replica)


def perform_jobs(node: Node, clock: Clock) -> None:
    """Have a worker do what is due, and what was being done when the power was cut; then what has to wait for a while.

    Parameters
    ----------
    node : Node
        Opened with the clock.
    clock : Clock
        Is advanced.
    """
    for owner in node.index.jobs.owners():
        node.index.jobs.expire(owner)
    while node.index.jobs.sweep({}):
        pass
    runner = Runner(node, periodic=())
    for _ in range(TIMES_WAITED):
        for _ in range(RUNS_MAX):
            if not runner.run_due():
                break
        clock.advance(WAITED_S)


def content_of(node: Node, sop_instance_uid: str) -> list[bytes]:
    """Return the data sets of the instance as they come out: one, or none if it is not found."""
    found = []
    for instance in node.index.select([SingleValue("SOPInstanceUID", sop_instance_uid)]):
        found.append(read_object(node, instance))
    return found


def read_object(node: Node, stored: StoredCopy) -> bytes:
    """Return the data set of an object as who asks again gets it: a large one may turn out to be bad at its end."""
    for _ in node.volumes:
        with suppress(DamagedObject), open_object(node, stored).data_set as data_set:
            return data_set.read(stored.size_bytes)
    raise DamagedObject(f"{stored.path} is not what was stored on any volume")
