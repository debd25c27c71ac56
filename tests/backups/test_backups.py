"""Backups of the index, on SQLite and PostgreSQL: made while others write, listed, verified, removed, brought back."""

from __future__ import annotations

import gzip
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.backups import creation, schedule
from medserver.backups.catalog import LATEST, Backup, backups_on, find_backup
from medserver.backups.restoring import restore
from medserver.backups.retention import remove_old_backups
from medserver.backups.verification import verify_backup
from medserver.errors import BadUsage, DamagedObject, OutOfResources
from medserver.index import Interrupted, JobFilter, NewJob, Query
from medserver.index.jobs.batch import Batch
from medserver.node import Node
from medserver.safekeeping.deletion import DELETE, order_deletion
from medserver.work.kinds import PERIODIC
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.archive.test_rebuild import variant
from tests.backups.conftest import rows, work
from tests.peers.files import Sample, make_small
from tests.peers.small_disk import SmallDisk, requires_mount
from tests.safekeeping.conftest import run_all, sent, served


def back_up(node: Node) -> Backup:
    manifest = creation.create_backup(node, node.volumes["near"])
    return find_backup(node.volumes.values(), manifest.name)


def store(node: Node, folder: Path, count: int, name: str = "1") -> list:
    made = make_small(folder / name, count)
    for sample in made:
        receive(node, sample)
    work(node)
    return made


def restored(node: Node, open_node, backup: Backup):
    """Close the node, bring a backup back, and return what was done and the node that is opened then."""
    node.close()
    done = restore(node.config, backup, clock=node.clock)
    return done, open_node()


def dump_of(backup: Backup) -> Path:
    return Path(backup.volume.root) / "backups" / backup.manifest.dump_name


# Making


def test_a_backup_holds_what_the_index_holds(node, tmp_path):
    store(node, tmp_path, 3)
    backup = back_up(node)
    assert backup.manifest.rows["instances"] == 3
    assert backup.manifest.rows["locations"] == 6
    assert backup.manifest.made_at == node.clock()
    assert backup.manifest.size_bytes == dump_of(backup).stat().st_size
    verify_backup(node.config.current, backup)


def test_objects_and_backups_are_not_in_each_others_way(node, tmp_path):
    store(node, tmp_path, 2)
    before = list(node.volumes["near"].walk())
    back_up(node)
    assert list(node.volumes["near"].walk()) == before
    assert list(node.volumes["main"].backups.names()) == []


def test_writers_go_on_while_a_backup_is_made(node, tmp_path):
    """What is committed while it is made is not in it, and waits for nothing."""
    store(node, tmp_path, 3)
    added: list[int] = []

    def write_meanwhile() -> bool:
        added.extend(node.index.add_jobs([NewJob("test", {"text": "x" * 5000})] * 5))
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medserver.index.sqlite.dump.PAGES_PER_STEP", 5)
        patch.setattr("medserver.index.postgresql.dump.LOOK_EVERY_S", 0.001)
        manifest = creation.create_backup(node, node.volumes["near"], write_meanwhile)
    assert added
    jobs_then = manifest.rows["jobs"]
    verify_backup(node.config.current, find_backup(node.volumes.values(), manifest.name))
    assert len(list(node.index.jobs.list(JobFilter("test")))) == len(added)
    assert jobs_then < len(added) or jobs_then == 5  # the first look at whether to stop comes before the snapshot


def test_a_backup_that_is_told_to_stop_leaves_nothing(node, tmp_path, monkeypatch):
    monkeypatch.setattr("medserver.index.postgresql.dump.LOOK_EVERY_S", 0.0001)
    store(node, tmp_path, 1)
    with pytest.raises(Interrupted):
        creation.create_backup(node, node.volumes["near"], lambda: True)
    assert node.volumes["near"].backups.names() == []
    assert not list((tmp_path / "data" / "unfinished").rglob("*.part"))


def test_a_full_disk_leaves_the_earlier_ones(open_node, tmp_path):
    requires_mount()
    disk = SmallDisk(tmp_path / "disk", 4_000_000)
    try:
        node = open_node(f"volume near.path={disk.path / 'near'}")
        store(node, tmp_path, 2)
        first = back_up(node)
        node.index.add_jobs([NewJob("test", {"text": f"{number:x}" * 2000}) for number in range(3000)])
        disk.fill(left_bytes=80_000)
        with pytest.raises(OutOfResources):
            creation.create_backup(node, node.volumes["near"])
        assert [one.name for one in backups_on(node.volumes["near"])] == [first.name]
        assert len(node.volumes["near"].backups.names()) == 2
        verify_backup(node.config.current, first)
        disk.release()
        verify_backup(node.config.current, back_up(node))
        node.close()
    finally:
        disk.close()


# Schedule and retention


def test_backups_come_at_intervals_and_the_oldest_go(open_node, clock, tmp_path):
    node = open_node("backup.interval=6 h", "backup.keep=2")
    store(node, tmp_path, 1)
    worker = Runner(node, periodic=[one for one in PERIODIC if one.name == schedule.SURVEY])
    names = []
    for _ in range(4):
        run_all(worker)
        run_all(worker)
        names.append(find_backup(node.volumes.values(), LATEST).name)
        clock.advance(timedelta(hours=6, seconds=1).total_seconds())
    assert len(set(names)) == 4
    assert [one.name for one in backups_on(node.volumes["near"])] == names[2:]


def test_no_backups_if_they_are_off(open_node, tmp_path):
    node = open_node("backup.interval=0")
    run_all(Runner(node, periodic=[one for one in PERIODIC if one.name == schedule.SURVEY]))
    assert list(node.index.jobs.list()) == []
    assert find_backups_names(node) == []


def find_backups_names(node: Node) -> list[str]:
    return [one.name for volume in node.volumes.values() for one in backups_on(volume)]


def test_the_newest_good_one_stays(node, clock, tmp_path):
    """One whose manifest is damaged does not count, and a dump without a manifest goes after a day."""
    store(node, tmp_path, 1)
    shelf = node.volumes["near"].backups
    shelf.put("20250101T000000Z-aaaaaa.json", [b"{"])
    shelf.put("20250101T000000Z-bbbbbb.dump.gz", [b"half"])
    shelf.put("29990101T000000Z-cccccc.json", [b"{"])
    made = back_up(node)
    removed = remove_old_backups(node.volumes["near"], 1, made.manifest, clock())
    assert removed == ["20250101T000000Z-aaaaaa"]
    assert shelf.names() == sorted([f"{made.name}.dump.gz", f"{made.name}.json", "29990101T000000Z-cccccc.json"])


def test_a_job_makes_one_and_is_done(node, tmp_path):
    store(node, tmp_path, 1)
    node.index.add_jobs([NewJob(schedule.BACKUP)])
    work(node)
    assert len(find_backups_names(node)) == 1
    assert list(node.index.jobs.list()) == []


def test_a_job_that_is_told_to_stop_waits_again(node, tmp_path):
    numbers = node.index.add_jobs([NewJob(schedule.BACKUP)])
    batch = Batch([node.index.jobs.get(numbers[0])], lambda: True)
    assert list(schedule.back_up(node, batch)) == []


# Damage


@pytest.mark.parametrize("damage", ["bit", "cut", "another dump", "manifest"])
def test_a_damaged_backup_is_refused(node, open_node, tmp_path, damage):
    store(node, tmp_path, 2)
    backup = back_up(node)
    file = dump_of(backup)
    content = file.read_bytes()
    if damage == "bit":
        file.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    elif damage == "cut":
        file.write_bytes(content[:-100])
    elif damage == "another dump":
        file.write_bytes(gzip.compress(b"no dump at all"))
    else:
        (file.parent / backup.manifest.manifest_name).write_bytes(b"{}")
        backup = find_backup(node.volumes.values(), backup.name)
    before = rows(node)
    with pytest.raises(DamagedObject) as error:
        verify_backup(node.config.current, backup)
    assert len(str(error.value).splitlines()) == 1
    node.close()
    with pytest.raises(DamagedObject):
        restore(node.config, backup)
    assert rows(open_node()) == before


def test_a_newer_one_or_one_of_another_database_is_refused(node, tmp_path):
    backup = back_up(node)
    manifest = Path(backup.volume.root) / "backups" / backup.manifest.manifest_name
    text = manifest.read_text()
    manifest.write_text(text.replace("0001_initial", "9999_future"))
    with pytest.raises(BadUsage, match="newer version"):
        restore(node.config, find_backup(node.volumes.values(), LATEST))
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[node.index.backend.name]
    manifest.write_text(text.replace(f'"{node.index.backend.name}"', f'"{other}"'))
    with pytest.raises(BadUsage, match=f"is one of {other}"):
        restore(node.config, find_backup(node.volumes.values(), LATEST))


# Bringing back


def test_what_was_there_is_kept_and_what_came_since_is_entered(node, open_node, tmp_path):
    first = store(node, tmp_path, 3)
    backup = back_up(node)
    second = store(node, tmp_path, 4, "2")
    expected = rows(node)
    done, node = restored(node, open_node, backup)
    assert done.findings == []
    assert (done.before.instances, done.after.instances) == (3, 7)
    assert done.kept is not None
    assert rows(node) == expected
    assert served(node) == sent([*first, *second])
    # Once more, from the same backup: nothing changes.
    done, node = restored(node, open_node, backup)
    assert rows(node) == expected
    work(node)
    assert rows(node) == expected


def test_jobs_that_waited_do_no_harm(node, open_node, tmp_path):
    made = make_small(tmp_path / "made", 3)
    for sample in made:
        receive(node, sample)
    backup = back_up(node)  # with the copies still to be made
    work(node)
    expected = rows(node)
    _, node = restored(node, open_node, backup)
    assert list(node.index.jobs.list())
    work(node)
    assert rows(node) == expected
    assert list(node.index.jobs.list()) == []


def test_what_was_deleted_stays_deleted(node, open_node, clock, tmp_path):
    made = store(node, tmp_path, 3)
    backup = back_up(node)
    clock.advance(120)
    [gone] = [one for one in node.index.select([]) if one.sop_instance_uid == made[0].sop_instance_uid]
    order_deletion(node, [gone], by="test", reason="")
    work(node)
    expected = rows(node)
    done, node = restored(node, open_node, backup)
    work(node)
    assert done.findings == []
    assert rows(node) == expected
    assert served(node) == sent(made[1:])


def test_what_was_decided_stays_decided(node, open_node, clock, tmp_path):
    """Before the backup and after it, about what was there and about what came later."""
    [sample, other] = store(node, tmp_path, 2)
    receive(node, sample, variant(sample, InstanceNumber=22))
    decide(node, sample, 22)
    work(node)
    backup = back_up(node)
    clock.advance(120)
    receive(node, sample, variant(sample, InstanceNumber=33))
    receive(node, other, variant(other, InstanceNumber=44, PatientID="ANOTHER"))
    clock.advance(1)
    for one, number in [(sample, 33), (sample, 1), (sample, 33), (other, 44)]:
        decide(node, one, number)
    [conflict] = node.index.conflicts()
    assert archive.resolve_conflict(node, conflict.number, by="mtra", why="two persons")
    work(node)
    expected, decided = rows(node), node.index.promotions.of(sample.sop_instance_uid)
    assert numbers(node) == ["33", "44"] and len(decided) == 4
    done, node = restored(node, open_node, backup)
    work(node)
    assert done.findings == []
    assert rows(node) == expected
    assert numbers(node) == ["33", "44"]
    assert node.index.promotions.of(sample.sop_instance_uid) == decided
    [found] = node.index.conflicts()
    assert (found.resolved_by, found.resolution) == ("mtra", "two persons")


def decide(node: Node, sample: Sample, instance_number: int) -> None:
    """Promote the object of an instance that has this Instance Number."""
    for one in node.index.versions.of(sample.sop_instance_uid):
        if archive.read_header(node, one.copies[0]).InstanceNumber == instance_number:
            archive.promote(node, one.key, by="mtra", why=str(instance_number))


def numbers(node: Node) -> list[str]:
    """Return the Instance Numbers of all instances, as a query finds them."""
    return sorted(one["InstanceNumber"] for one in node.index.find(Query("IMAGE", (), ("InstanceNumber",))))


def test_a_deletion_that_waited_does_not_delete_what_came_again(node, open_node, clock, tmp_path):
    made = store(node, tmp_path, 2)
    [gone] = [one for one in node.index.select([]) if one.sop_instance_uid == made[0].sop_instance_uid]
    order_deletion(node, [gone], by="test", reason="")
    backup = back_up(node)
    work(node)
    clock.advance(120)
    receive(node, made[0])
    work(node)
    _, node = restored(node, open_node, backup)
    assert list(node.index.jobs.list(JobFilter(DELETE))) == []
    work(node)
    assert served(node) == sent(made)


def test_a_deletion_that_waited_does_not_delete_what_was_kept_because_it_came_again(node, open_node, tmp_path, caplog):
    """Nothing was written to the volumes then: they cannot tell."""
    made = store(node, tmp_path, 2)
    [gone] = [one for one in node.index.select([]) if one.sop_instance_uid == made[0].sop_instance_uid]
    order_deletion(node, [gone], by="test", reason="")
    backup = back_up(node)
    assert receive(node, made[0]) == "same"
    work(node)
    _, node = restored(node, open_node, backup)
    work(node)
    assert served(node) == sent(made)
    assert "stay until that is ordered again: 1 objects" in caplog.text


def test_a_file_that_is_gone_is_told_and_repaired(node, open_node, tmp_path):
    made = store(node, tmp_path, 2)
    backup = back_up(node)
    expected = rows(node)
    path = next(node.volumes["main"].walk())
    (Path(node.volumes["main"].root) / path).unlink()
    done, node = restored(node, open_node, backup)
    assert [(one.problem, one.volume, one.path) for one in done.findings] == [("missing", "main", path)]
    assert served(node) == sent(made)
    work(node)
    assert rows(node) == expected


def test_many_backups_at_once(node, tmp_path):
    store(node, tmp_path, 1)
    threads = [threading.Thread(target=back_up, args=[node]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(find_backups_names(node)) == 3
    for backup in backups_on(node.volumes["near"]):
        verify_backup(node.config.current, backup)


def test_an_index_that_was_begun_anew_does_not_push_out_the_full_one(node, open_node, clock, tmp_path):
    store(node, tmp_path, 3)
    full = back_up(node)
    for _ in range(3):
        clock.advance(60)
        lost = find_backup(node.volumes.values(), full.name).manifest
        node.volumes["near"].backups.put(
            f"{clock():%Y%m%dT%H%M%SZ}-empty.json",
            [lost.to_bytes().replace(lost.name.encode(), f"{clock():%Y%m%dT%H%M%SZ}-empty".encode())
             .replace(b'"instances": 3', b'"instances": 0')],
        )  # fmt: skip
    clock.advance(60)
    empty = open_node(f"index.url=sqlite:///{tmp_path}/other.db")
    made = back_up(empty)
    removed = remove_old_backups(node.volumes["near"], 2, made.manifest, clock())
    assert len(removed) == 2
    assert [one.name for one in backups_on(node.volumes["near"])][0] == full.name
