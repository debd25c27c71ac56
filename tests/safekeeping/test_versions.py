"""Versions of an instance that replace each other, are compressed, damaged and sent again; on both databases.

What is current stays so, and "same" is said only of what is good.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from medserver import archive
from medserver.archive.copies import as_stored
from medserver.backups import creation
from medserver.backups.catalog import find_backup
from medserver.backups.restoring import restore
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.index import GOOD, StoredCopy
from medserver.node import Node
from medserver.safekeeping.verification import due_for_verification, verify_copies
from medserver.safekeeping.pace import Pace
from medserver.work.runner import Runner
from tests.archive.conftest import receive, stored_paths
from tests.backups.conftest import database_url, open_node  # noqa: F401 - fixtures
from tests.clock import Clock
from tests.index.samples import forget
from tests.peers.files import Sample, make_series
from tests.safekeeping.conftest import flip, root, run_all, served

RLE = SHORT_NAMES["rle"]
FIRST, SECOND = 1, 2


@pytest.fixture
def node(open_node: Callable[..., Node]) -> Node:  # noqa: F811
    return open_node("store.duplicates=replace")


@pytest.fixture(params=[64, 768], ids=["small", "large"])
def versions(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Sample, Sample]:
    """Give two versions of an image: in memory until they are stored, or not."""
    [first] = make_series(tmp_path / "made", 1, rows=request.param, columns=request.param)
    dataset = pydicom.dcmread(first.path)
    dataset.PatientComments = "the second version"
    dataset.save_as(tmp_path / "second.dcm")
    return first, Sample(
        tmp_path / "second.dcm", first.sop_class_uid, first.sop_instance_uid, first.transfer_syntax_uid
    )


def store(node: Node, sample: Sample) -> str:
    """Receive a version, and have it compressed, copied, and its original let go."""
    outcome = receive(node, sample, compress_to=RLE)
    work(node)
    return outcome


def work(node: Node) -> None:
    run_all(Runner(node, periodic=()))


def current(node: Node) -> int:
    """Return the number of the version that is served."""
    [data_set] = served(node).values()
    return SECOND if b"the second version" in data_set else FIRST


def object_of(node: Node) -> StoredCopy:
    [copy] = node.index.select([])
    return copy


def damage(node: Node, copy: StoredCopy, how: str) -> None:
    """Damage all copies of an object."""
    for name in node.volumes:
        file = root(node, name) / copy.path
        file.unlink() if how == "lost" else flip(file, -1)


def test_what_was_replaced_and_comes_again_stays_replaced(node: Node, versions: tuple[Sample, Sample]) -> None:
    first, second = versions
    assert [store(node, one) for one in (first, second)] == ["stored", "replaced"]
    before = sorted(stored_paths(node))
    assert len(before) == 4 and current(node) == SECOND
    for again in (first, second, first):
        assert store(node, again) == "same"
        assert current(node) == SECOND
    assert sorted(stored_paths(node)) == before


@pytest.mark.parametrize("how", ["rebuilt", "restored"])
def test_a_new_index_has_the_same_current_object_and_removes_nothing(
    node: Node, versions: tuple[Sample, Sample], open_node: Callable[..., Node], clock: Clock, tmp_path: Path, how: str  # noqa: F811
) -> None:
    backup = creation.create_backup(node, node.volumes["near"])
    for one in versions:
        clock.advance(1)
        store(node, one)
    before = sorted(stored_paths(node))
    if how == "rebuilt":
        node = open_node("store.duplicates=replace", index_url=f"sqlite:///{tmp_path / 'other.db'}")
        list(archive.rebuild(node))
    else:
        node.close()
        restore(node.config, find_backup(node.volumes.values(), backup.name), clock=clock)
        node = open_node("store.duplicates=replace")
    assert current(node) == SECOND
    archive.reconcile(node)
    clock.advance(7200)
    work(node)
    assert current(node) == SECOND
    assert sorted(stored_paths(node)) == before


@pytest.mark.parametrize("is_known", [False, True], ids=["unnoticed", "noticed"])
@pytest.mark.parametrize("how", ["lost", "bad"])
def test_what_comes_again_is_stored_if_its_compressed_form_is_not_good(
    node: Node, versions: tuple[Sample, Sample], clock: Clock, how: str, is_known: bool
) -> None:
    first, _ = versions
    store(node, first)
    clock.advance(31 * 86400)  # nobody believes the last look at it any more
    damage(node, object_of(node), how)
    if is_known:
        look_at_all(node)
        assert object_of(node).state != GOOD
    assert receive(node, first) in ("same", "replaced")
    assert served(node) == {first.sop_instance_uid: first.data_set()}
    clock.advance(60)
    work(node)
    assert_all_good(node)


@pytest.mark.parametrize("how", ["lost", "bad"])
def test_what_was_put_aside_and_is_not_good_is_stored_again(
    node: Node, versions: tuple[Sample, Sample], clock: Clock, how: str
) -> None:
    first, second = versions
    for one in versions:
        receive(node, one)
    work(node)
    clock.advance(31 * 86400)
    [aside] = node.index.duplicates()
    damage(node, aside, how)
    look_at_all(node)
    assert receive(node, first) == "same"
    assert served(node) == {second.sop_instance_uid: second.data_set()}
    clock.advance(60)
    work(node)
    [aside] = node.index.duplicates()
    with archive.open_data_set(node, aside) as data_set:
        assert data_set.read(aside.size_bytes) == first.data_set()
    assert_all_good(node)


def test_what_takes_the_place_of_a_bad_copy_is_copied_too(
    node: Node, versions: tuple[Sample, Sample], clock: Clock
) -> None:
    """A power cut has taken the row of the copy, and nobody looks for what lacks until later."""
    first, _ = versions
    receive(node, first)
    work(node)
    stored = object_of(node)
    assert forget(node.index, "near", stored.path)
    clock.advance(31 * 86400)
    flip(root(node, "main") / stored.path, -1)
    assert receive(node, first) == "same"
    work(node)
    assert {copy.volume for copy in node.index.copies_of(stored) if copy.state == GOOD} == {"main", "near"}


def test_a_copy_without_a_row_is_found_when_there_is_no_other(
    node: Node, versions: tuple[Sample, Sample], clock: Clock
) -> None:
    """A power cut has taken its row, and then the other copy goes bad."""
    first, _ = versions
    receive(node, first)
    work(node)
    stored = object_of(node)
    assert forget(node.index, "near", stored.path)
    flip(root(node, "main") / stored.path, -1)
    clock.advance(31 * 86400)
    assert served(node) == {first.sop_instance_uid: first.data_set()}
    work(node)
    assert {copy.volume for copy in node.index.copies_of(stored) if copy.state == GOOD} == {"main", "near"}
    assert_all_good(node)


def test_an_original_that_was_stored_beside_its_form_is_let_go(
    node: Node, versions: tuple[Sample, Sample], clock: Clock
) -> None:
    """The form was bad where the original arrived, and is repaired later."""
    first, _ = versions
    store(node, first)
    form = object_of(node)
    flip(root(node, "main") / form.path, -1)
    assert archive.report_damage(node, "main", form.path, "a test")
    assert receive(node, first) == "same"
    for _ in range(3):
        work(node)
        clock.advance(600)
    assert object_of(node).key == form.key
    assert stored_paths(node) == [form.path] * 2
    assert_all_good(node)


def look_at_all(node: Node) -> None:
    """Read all copies."""
    for name in node.volumes:
        list(verify_copies(node, due_for_verification(node, name, node.clock()), Pace(None)))


def assert_all_good(node: Node) -> None:
    """Each object that has a good copy has one on each volume."""
    good = [copy for copy in node.index.locations() if copy.state == GOOD]
    assert len(good) == 2 * len({copy.key for copy in good})
    for copy in good:
        node.volumes[copy.volume].verify(as_stored(copy))
