"""A new index from the volumes equals the old one."""

from __future__ import annotations

import dataclasses
import shutil
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import apsw
import pydicom
import pytest

from medserver import archive
from medserver.archive.findings import Problem
from medserver.store import DirectoryVolume
from medserver.store import paths as object_paths
from tests.archive.conftest import add_volumes, opening, receive, stored_paths
from tests.clock import Clock
from tests.peers.files import Sample, make_small, samples

# Numbers that the database gives; when a copy was last read; how often an object was received, and when again:
# that protects it from an order of deletion, and no order outlives a rebuild, nor does what rules go by.
NUMBERS = {"id", "patient", "study", "series", "instance", "object", "made_from"}
NOT_COMPARED = NUMBERS | {"receipts", "received_again_at", "verified_at"}
AUDIT_TABLES = {"audit_pending", "audit_trail", "audit_chain", "audit_repositories", "audit_transfers"}
TABLES_NOT_COMPARED = {"progress", "schema_migrations", "sqlite_sequence", "unknown_callers"} | AUDIT_TABLES


def dump(path: Path) -> dict[str, list]:
    """Return the rows of every table of an index, without their numbers.

    The library is the one that the node has: two in one process take each other's locks of a file away, and the file
    that they share in memory (-shm) is cut off under the other.
    """
    connection = apsw.Connection(str(path))
    try:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {table: _rows(connection, table) for table in tables if table not in TABLES_NOT_COMPARED}
    finally:
        connection.close()


def _rows(connection, table: str) -> list:
    names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    return sorted(
        str([(name, value) for name, value in zip(names, row, strict=True) if name not in NOT_COMPARED])
        for row in connection.execute(f'SELECT * FROM "{table}"')
    )


def variant(sample: Sample, **changes) -> bytes:
    """Return the data set of a sample with other values, in the same transfer syntax."""
    dataset = pydicom.dcmread(sample.path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    target = sample.path.with_suffix(".changed")
    dataset.save_as(target)
    return Sample(
        target, sample.sop_class_uid, sample.sop_instance_uid, sample.transfer_syntax_uid
    ).data_set()


@pytest.fixture(scope="module")
def filled_once(make_directory) -> Path:
    """Give the folder of a node with everything in it that a rebuild could get wrong."""
    directory = make_directory("filled")
    clock = Clock(datetime(2026, 1, 31, 23, 59, 29, tzinfo=UTC))
    with opening(directory) as open_node:
        node = open_node(clock=clock)
        fill(node, open_node("store.duplicates=replace", clock=clock), clock, directory / "made")
        assert node.index.counts().conflicts >= 1
        assert node.index.counts().duplicates >= 5
    return directory / "data"


@pytest.fixture
def filled(open_archive, filled_once, tmp_path):
    """Give a node of its own in a copy of that folder."""
    shutil.copytree(filled_once, tmp_path / "data")
    return open_archive()


def fill(node, replacing, clock, directory: Path) -> None:
    def take(*arguments, at=node, **announced) -> None:
        receive(at, *arguments, **announced)
        clock.now += timedelta(seconds=1.5)

    for sample in samples():
        take(sample)
    made = make_small(directory, 6)
    for sample in made:
        take(sample, calling_ae_title="MR1")
    take(made[0])
    take(made[1], variant(made[1], ImageComments="second"))
    take(made[1], variant(made[1], ImageComments="third"))
    take(made[2], variant(made[2], PatientName="Another^Person"))
    take(made[3], variant(made[3], SeriesDescription="Better", PatientName="Other^Person"), at=replacing)


def rebuilt(open_archive, tmp_path, name="new.db"):
    return open_archive(index_url=f"sqlite:///{tmp_path}/{name}")


def interrupted_after(node, stop_after: int, **arguments) -> list:
    """Rebuild until so many objects are done, and return what was found until then."""

    class Interrupted(Exception):
        pass

    done = []

    def progress(count: int) -> None:
        done.append(count)
        if sum(done) == stop_after:
            raise Interrupted

    found = []
    with pytest.raises(Interrupted):
        found.extend(archive.rebuild(node, progress, **arguments))
    return found


def test_rebuilt_index_equals_the_old_one(open_archive, filled, tmp_path):
    new = rebuilt(open_archive, tmp_path)
    counted = []
    total = archive.count_objects(new)
    assert list(archive.rebuild(new, counted.append)) == []
    assert sum(counted) == total == filled.index.counts().locations
    assert dump(tmp_path / "new.db") == dump(tmp_path / "data" / "index.db")
    assert not archive.interrupted_rebuild(new)
    assert list(archive.check(new, digests=True)) == []


def test_rebuild_of_a_copy_of_the_store(open_archive, filled, tmp_path):
    shutil.copytree(filled.primary_volume.root, tmp_path / "copied", copy_function=shutil.copyfile)
    new = rebuilt(open_archive, tmp_path)
    new = dataclasses.replace(new, volumes={"main": DirectoryVolume("main", tmp_path / "copied")})
    assert list(archive.rebuild(new, verify=True)) == []
    assert dump(tmp_path / "new.db") == dump(tmp_path / "data" / "index.db")


@pytest.mark.parametrize("stop_after", [1, 10, 40, 70])
def test_rebuild_goes_on_where_it_was_interrupted(open_archive, filled, tmp_path, stop_after):
    new = rebuilt(open_archive, tmp_path)
    total = archive.count_objects(new)
    interrupted_after(new, stop_after, noted_every=3)
    assert archive.interrupted_rebuild(new) and archive.can_rebuild(new)
    assert archive.count_objects(new) <= total
    assert list(archive.rebuild(new)) == []
    assert dump(tmp_path / "new.db") == dump(tmp_path / "data" / "index.db")


def test_what_cannot_be_entered_is_reported_and_left(open_archive, filled, tmp_path):
    paths = stored_paths(filled)
    root = Path(filled.primary_volume.root)
    (root / paths[0]).write_bytes(b"")
    changed = bytearray((root / paths[4]).read_bytes())
    changed[-1] ^= 1
    (root / paths[4]).write_bytes(changed)
    second = f"{object_paths.directory_of(paths[7])}/{object_paths.file_name(object_paths.digest_of(paths[7]), 3)}"
    shutil.copy(root / paths[7], root / second)
    new = rebuilt(open_archive, tmp_path)
    findings = {one.path: one.problem for one in archive.rebuild(new, verify=True)}
    assert findings == {
        paths[0]: Problem.DAMAGED,
        paths[4]: Problem.DAMAGED,
        **{path: Problem.SURPLUS for path in findings if path in (paths[7], second)},
    }
    assert len(findings) == 3
    assert len(stored_paths(filled)) == len(paths) + 1


@pytest.mark.parametrize("damaged", [0, 6, -1])
def test_what_was_found_before_an_interruption_is_not_forgotten(open_archive, tmp_path, damaged):
    """Wherever it is interrupted, what was found before and after is together what there is."""
    node = open_archive()
    for sample in make_small(tmp_path / "made", 13):
        receive(node, sample)
    paths = stored_paths(node)
    (Path(node.primary_volume.root) / paths[damaged]).write_bytes(b"x")
    for stop_after in range(1, len(paths)):
        new = rebuilt(open_archive, tmp_path, f"{stop_after}.db")
        seen = interrupted_after(new, stop_after, noted_every=3)
        before = sum(mark.found for mark in archive.interrupted_rebuild(new))
        assert before <= len(seen)
        assert before + len(list(archive.rebuild(new))) == 1


@pytest.mark.parametrize("verify", [False, True])
def test_only_a_rebuild_of_the_same_kind_goes_on(open_archive, filled, tmp_path, verify):
    new = rebuilt(open_archive, tmp_path)
    assert archive.can_rebuild(new, verify=True) and archive.can_rebuild(new)
    interrupted_after(new, 45, verify=verify, noted_every=3)
    assert archive.can_rebuild(new, verify=verify)
    assert not archive.can_rebuild(new, verify=not verify)


def test_reader_of_findings_may_stop_at_any_time(open_archive, filled, tmp_path):
    root = Path(filled.primary_volume.root)
    for path in stored_paths(filled):
        (root / path).write_bytes(b"x")
    assert len(list(islice(archive.rebuild(rebuilt(open_archive, tmp_path)), 3))) == 3


THREE_VOLUMES = (
    "volume main.path=store", "volume near.path=near", "volume near.role=replica", "volume cold.path=cold",
    "volume cold.role=archive",
)  # fmt: skip


@pytest.fixture(scope="module")
def replicated_once(filled_once, make_directory) -> Path:
    """Give the folder of a node with a replica that has everything, and an archive that has every other object."""
    directory = make_directory("replicated")
    shutil.copytree(filled_once, directory / "data")
    with opening(directory) as open_node:
        node = open_node(*THREE_VOLUMES)
        add_volumes(node, "near", "cold")
        for number, location in enumerate(list(node.index.locations())):
            for name in ("near", "cold")[: 1 + number % 2]:
                archive.copy_object(node, location, node.volumes[name])
        assert node.index.counts().locations > 2 * node.index.counts().instances
    return directory / "data"


@pytest.fixture
def replicated(open_archive, replicated_once, tmp_path):
    """Give a node of its own in a copy of that folder."""
    shutil.copytree(replicated_once, tmp_path / "data")
    return open_archive(*THREE_VOLUMES)


def without_copies(rows: dict[str, list]) -> dict[str, list]:
    return {name: table for name, table in rows.items() if name not in ("locations", "volumes")}


def places(node) -> list[tuple]:
    return [(one.volume, one.path, one.is_current, one.sop_instance_uid, one.digest) for one in node.index.locations()]


def test_rebuild_from_several_volumes_knows_all_copies(open_archive, replicated, tmp_path):
    new = dataclasses.replace(rebuilt(open_archive, tmp_path), volumes=replicated.volumes)
    total = archive.count_objects(new)
    counted = []
    assert list(archive.rebuild(new, counted.append)) == []
    assert sum(counted) == total == replicated.index.counts().locations
    assert places(new) == places(replicated)
    assert new.index.counts() == replicated.index.counts()
    assert without_copies(dump(tmp_path / "new.db")) == without_copies(dump(tmp_path / "data" / "index.db"))
    assert list(archive.check(new, digests=True)) == []


@pytest.mark.parametrize("volumes", [("near",), ("near", "cold"), ("cold", "near", "main")])
def test_any_volume_with_everything_gives_the_same_index(open_archive, replicated, tmp_path, volumes):
    chosen = {name: replicated.volumes[name] for name in volumes}
    new = dataclasses.replace(rebuilt(open_archive, tmp_path), volumes=chosen)
    assert list(archive.rebuild(new, verify=True)) == []
    assert without_copies(dump(tmp_path / "new.db")) == without_copies(dump(tmp_path / "data" / "index.db"))
    assert places(new) == [place for place in places(replicated) if place[0] in volumes]


def test_rebuild_of_several_volumes_goes_on_where_it_was_interrupted(open_archive, replicated, tmp_path):
    new = dataclasses.replace(rebuilt(open_archive, tmp_path), volumes=replicated.volumes)
    done = []

    class Interrupted(Exception):
        pass

    def progress(count: int) -> None:
        done.append(count)
        if sum(done) == 60:
            raise Interrupted

    with pytest.raises(Interrupted):
        list(archive.rebuild(new, progress, noted_every=3))
    assert archive.interrupted_rebuild(new)
    assert list(archive.rebuild(new)) == []
    assert places(new) == places(replicated)


def test_what_is_lost_on_one_volume_is_found_on_another(open_archive, replicated, tmp_path):
    location = next(replicated.index.locations(("main", "")))
    Path(replicated.primary_volume.root, location.path).unlink()
    damaged = [one for one in replicated.index.locations(("main", location.path)) if one.volume == "main"][3]
    Path(replicated.primary_volume.root, damaged.path).write_bytes(b"x")
    new = dataclasses.replace(rebuilt(open_archive, tmp_path), volumes=replicated.volumes)
    assert [(one.problem, one.path) for one in archive.rebuild(new)] == [(Problem.DAMAGED, damaged.path)]
    lost = {("main", location.path), ("main", damaged.path)}
    assert places(new) == [place for place in places(replicated) if place[:2] not in lost]
    assert without_copies(dump(tmp_path / "new.db")) == without_copies(dump(tmp_path / "data" / "index.db"))
