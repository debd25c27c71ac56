"""Folders between this process and those that compute: each item has its own, and what was left behind goes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medserver import archive
from medserver.dicom.conditions import SingleValue
from medserver.processing.inputs import stored_inputs
from medserver.processing.staging import FOLDER, staged, write_inputs
from tests.archive.conftest import opening
from tests.processing import items, phantoms


def test_items_that_begin_at_once_do_not_remove_the_folders_of_each_other(tmp_path: Path) -> None:
    """An item whose folder was removed before it was locked failed, and was tried again many seconds later."""

    with opening(tmp_path) as opened:
        node = opened()

        def stage(_: int) -> bool:
            with staged(node) as (inputs, outputs):
                return inputs.is_dir() and outputs.is_dir()

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(stage, range(600)))
        assert list((node.config.current.node.data / FOLDER).iterdir()) == []


def test_objects_lie_there_as_the_files_of_the_volume_for_who_changes_none(tmp_path: Path) -> None:
    with opening(tmp_path) as opened:
        node = opened()
        items.store_series(node, tmp_path / "series", 2)
        node.primary_volume.place_all()
        inputs = stored_inputs(node, [SingleValue("SeriesInstanceUID", f"{phantoms.UID}.1")])
        files = [node.primary_volume.root / one.copy.path for one in inputs]
        for may_link in (True, False):
            with staged(node) as (folder, _):
                linked = write_inputs(node, inputs, folder, lambda: False, may_link=may_link)
                there = sorted(folder.iterdir())
                assert [one.samefile(file) for one, file in zip(there, files, strict=True)] == [may_link] * 2
                assert [path for _, path in linked] == (there if may_link else [])
                assert [one.read_bytes() for one in there] == [file.read_bytes() for file in files]
        assert list(archive.check(node, digests=True)) == []
        assert [file.stat().st_nlink for file in files] == [1, 1]
