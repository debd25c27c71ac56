"""What people decide between objects is in every index that is made of the volumes."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import apsw
import pydicom
import pytest

from medserver import archive
from medserver.archive.decisions import load_promotions
from medserver.backups.replay import replay
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.errors import BadUsage, DamagedObject, StoreFailure
from medserver.index import GOOD, Acquisition, JobFilter, ObjectKey, ObjectVersion
from medserver.node import Node
from medserver.safekeeping.deletion import order_deletion
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import NodeOpener, opening, receive, stored_paths
from tests.archive.test_rebuild import dump, interrupted_after, variant
from tests.clock import NOON, Clock
from tests.conftest import MakeDirectory
from tests.peers.files import Sample, make_small

J2K = SHORT_NAMES["j2k"]
KEPT_TABLES = (
    "patients", "studies", "series", "instances", "objects", "locations", "conflicts", "tombstones", "promotions"
)  # fmt: skip
RELATIONS = """
    SELECT sop_instance_uid, study_instance_uid, series_instance_uid, instance_number, objects.digest,
    objects.is_current, originals.digest, objects.made_how, volume, path, locations.state
    FROM instances JOIN series ON series.id = instances.series JOIN studies ON studies.id = series.study
    JOIN objects ON objects.instance = instances.id LEFT JOIN objects AS originals ON originals.id = objects.made_from
    LEFT JOIN locations ON locations.object = objects.id
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def node(open_archive: NodeOpener, clock: Clock) -> Node:
    return open_archive(clock=clock)


@pytest.fixture
def versions(node: Node, clock: Clock, tmp_path: Path) -> list[bytes]:
    """Receive three versions of one instance, of which the first stays the current one."""
    return receive_versions(node, clock, tmp_path)


def receive_versions(node: Node, clock: Clock, directory: Path) -> list[bytes]:
    [sample] = make_small(directory / "made")
    made = [sample.data_set(), *(variant(sample, InstanceNumber=number, ImageComments="x") for number in (22, 33))]
    for data_set in made:
        receive(node, sample, data_set)
        clock.advance(2)
    return made


def keys(node: Node) -> list[ObjectKey]:
    """Return the objects of the only instance, the oldest first."""
    [uid] = {one.sop_instance_uid for one in node.index.select([])}
    return [one.key for one in node.index.versions.of(uid)]


def promote(node: Node, key: ObjectKey) -> None:
    archive.promote(node, key, by="mtra", why="it is the right one")


def current(node: Node) -> ObjectKey:
    [found] = node.index.select([])
    return found.key


def note(node: Node) -> None:
    """Have the jobs done that write what was decided."""
    Runner(node, [kind for kind in JOB_KINDS if kind.name == "note_decision"], periodic=()).run_due()


def contents(path: Path) -> dict[str, list]:
    """Return what an index holds, without numbers."""
    rows = dump(path)
    connection = apsw.Connection(str(path))
    try:
        relations = sorted(map(repr, connection.execute(RELATIONS)))
    finally:
        connection.close()
    return {name: rows[name] for name in KEPT_TABLES} | {"relations": relations}


def rebuilt(open_archive: NodeOpener, tmp_path: Path, name: str = "new.db") -> Node:
    node = open_archive(index_url=f"sqlite:///{tmp_path}/{name}")
    assert list(archive.rebuild(node)) == []
    return node


# -- the decision --


def test_the_object_that_is_promoted_is_found_and_sent(node: Node, versions: list[bytes]) -> None:
    first, second, _ = keys(node)
    promote(node, second)
    assert current(node) == second
    [found] = node.index.select([])
    with archive.open_data_set(node, found) as file:
        assert file.read() == versions[1]
    [promotion] = node.index.promotions.of(first.sop_instance_uid)
    assert (promotion.key, promotion.decided_by, promotion.reason) == (second, "mtra", "it is the right one")
    assert {one.key for one in node.index.versions.duplicates()} == set(keys(node)) - {second}


def test_the_conditions_are_read_anew(node: Node, versions: list[bytes]) -> None:
    _, second, _ = keys(node)
    [found] = node.index.select([])
    node.index.acquisitions.put([Acquisition.of(found, {})])
    assert node.index.acquisitions.unread(9) == []
    promote(node, second)
    assert len(node.index.acquisitions.unread(9)) == 1


def test_nothing_is_routed_and_only_what_the_archive_compresses_is_compressed(
    open_archive: NodeOpener, clock: Clock, tmp_path: Path
) -> None:
    node = open_archive("store.compress=j2k", clock=clock)
    receive_versions(node, clock, tmp_path)
    node.index.jobs.drop([job.id for job in node.index.jobs.list(JobFilter())])
    promote(node, keys(node)[1])
    assert sorted(job.kind for job in node.index.jobs.list(JobFilter())) == ["compress", "note_decision"]


def test_what_cannot_be_promoted_is_refused(node: Node, versions: list[bytes]) -> None:
    first, second, third = keys(node)
    for key, why in [(first, "current one already"), (ObjectKey("1.2.3", "d", "1.2"), "not stored any more")]:
        with pytest.raises(BadUsage, match=why):
            promote(node, key)
    order_deletion(node, node.index.copies_of(third), by="test", reason="")
    with pytest.raises(BadUsage, match="its deletion was ordered"):
        promote(node, third)
    [copy] = node.index.copies_of(second)
    Path(node.primary_volume.root, copy.path).write_bytes(b"x")
    with pytest.raises(StoreFailure):
        promote(node, second)
    assert [one.state for one in node.index.copies_of(second)] != [GOOD]
    with pytest.raises(DamagedObject, match="no copy of the object is good"):
        promote(node, second)
    assert current(node) == first
    assert node.index.promotions.of(first.sop_instance_uid) == []


def test_what_was_compressed_here_and_its_original_are_one(node: Node, clock: Clock, tmp_path: Path) -> None:
    receive_versions(node, clock, tmp_path)
    first, second, _ = keys(node)
    [found] = node.index.select([])
    assert archive.compress_object(node, found, J2K)
    form = current(node)
    assert form not in (first, second)
    with pytest.raises(BadUsage, match="already, as object 4"):
        promote(node, first)
    promote(node, second)
    promote(node, first)
    assert current(node) == form


# -- the notes --


def test_a_rebuilt_index_knows_the_decision(
    open_archive: NodeOpener, node: Node, versions: list[bytes], tmp_path: Path
) -> None:
    promote(node, keys(node)[1])
    assert load_promotions(node) == []
    note(node)
    [promotion] = load_promotions(node)
    assert promotion.key == keys(node)[1]
    rebuilt(open_archive, tmp_path)
    assert contents(tmp_path / "new.db") == contents(tmp_path / "data" / "index.db")


def test_a_note_is_a_line_of_json(node: Node, versions: list[bytes]) -> None:
    _, second, _ = keys(node)
    promote(node, second)
    note(node)
    [content] = node.primary_volume.notes("decisions")
    [line] = content.splitlines()
    fields = json.loads(line)
    assert fields["what"] == "promote"
    assert ObjectKey(*(fields[name] for name in ("sop_instance_uid", "digest", "transfer_syntax_uid"))) == second
    assert (fields["by"], fields["why"]) == ("mtra", "it is the right one")


@pytest.mark.parametrize("names", [("main",), ("near",), ("main", "near")])
def test_every_volume_tells_the_decision(
    open_archive: NodeOpener, clock: Clock, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """And all of them tell it once; a conflict likewise."""
    volumes = ("volume main.path=store", "volume near.path=near", "volume near.role=replica")
    node = open_archive(*volumes, clock=clock)
    receive_versions(node, clock, tmp_path)
    [other] = make_small(tmp_path / "other")
    receive(node, other, variant(other, PatientName="Another^Person"))
    [conflict] = node.index.conflicts()
    assert archive.resolve_conflict(node, conflict.number, by="mtra", why="two persons")
    [meant] = [one for one in node.index.versions.duplicates() if one.number == 2]
    promote(node, meant.key)
    Runner(node, periodic=()).run_due()
    Runner(node, periodic=()).run_due()
    new = open_archive(*volumes, index_url=f"sqlite:///{tmp_path}/new.db")
    new = dataclasses.replace(new, volumes={name: node.volumes[name] for name in names})
    assert list(archive.rebuild(new)) == [] and len(load_promotions(new)) == 1
    assert meant.key in {one.key for one in new.index.select([])}
    assert new.index.promotions.of(meant.sop_instance_uid) == node.index.promotions.of(meant.sop_instance_uid)
    assert [one.resolution for one in new.index.conflicts()] == ["two persons"]


def test_a_start_with_a_new_index_knows_the_decision(
    open_archive: NodeOpener, node: Node, versions: list[bytes], tmp_path: Path
) -> None:
    promote(node, keys(node)[2])
    note(node)
    new = open_archive(index_url=f"sqlite:///{tmp_path}/new.db")
    assert archive.reconcile(new).adopted == 3
    assert contents(tmp_path / "new.db") == contents(tmp_path / "data" / "index.db")
    assert archive.reconcile(new).adopted == 0
    assert current(new) == keys(node)[2]


@pytest.mark.parametrize("step_s", [-7200, -1, 0, 3600])
def test_the_order_holds_whatever_the_clock_says(
    open_archive: NodeOpener, node: Node, versions: list[bytes], clock: Clock, tmp_path: Path, step_s: int
) -> None:
    """It is set back or ahead before each decision; what is received next is later than all of them."""
    end = clock.now
    for number in (1, 2, 0, 2):
        clock.advance(step_s)
        promote(node, keys(node)[number])
    clock.now = end + timedelta(days=1)  # jobs that were added while it was ahead are due
    note(node)
    rebuilt(open_archive, tmp_path)
    assert contents(tmp_path / "new.db") == contents(tmp_path / "data" / "index.db")
    moments = [one.decided_at for one in node.index.promotions.of(keys(node)[0].sop_instance_uid)]
    assert moments == sorted(set(moments)) and moments[0] > end - timedelta(seconds=2)


def test_what_is_received_later_stays_although_the_clock_was_set_back(
    open_archive: NodeOpener, node: Node, versions: list[bytes], clock: Clock, tmp_path: Path
) -> None:
    promote(node, keys(node)[1])
    note(node)
    clock.advance(-3)
    replacing = open_archive("store.duplicates=replace", clock=clock)
    [sample] = make_small(tmp_path / "made")
    uid = keys(node)[0].sop_instance_uid
    dataset = pydicom.dcmread(sample.path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(sample.path)
    last = Sample(sample.path, sample.sop_class_uid, uid, sample.transfer_syntax_uid)
    assert receive(replacing, last) == "replaced"
    assert current(rebuilt(open_archive, tmp_path)) == current(node)


def test_a_decision_about_what_was_deleted_later_is_no_news(
    open_archive: NodeOpener, node: Node, clock: Clock, tmp_path: Path
) -> None:
    """It is received again, while the clock shows an earlier moment than that of the decision."""
    versions = receive_versions(node, clock, tmp_path)
    promote(node, keys(node)[1])
    note(node)
    uid = keys(node)[0].sop_instance_uid
    order_deletion(node, node.index.copies_of(current(node)), by="test", reason="")
    Runner(node, periodic=()).run_due()
    Runner(node, periodic=()).run_due()
    assert stored_paths(node) == []
    clock.advance(-5)
    [sample] = make_small(tmp_path / "again")
    sample = Sample(sample.path, sample.sop_class_uid, uid, sample.transfer_syntax_uid)
    for data_set in versions[:2]:
        receive(node, sample, data_set)
        clock.advance(1)
    rebuilt(open_archive, tmp_path)
    assert contents(tmp_path / "new.db") == contents(tmp_path / "data" / "index.db")


# -- everything that can happen to an instance, in every order --

Event = tuple[str, str]

RECEIVED = [("keep", name) for name in "ABC"] + [("replace", name) for name in "ABC"]
EVENTS: list[Event] = [
    *RECEIVED, *(("promote", name) for name in "ABC"), *(("delete", name) for name in "AB"), ("compress", "")
]  # fmt: skip
LENGTH = 4


def orders(events: Sequence[Event], length: int) -> Iterator[tuple[Event, ...]]:
    """Yield every order that begins with the reception of A; the second that is received is B, the third C."""
    for rest in itertools.product(events, repeat=length - 1):
        order = (("keep", "A"), *rest)
        seen = "".join(dict.fromkeys(name for what, name in order if what in ("keep", "replace")))
        if "ABC".startswith(seen):
            yield order


class Histories:
    """Instances of one archive, to each of which something else happens."""

    def __init__(self, open_archive: NodeOpener, clock: Clock, directory: Path) -> None:
        self.node = open_archive(clock=clock)
        self._nodes = {"keep": self.node, "replace": open_archive("store.duplicates=replace", clock=clock)}
        self._clock = clock
        [self._sample] = make_small(directory / "made")
        self._dataset = pydicom.dcmread(self._sample.path)
        kinds = ("delete", "remove")
        self._runner = Runner(self.node, [kind for kind in JOB_KINDS if kind.name in kinds], periodic=())

    def play(self, number: int, order: Sequence[Event]) -> None:
        for what, name in order:
            getattr(self, f"_{what}")(f"1.2.826.0.1.{number}", name)
            self._clock.advance(1.5)

    def _keep(self, uid: str, name: str) -> None:
        self._receive("keep", uid, name)

    def _replace(self, uid: str, name: str) -> None:
        self._receive("replace", uid, name)

    def _receive(self, policy: str, uid: str, name: str) -> None:
        receive(self._nodes[policy], self._as_instance(uid), self._data_set(uid, name))

    def _promote(self, uid: str, name: str) -> None:
        for one in self._versions(uid, name):
            with suppress(BadUsage):
                promote(self.node, one.key)

    def _delete(self, uid: str, name: str) -> None:
        for one in self._versions(uid, name):
            if one.copies:
                order_deletion(self.node, one.copies[:1], by="test", reason="")
                while self._runner.run_due():
                    pass

    def _compress(self, uid: str, name: str) -> None:
        found = self.node.index.instances([uid]).get(uid)
        if found is not None and found.transfer_syntax_uid != J2K:
            archive.compress_object(self.node, found, J2K)

    def _versions(self, uid: str, name: str) -> list[ObjectVersion]:
        digest = hashlib.sha256(self._data_set(uid, name)).hexdigest()
        return [one for one in self.node.index.versions.of(uid) if one.digest == digest]

    def _as_instance(self, uid: str) -> Sample:
        return Sample(self._sample.path, self._sample.sop_class_uid, uid, self._sample.transfer_syntax_uid)

    def _data_set(self, uid: str, name: str) -> bytes:
        dataset = self._dataset
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.StudyInstanceUID, dataset.PatientID = f"{uid}.1", uid
        dataset.SeriesInstanceUID = f"{uid}.2.{'AB'.find(name) + 2}"
        dataset.InstanceNumber, dataset.ImageComments = ord(name), name
        dataset.save_as(self._sample.path)
        return self._as_instance(uid).data_set()


@pytest.fixture(scope="module")
def played(make_directory: MakeDirectory) -> Path:
    """Give the folder of a node to whose instances everything has happened, and its index in the middle of that."""
    directory, clock = make_directory("played"), Clock()
    with opening(directory) as open_node:
        histories = Histories(open_node, clock, directory)
        happened = list(enumerate(orders(EVENTS, LENGTH)))
        assert len(happened) > 1000
        for number, order in happened:
            histories.play(number, order[:2])
        note(histories.node)
        histories.node.index.dump(directory / "data" / "before.db")
        for number, order in happened:
            histories.play(number, order[2:])
        note(histories.node)
        (directory / "data" / "middle.txt").write_text((NOON + (clock.now - NOON) / 2).isoformat())
    return directory / "data"


@pytest.fixture
def everything(played: Path, tmp_path: Path) -> Path:
    """Give a copy of that folder."""
    shutil.copytree(played, tmp_path / "data")
    return tmp_path / "data"


def test_a_rebuilt_index_equals_the_one_that_was_there(
    open_archive: NodeOpener, everything: Path, tmp_path: Path
) -> None:
    rebuilt(open_archive, tmp_path)
    assert contents(tmp_path / "new.db") == contents(everything / "index.db")


@pytest.mark.parametrize("stop_after", [2, 317, 1100, 1500])
def test_a_rebuild_that_goes_on_comes_to_the_same(
    open_archive: NodeOpener, everything: Path, tmp_path: Path, stop_after: int
) -> None:
    """What it enters again had been followed by decisions that it knows."""
    new = open_archive(index_url=f"sqlite:///{tmp_path}/new.db")
    interrupted_after(new, stop_after, noted_every=900)
    assert archive.interrupted_rebuild(new)
    assert list(archive.rebuild(new)) == []
    assert contents(tmp_path / "new.db") == contents(everything / "index.db")


def test_a_start_without_an_index_comes_to_the_same(
    open_archive: NodeOpener, everything: Path, tmp_path: Path
) -> None:
    archive.reconcile(open_archive(index_url=f"sqlite:///{tmp_path}/new.db"))
    assert contents(tmp_path / "new.db") == contents(everything / "index.db")


def test_an_index_of_before_comes_to_the_same(open_archive: NodeOpener, everything: Path, tmp_path: Path) -> None:
    made_at = datetime.fromisoformat((everything / "middle.txt").read_text())
    old = open_archive(index_url=f"sqlite:///{everything}/before.db", clock=Clock(made_at + timedelta(days=1)))
    assert list(replay(old, made_at)) == []
    assert contents(everything / "before.db") == contents(everything / "index.db")
