"""Volumes of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from medserver.store import DirectoryVolume, Marker, Volume
from tests.peers.s3 import S3Service

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """A running S3 service."""
    pytest.importorskip("obstore", reason="obstore is missing (medserver[s3])")
    pytest.importorskip("moto", reason="moto is missing (medserver[test])")
    service = S3Service(tmp_path_factory.mktemp("s3"))
    yield service
    service.close()


@dataclass(frozen=True)
class Site:
    """A place for one volume.

    Parameters
    ----------
    open : callable
        Returns the volume, each time as another process would see it.
    overwrite : callable
        Takes path and bytes, and does what a volume never does.
    """

    open: Callable[[], Volume]
    overwrite: Callable[[str, bytes], None]


@pytest.fixture(params=["directory", "journal", "bucket"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A place for a volume of every kind."""
    if request.param == "bucket":
        s3, prefix = request.getfixturevalue("s3"), f"volume/{next(_numbers)}"
        return Site(
            lambda: s3.volume("main", prefix), lambda path, content: s3.overwrite(prefix, path, content)
        )
    root, journaled, marker = tmp_path / "store", request.param == "journal", Marker.new()

    def open_one() -> Volume:
        volume = DirectoryVolume("main", root, journaled=journaled, segment_bytes=2 * 1024 * 1024)
        volume.mark(marker)
        volume.attach(marker)
        return volume

    return Site(open_one, lambda path, content: (root / path).write_bytes(content))


@pytest.fixture
def volume(site: Site) -> Iterator[Volume]:
    """A volume of every kind."""
    volume = site.open()
    yield volume
    volume.close()
