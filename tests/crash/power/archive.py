"""A node in the process of a recording, and the same after a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medserver import archive
from medserver.archive.fetch import open_object
from medserver.archive.findings import Finding, Problem
from medserver.archive.reconciling import Reconciliation
from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.node import Node, open_node
from medserver.work.runner import Runner

OPTIONS = (
    "volume main.path=store", "volume main.role=primary", "ae PACS.address=127.0.0.1:1", "route all.to=PACS",
)  # fmt: skip


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


def perform_jobs(node: Node, rounds: int = 20) -> None:
    """Have a worker do what is due, and what was being done when the power was cut."""
    for owner in node.index.jobs.owners():
        node.index.jobs.expire(owner)
    while node.index.jobs.sweep({}):
        pass
    runner = Runner(node, periodic=())
    for _ in range(rounds):
        if not runner.run_due():
            break


def content_of(node: Node, sop_instance_uid: str) -> list[bytes]:
    """Return the data sets of the instance as they come out: one, or none if it is not found."""
    found = []
    for instance in node.index.select([SingleValue("SOPInstanceUID", sop_instance_uid)]):
        with open_object(node, instance).data_set as data_set:
            found.append(data_set.read(instance.size_bytes))
    return found
