"""The shelf of a volume in a directory."""

from __future__ import annotations

from medserver.store import DirectoryVolume
from tests.store.shelf import check_shelf


def test_a_shelf_in_a_directory(tmp_path) -> None:
    volume = DirectoryVolume("near", tmp_path / "near")
    check_shelf(volume)
    assert not list((tmp_path / "near").rglob("*.part"))
    assert volume.sweep() == 0
    volume.close()
