"""Outputs are taken in while others are computed, and found when all are made."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from medserver import archive
from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.dicom.part10 import read_file_meta
from medserver.errors import ObjectNotReadable, WorkStopped
from medserver.index.derivations import DerivedInstance
from medserver.node import Node, open_node
from medserver.processing import registration
from medserver.processing.computing import SHARED_INSTANCES
from medserver.processing.inputs import stored_inputs
from medserver.processing.registration import Registration
from medserver.processing.task import perform
from medserver.workitems.cancelling import request_cancel
from tests.peers import starts_programs
from tests.peers.process import wait_until
from tests.processing import items, misbehaving, phantoms

SLICES = SHARED_INSTANCES
CANCEL_MAX_S = 1.0
PATIENCE_S = 60.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Give a node with a series."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config.ini").write_text("[node]\n")
    with closing(open_node(ConfigFile(tmp_path / "config.ini", (f"node.data={tmp_path / 'data'}",)))) as one:
        items.store_series(one, tmp_path / "series", SLICES)
        yield one


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that copies the series into a folder, as an item does."""

    def made(name: str = "out") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        perform("copy", str(tmp_path / "series"), str(folder), {}, items.UID, moment="20260102030405")
        return folder

    return made


def staged(node: Node) -> int:
    """Count the objects that are on their way into the volume."""
    return len(list(Path(str(node.primary_volume.root), "incoming").glob("*/*.part")))


def inputs(node: Node) -> list[DerivedInstance]:
    """Return what the outputs are made of."""
    return [one.instance for one in stored_inputs(node, [SingleValue("SeriesInstanceUID", f"{phantoms.UID}.1")])]


def nothing_is_unwanted() -> None:
    """Go on."""


def test_what_is_staged_is_found_when_all_is_registered(node: Node, make: Callable[[], Path]) -> None:
    with Registration(node, make(), inputs(node), nothing_is_unwanted) as taken:
        taken.look()
        wait_until(lambda: not taken._made(), what="that all are staged")
        wait_until(lambda: all(each.done() for each in taken._staged.values()), what="that all are staged")
        assert items.outputs_of(node) == {} and staged(node) == SLICES
        made = taken.register()
    assert {one.sop_instance_uid for one in made} == items.outputs_of(node).keys() and len(made) == SLICES
    assert staged(node) == 0 and list(archive.check(node, digests=True)) == []


@pytest.mark.parametrize("may_take", [False, True])
def test_what_is_made_becomes_the_object_itself_where_it_may(
    node: Node, make: Callable[[], Path], may_take: bool
) -> None:
    folder = make()
    inodes = {path.stat().st_ino for path in folder.iterdir()}
    with Registration(node, folder, inputs(node), nothing_is_unwanted, may_take=may_take) as taken:
        taken.look()
        made = taken.register()
        assert len(made) == SLICES and list(folder.iterdir()) == []
    node.primary_volume.place_all()
    copies = node.index.instances([one.sop_instance_uid for one in made]).values()
    files = [Path(node.primary_volume.root, copy.path) for copy in copies]
    assert ({file.stat().st_ino for file in files} == inodes) is may_take
    for file in files:
        meta = read_file_meta(io.BytesIO(file.read_bytes()))
        assert meta.source_ae_title == node.config.current.node.ae_title and meta.received_at.year > 2000
    assert list(archive.check(node, digests=True)) == []


def test_what_has_another_name_is_copied(node: Node, make: Callable[[], Path], tmp_path: Path) -> None:
    """A type could link what it was given."""
    folder = make()
    for number, path in enumerate(sorted(folder.iterdir())):
        (tmp_path / f"{number}").hardlink_to(path)
    before = [(tmp_path / f"{number}").read_bytes() for number in range(SLICES)]
    with Registration(node, folder, inputs(node), nothing_is_unwanted, may_take=True) as taken:
        taken.look()
        assert len(taken.register()) == SLICES
    assert [(tmp_path / f"{number}").read_bytes() for number in range(SLICES)] == before
    assert list(archive.check(node, digests=True)) == []


def test_what_is_staged_and_not_registered_leaves_nothing(node: Node, make: Callable[[], Path]) -> None:
    with Registration(node, make(), inputs(node), nothing_is_unwanted) as taken:
        taken.look()
    assert items.outputs_of(node) == {} and staged(node) == 0
    assert list(archive.check(node, digests=True)) == []


def test_what_was_registered_before_is_known(node: Node, make: Callable[[str], Path]) -> None:
    for name in ("first", "second"):
        with Registration(node, make(name), inputs(node), nothing_is_unwanted) as taken:
            taken.look()
            assert len(taken.register()) == SLICES
        assert len(items.outputs_of(node)) == SLICES
    assert list(archive.check(node, digests=True)) == []


def test_of_more_than_may_be_staged_the_rest_is_registered_at_the_end(
    node: Node, make: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "STAGED_MAX", 3)
    with Registration(node, make(), inputs(node), nothing_is_unwanted) as taken:
        taken.look()
        taken.look()
        assert len(taken._staged) == 3
        assert len(taken.register()) == SLICES
    assert len(items.outputs_of(node)) == SLICES


def test_a_route_that_is_made_meanwhile_gets_what_was_staged(
    node: Node, make: Callable[[], Path], tmp_path: Path
) -> None:
    with Registration(node, make(), inputs(node), nothing_is_unwanted) as taken:
        taken.look()
        wait_until(lambda: all(each.done() for each in taken._staged.values()), what="that all are staged")
        (tmp_path / "config.ini").write_text("[node]\n[ae DEST]\naddress = 127.0.0.1:1\n[route all]\nto = DEST\n")
        node.config.read_again()
        taken.register()
    assert {job.kind for job in node.index.jobs.list()} == {"route"}


@pytest.mark.parametrize("staged_before", [False, True])
def test_nothing_is_registered_if_one_is_no_object(
    node: Node, make: Callable[[], Path], staged_before: bool
) -> None:
    folder = make()
    (folder / "000003.dcm").write_bytes(b"nonsense")
    with pytest.raises(ObjectNotReadable), Registration(node, folder, inputs(node), nothing_is_unwanted) as taken:
        if staged_before:
            taken.look()
        taken.register()
    assert staged(node) == 0 and items.outputs_of(node) == {}


def test_nobody_wants_what_is_staged(node: Node, make: Callable[[], Path]) -> None:
    def stop() -> None:
        raise WorkStopped("nobody wants it any longer")

    with pytest.raises(WorkStopped), Registration(node, make(), inputs(node), stop) as taken:
        taken.look()
        wait_until(lambda: all(each.done() for each in taken._staged.values()), what="that all are stopped")
        taken.look()
    assert staged(node) == 0 and items.outputs_of(node) == {}


@pytest.fixture
def working(node: Node, tmp_path: Path) -> Iterator[Node]:
    """Give the node with a worker, and types that misbehave."""
    starts_programs()
    with misbehaving.installed(tmp_path / "installed"):
        runner = items.performer(node)
        runner.start()
        yield node
        runner.stop(10.0)


def test_a_cancel_while_outputs_are_staged_leaves_nothing(working: Node) -> None:
    items.request(working, items.instances(SLICES), kind="write_one_and_wait")
    wait_until(lambda: staged(working) >= 1, deadline_s=PATIENCE_S, what="an output that is staged")
    asked_at = time.monotonic()
    request_cancel(working, items.UID, "REQUESTER")
    wait_until(lambda: items.row_of(working).state == "CANCELED", deadline_s=PATIENCE_S, what="the end")
    assert time.monotonic() - asked_at < CANCEL_MAX_S
    assert items.outputs_of(working) == {} and staged(working) == 0


def test_nonsense_ends_what_computes_the_rest(working: Node) -> None:
    items.request(working, items.instances(SLICES), kind="scribble_and_wait")
    wait_until(lambda: items.row_of(working).state == "CANCELED", deadline_s=PATIENCE_S, what="the end")
    assert items.reason_of(working) == "110521"
    assert items.outputs_of(working) == {} and staged(working) == 0
