"""What the tests of deliveries do: send to the node, look at its outbox, wait for what a destination gets."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pydicom

from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.process import wait_until

PATIENCE_S = 60


def send(dcmtk: Dcmtk, node: Node, samples: list[Sample]) -> None:
    dcmtk.store(node.address, *[sample.path for sample in samples]).check()


def uids_of(paths: list[Path]) -> list[str]:
    """Return the SOP Instance UIDs of files, of which one may just be written."""
    uids = []
    for path in paths:
        with suppress(pydicom.errors.InvalidDicomError, EOFError, AttributeError):
            uids.append(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID))
    return sorted(uids)


def wait_for(storescp: StoreSCP, samples: list[Sample]) -> None:
    """Wait until a storescp has all of these, and nothing else."""
    expected = sorted(sample.sop_instance_uid for sample in samples)
    wait_until(lambda: len(storescp.files()) >= len(expected), deadline_s=PATIENCE_S, what="the delivery")
    wait_until(lambda: uids_of(storescp.files()) == expected, what="exactly what was sent")


def outbox(node: Node) -> list[dict]:
    return json.loads(node.cli("outbox", "--json").check().output)


def wait_until_empty(node: Node) -> None:
    wait_until(lambda: outbox(node) == [], deadline_s=PATIENCE_S, what="an empty outbox")
