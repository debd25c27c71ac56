"""Images that are received are processed by rules, and the results go to those that the rule names, or back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.processing import phantoms

SLICES = 3
PATIENCE_S = 60.0

MakeNode = Callable[..., Node]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Give the folder of a small series of a phantom."""
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, 32, 32)).astype(np.uint16)
    return phantoms.write(tmp_path / "made", phantoms.ct_series(volume))


@pytest.fixture
def modality(dcmtk: Dcmtk) -> StoreSCP:
    """Give a modality that listens, and sends by storescu under the same AE title."""
    return dcmtk.start_storescp("CT1")


def started(make_node: MakeNode, modality: StoreSCP, rule: dict[str, object]) -> Node:
    node = make_node(options={})
    node.add_remote(modality.address)
    node.set_section("processing all", {"quiet": "0.2 s"} | rule)
    node.start()
    return node


def store(dcmtk: Dcmtk, node: Node, series: Path) -> None:
    assert dcmtk.store(node.address, *sorted(series.iterdir()), calling_ae_title="CT1").exit_code == 0


def test_the_sender_gets_the_result(make_node: MakeNode, dcmtk: Dcmtk, modality: StoreSCP, series: Path) -> None:
    node = started(make_node, modality, {"type": "denoise", "sigma": 2, "Modality": "CT", "to": "sender"})
    store(dcmtk, node, series)
    wait_until(lambda: len(modality.files()) == SLICES, deadline_s=PATIENCE_S, what="the results")
    sent = {pydicom.dcmread(path).SOPInstanceUID for path in series.iterdir()}
    received = modality.datasets().values()
    assert {dataset.ImageType[0] for dataset in received} == {"DERIVED"}
    assert {dataset.SourceImageSequence[0].ReferencedSOPInstanceUID for dataset in received} == sent
    assert node.stop() == 0
