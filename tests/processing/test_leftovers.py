"""What was registered for an item that has ended otherwise is deleted, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from medserver import archive
from medserver.archive.promotion import promote
from medserver.config import ConfigFile
from medserver.index import ObjectKey
from medserver.index.derivations import DerivedInstance
from medserver.node import Node, open_node
from medserver.processing import leftovers
from medserver.processing.leftovers import delete_leftovers
from medserver.processing.registration import Registration
from medserver.processing.task import perform
from medserver.processing.uids import base_of, uid_made_for
from medserver.safekeeping.deletion import order_deletion
from medserver.workitems import performing
from medserver.workitems.cancelling import request_cancel
from tests.archive.conftest import receive
from tests.peers.files import Sample
from tests.processing import items, phantoms

SLICES, REGISTERED = 4, 3
UIDS = items.instances(SLICES)
STARTED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STUDY, SERIES = f"{phantoms.UID}.0", f"{phantoms.UID}.1"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Give a node with a series, and an item of which a worker that was lost has registered some outputs."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config.ini").write_text("[node]\n")
    with closing(open_node(ConfigFile(tmp_path / "config.ini", (f"node.data={tmp_path / 'data'}",)))) as one:
        items.store_series(one, tmp_path / "series", SLICES)
        items.request(one, UIDS)
        assert performing.start(one, items.UID, "lost", at=STARTED_AT) is not None
        register(one, tmp_path / "made", items.UID)
        assert len(items.outputs_of(one)) == REGISTERED
        yield one


def register(node: Node, folder: Path, base: str) -> None:
    """Register some outputs of the item."""
    folder.mkdir()
    moment = STARTED_AT.astimezone().strftime("%Y%m%d%H%M%S")
    perform("copy", str(folder.parent / "series"), str(folder), {}, base, range(1, REGISTERED + 1), moment=moment)
    inputs = [DerivedInstance(uid, phantoms.CT, STUDY, SERIES) for uid in UIDS]
    with Registration(node, folder, inputs, lambda: None) as registration:
        registration.register()


def go_on(node: Node) -> None:
    items.perform(node)
    items.carry_out_deletions(node)


def delete(node: Node) -> None:
    order_deletion(node, list(node.index.instances(UIDS[:1]).values()), by="somebody", reason="")
    items.carry_out_deletions(node)


def test_of_an_item_that_ends_because_an_object_was_deleted_nothing_is_left(node: Node) -> None:
    delete(node)
    go_on(node)
    assert items.reason_of(node) == "110523" and items.outputs_of(node) == {}
    assert node.index.instances(UIDS).keys() == set(UIDS[1:])
    items.check_store(node)


def test_of_an_item_that_is_cancelled_nothing_is_left(node: Node) -> None:
    request_cancel(node, items.UID, "REQUESTER")
    go_on(node)
    assert items.row_of(node).state == "CANCELED" and items.outputs_of(node) == {}
    items.check_store(node)


def test_of_an_item_whose_object_is_replaced_the_results_are_left(node: Node, tmp_path: Path) -> None:
    changes = {"SOPInstanceUID": UIDS[0], "SeriesInstanceUID": SERIES}
    one = phantoms.changed(phantoms.ct_slice(np.full((16, 16), 1234, np.uint16)), changes)
    [path] = phantoms.write(tmp_path / "new", [one]).iterdir()
    current = node.index.instances(UIDS)[UIDS[0]].digest
    assert receive(node, Sample(path, phantoms.CT, UIDS[0], phantoms.EXPLICIT)) == "kept"
    [other] = [each.digest for each in node.index.versions.of(UIDS[0]) if each.digest != current]
    promote(node, ObjectKey(UIDS[0], other, phantoms.EXPLICIT), by="somebody", why="")
    before = items.outputs_of(node)
    go_on(node)
    assert items.row_of(node).state == "COMPLETED"
    after = items.outputs_of(node).keys()
    assert items.named_outputs(node) == after and len(after) == SLICES and not after & before.keys()
    items.check_store(node)


def test_who_died_when_the_item_had_ended_is_followed_by_one_who_looks(node: Node) -> None:
    performing.discontinue(node, items.UID, performer="lost")
    go_on(node)
    assert items.row_of(node).state == "CANCELED" and items.outputs_of(node) == {}


def test_results_stay(node: Node, tmp_path: Path) -> None:
    items.perform(node)
    made = items.outputs_of(node)
    assert len(made) == SLICES == len(items.named_outputs(node))
    assert delete_leftovers(node, items.UID, [0]) == 0
    register(node, tmp_path / "late", base_of(items.UID, 1))  # who was stopped, and goes on
    assert delete_leftovers(node, items.UID, [0, 1]) == REGISTERED
    items.carry_out_deletions(node)
    assert items.outputs_of(node) == made


@pytest.mark.parametrize("comments", ["", "looked at"], ids=["the same", "another"])
def test_what_others_have_sent_under_such_a_uid_stays(node: Node, comments: str, tmp_path: Path) -> None:
    uid = uid_made_for(items.UID, "instance", 1)
    opened = archive.fetch.open_object(node, node.index.instances([uid])[uid])
    path = tmp_path / "sent.dcm"
    with opened.data_set:
        path.write_bytes(opened.file_meta + opened.data_set.read())
    if comments:
        one = dcmread(path)
        one.PatientComments = comments
        one.save_as(path)
    assert receive(node, Sample(path, phantoms.CT, uid, phantoms.EXPLICIT)) == ("kept" if comments else "same")
    assert delete_leftovers(node, items.UID, [0]) == REGISTERED - 1
    items.carry_out_deletions(node)
    assert items.outputs_of(node).keys() == {uid}


def test_they_are_looked_for_page_by_page(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAGE", 2)
    assert delete_leftovers(node, items.UID, [1, 2]) == 0
    assert delete_leftovers(node, items.UID, [0], [3]) == 1
    assert delete_leftovers(node, items.UID, [0]) == REGISTERED
    items.carry_out_deletions(node)
    assert items.outputs_of(node) == {}
