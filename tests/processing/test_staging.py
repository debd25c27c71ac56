"""Folders between this process and those that compute: each item has its own, and what was left behind goes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medserver.processing.staging import FOLDER, staged
from tests.archive.conftest import opening


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
