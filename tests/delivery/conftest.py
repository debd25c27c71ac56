"""Fixtures of the deliveries: a small series, a storescp, an information system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.availability_peer import InformationSystem
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample, make_series


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    """Give a CT series of four small images."""
    return make_series(tmp_path / "made", 4, rows=16, columns=16)


@pytest.fixture
def storescp(dcmtk: Dcmtk) -> StoreSCP:
    """Give a destination."""
    return dcmtk.start_storescp("ARCHIVE")


@pytest.fixture
def information_system() -> Iterator[InformationSystem]:
    """Give one that listens as ``RIS``."""
    one = InformationSystem("RIS").start()
    yield one
    one.close()
