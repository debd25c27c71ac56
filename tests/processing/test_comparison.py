"""What is not copied before it is computed with is compared meanwhile; nothing is made of what was not stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from medserver import archive
from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.errors import WorkStopped
from medserver.index import BAD
from medserver.node import Node, open_node
from medserver.processing.comparison import Comparison, NotAsStored
from medserver.processing.computing import SHARED_INSTANCES
from medserver.processing.inputs import stored_inputs
from medserver.processing.staging import Linked, staged, write_inputs
from tests.archive.conftest import opening
from tests.processing import items, phantoms

SLICES = SHARED_INSTANCES


@pytest.fixture(params=["one volume", "two volumes"])
def node(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    """Give a node with a series, in one volume or in two."""
    (tmp_path / "data").mkdir()
    replica = "" if request.param == "one volume" else f"[volume copy]\npath = {tmp_path / 'copy'}\n"
    (tmp_path / "config.ini").write_text(f"[node]\n{replica}")
    with closing(open_node(ConfigFile(tmp_path / "config.ini", (f"node.data={tmp_path / 'data'}",)))) as one:
        items.store_series(one, tmp_path / "series", SLICES)
        one.primary_volume.place_all()
        for volume in one.replica_names:
            for stored in one.index.instances(items.instances(SLICES)).values():
                archive.copy_object(one, stored, one.volume(volume))
        yield one


def linked(node: Node, folder: Path) -> list[Linked]:
    """Have the series staged, and return what is to be compared."""
    found = stored_inputs(node, [SingleValue("SeriesInstanceUID", f"{phantoms.UID}.1")])
    return write_inputs(node, found, folder, lambda: False, may_link=True)


def damage(node: Node, number: int, at: int) -> Path:
    """Change a byte of an object, from its begin or, if negative, from its end."""
    stored = node.index.instances(items.instances(SLICES))[items.instances(SLICES)[number]]
    path = node.primary_volume.root / stored.path
    whole = bytearray(path.read_bytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    return path


def test_what_was_stored_is_found_so(node: Node) -> None:
    with staged(node) as (folder, _), Comparison(linked(node, folder), lambda: False) as comparison:
        comparison.wait()
        assert not comparison.has_failed


@pytest.mark.parametrize("at", [10, 140, -1], ids=["preamble", "file meta information", "last byte"])
def test_each_byte_counts(node: Node, at: int) -> None:
    damage(node, SLICES - 1, at)
    with staged(node) as (folder, _), Comparison(linked(node, folder), lambda: False) as comparison:
        with pytest.raises(NotAsStored):
            comparison.wait()
        assert comparison.has_failed


def test_what_nobody_wants_is_not_compared(node: Node) -> None:
    with staged(node) as (folder, _), Comparison(linked(node, folder), lambda: True) as comparison:
        with pytest.raises(WorkStopped):
            comparison.wait()


def test_of_a_large_object_the_rest_is_not_read_once_nobody_wants_it(tmp_path: Path) -> None:
    with opening(tmp_path) as opened:
        node = opened()
        items.store_series(node, tmp_path / "series", 1, size=2048)
        node.primary_volume.place_all()
        asked = iter([None] * 3)

        def check_wanted() -> None:
            if next(asked, "no") == "no":
                raise WorkStopped("nobody wants it any longer")

        with staged(node) as (folder, _):
            [one] = linked(node, folder)
            with pytest.raises(WorkStopped):
                archive.compare_link(*one, check_wanted)
            archive.compare_link(*one, lambda: None)


@pytest.mark.parametrize("at", [140, -1], ids=["file meta information", "pixel"])
@pytest.mark.parametrize("kind", ["denoise", "reformat"])
def test_of_what_is_damaged_another_copy_is_processed_or_it_is_refused(node: Node, kind: str, at: int) -> None:
    path = damage(node, 3, at)
    items.request(node, items.instances(SLICES), kind=kind)
    items.perform(node)
    if node.replica_names:
        assert items.row_of(node).state == "COMPLETED" and items.outputs_of(node)
        for copy in node.index.instances(items.outputs_of(node)).values():
            with archive.open_data_set(node, copy) as data_set:
                assert data_set.read()
    else:
        assert items.reason_of(node) == "110521" and items.outputs_of(node) == {}
    states = {str(node.volumes[one.volume].root / one.path): one.state for one in node.index.locations()}
    assert states[str(path)] == BAD
