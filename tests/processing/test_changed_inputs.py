"""What an item is made of, and who gets it, changes while it is computed: the end is that of what is there then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver.archive.compression import compress_object
from medserver.archive.fetch import open_object
from medserver.dicom.transfer_syntaxes import JPEG_2000_LOSSLESS
from medserver.index import JobFilter
from medserver.node import Node
from medserver.processing.inputs import Input
from medserver.processing.staging import write_inputs
from medserver.routing.deliveries import DELIVER
from medserver.safekeeping.deletion import DELETE, order_deletion
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.peers.files import Sample
from tests.peers.process import wait_until
from tests.processing import items, phantoms
from tests.processing.test_limits import PATIENCE_S, has_begun, open_one, types, working  # noqa: F401 - fixtures

SLICES = 2
UID = items.instances(SLICES)[0]
NEW = np.full((16, 16), 1234, np.uint16)


@pytest.fixture
def node(open_one: Callable[..., Node], tmp_path: Path) -> Iterator[Node]:  # noqa: F811
    """Give a node with a series, and a destination."""
    with closing(open_one("store.duplicates=replace", slices=SLICES)) as one:
        (tmp_path / "config.ini").write_text("[node]\n[ae DEST]\naddress = 127.0.0.1:1\n")
        wait_until(lambda: one.config.current.destination("DEST"), what="the entry")
        yield one


def delete(node: Node, tmp_path: Path) -> None:
    order_deletion(node, list(node.index.instances([UID]).values()), by="somebody", reason="")
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name == DELETE], periodic=())
    while runner.run_due():
        pass
    assert node.index.instances([UID]) == {}


def replace(node: Node, tmp_path: Path) -> None:
    changes = {"SOPInstanceUID": UID, "SeriesInstanceUID": f"{phantoms.UID}.1"}
    [path] = phantoms.write(tmp_path / "new", [phantoms.changed(phantoms.ct_slice(NEW), changes)]).iterdir()
    before = node.index.instances([UID])[UID].digest
    receive(node, Sample(path, phantoms.CT, UID, phantoms.EXPLICIT))
    assert node.index.instances([UID])[UID].digest != before


def compress(node: Node, tmp_path: Path) -> None:
    assert compress_object(node, node.index.instances([UID])[UID], JPEG_2000_LOSSLESS)


def begun(node: Node, mark: Path, *destinations: str) -> None:
    parameters = {"mark": str(mark)}
    items.request(node, items.instances(SLICES), destinations, kind="linger", parameters=parameters)
    wait_until(lambda: has_begun(node), deadline_s=PATIENCE_S, what="the computation")


def ended(node: Node) -> str:
    wait_until(lambda: items.row_of(node).state in ("COMPLETED", "CANCELED"), deadline_s=PATIENCE_S, what="the end")
    return items.row_of(node).state


def first_pixels(node: Node, tmp_path: Path) -> np.ndarray:
    """Return the pixels of what was made of the first slice."""
    found = []
    for copy in node.index.instances(items.outputs_of(node)).values():
        opened = open_object(node, copy)
        with opened.data_set:
            (tmp_path / "output.dcm").write_bytes(opened.file_meta + opened.data_set.read())
        found.append(pydicom.dcmread(tmp_path / "output.dcm"))
    assert len(found) == SLICES
    [first] = [one for one in found if one.SourceImageSequence[0].ReferencedSOPInstanceUID == UID]
    return first.pixel_array


def test_what_is_deleted_meanwhile_is_missed(node: Node, tmp_path: Path) -> None:
    with working(node):
        begun(node, tmp_path / "mark")
        delete(node, tmp_path)
        (tmp_path / "mark").touch()
        assert ended(node) == "CANCELED" and items.reason_of(node) == "110523"
    assert items.outputs_of(node) == {}


def test_of_what_is_replaced_meanwhile_the_new_one_is_processed(node: Node, tmp_path: Path) -> None:
    with working(node):
        begun(node, tmp_path / "mark")
        replace(node, tmp_path)
        (tmp_path / "mark").touch()
        assert ended(node) == "COMPLETED"
    np.testing.assert_array_equal(first_pixels(node, tmp_path), NEW)


def test_what_is_compressed_meanwhile_is_processed(node: Node, tmp_path: Path) -> None:
    replace(node, tmp_path)  # by what becomes shorter
    with working(node):
        begun(node, tmp_path / "mark")
        compress(node, tmp_path)
        (tmp_path / "mark").touch()
        assert ended(node) == "COMPLETED"
    np.testing.assert_array_equal(first_pixels(node, tmp_path), NEW)


def test_a_destination_that_is_removed_meanwhile_is_shown(node: Node, tmp_path: Path) -> None:
    with working(node):
        begun(node, tmp_path / "mark", "DEST")
        (tmp_path / "config.ini").write_text("[node]\n")
        wait_until(lambda: node.config.current.destination("DEST") is None, what="the configuration")
        (tmp_path / "mark").touch()
        assert ended(node) == "COMPLETED"
    found = [job.payload["sop_instance_uid"] for job in node.index.jobs.list(JobFilter(DELIVER, "DEST"))]
    assert sorted(found) == sorted(items.outputs_of(node))


def test_a_destination_that_is_removed_before_is_a_reason(node: Node, tmp_path: Path) -> None:
    items.request(node, items.instances(SLICES), ("DEST",))
    (tmp_path / "config.ini").write_text("[node]\n")
    wait_until(lambda: node.config.current.destination("DEST") is None, what="the configuration")
    items.perform(node)
    assert items.reason_of(node) == "BAD_PARAMETERS" and items.outputs_of(node) == {}


@pytest.mark.parametrize("is_staged", [False, True], ids=["before it is staged", "staged"])
@pytest.mark.parametrize("change", [delete, replace, compress])
def test_what_changes_while_it_is_read(
    node: Node, tmp_path: Path, change: Callable[..., None], is_staged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked up before, and its file may be gone."""
    from medserver.processing import computing

    changes = [change]

    def with_a_change(one: Node, inputs: list[Input], folder: Path, unless: Callable[[], bool], **options):
        linked = write_inputs(one, inputs, folder, unless, **options) if is_staged else []
        while changes:
            changes.pop()(one, tmp_path)
        return linked if is_staged else write_inputs(one, inputs, folder, unless, **options)

    monkeypatch.setattr(computing, "write_inputs", with_a_change)
    if change is compress:
        replace(node, tmp_path)
    node.primary_volume.place_all()
    items.request(node, items.instances(SLICES))
    items.perform(node)
    if change is delete:
        assert items.reason_of(node) == "110523"
        return
    assert items.row_of(node).state == "COMPLETED"
    np.testing.assert_array_equal(first_pixels(node, tmp_path), NEW)
