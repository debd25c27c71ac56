"""The migration from schema 0015, of an archive that has rows in every table: every fact is there, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medserver import archive
from medserver.delivery.outbox import rows as outbox_rows
from medserver.index import BAD, GOOD, JobFilter
from medserver.index.jobs.payloads import Payload
from medserver.node import Node
from medserver.routing.deliveries import CONFIRM, DELIVER, FORWARD_STEP, HOLD, NOTIFY
from medserver.safekeeping.drained import set_draining
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.test_rebuild import AUDIT_TABLES
from tests.clock import Clock
from tests.safekeeping.conftest import flip, root
from tests.migration.conftest import ROOT, NodeOpener, content, execute, rows

LATER = datetime(2100, 1, 1, tzinfo=UTC)
"""When everything is due that waits in the archive."""

OF_THE_STORE = ("adopt", "delete", "remove", "repair", "replicate", "compress", "retire", "note_decision")

CHANGED = {"instances", "duplicates", "originals", "objects", "locations", "tombstones", "deletions"}
RENAMED = {"rests_until": "paused_until", "rest_reason": "pause_reason"}
NEW_COLUMNS = {"unknown_callers": {"fingerprint": "", "reason": "", "certificate": None}}
OF_THE_SCHEMA = {"schema_migrations", "index_lock", "writers", "sqlite_sequence"}
LOST = {17, 25}
"""Instances of which only that is left which had been put aside: jobs enter it."""

MADE_FROM = {
    5: [("compressed", True, True)],
    6: [("compressed", True, False)],
    7: [("compressed", False, True), ("restored", True, True)],
    8: [("compressed", False, True)],  # what was restored is the original, byte for byte
    9: [("compressed", False, True)],
    10: [("compressed", False, True)],
    11: [("compressed", True, True)],
    18: [("compressed", False, True), ("restored", False, True)],
    19: [("compressed", True, True)],
    24: [("compressed", False, False)],
    26: [("compressed", False, True), ("compressed", True, True), ("restored", False, True)],
    27: [("compressed", False, False), ("restored", True, False)],
}
"""Instance -> what was made: how, whether it is the current object, and whether what it was made from is stored."""

_OBJECTS = (
    "SELECT sop_instance_uid, objects.sop_class_uid, transfer_syntax_uid, digest, size_bytes, received_at, "
    "calling_ae_title, is_current, receipts FROM objects JOIN instances ON instances.id = objects.instance"
)
_LOCATIONS = (
    "SELECT locations.id, volume, path, data_set_offset, meta_digest, state, verified_at, sop_instance_uid, digest, "
    "transfer_syntax_uid FROM locations JOIN objects ON objects.id = locations.object "
    "JOIN instances ON instances.id = objects.instance"
)
_MADE = (
    "SELECT sop_instance_uid, form.made_how, form.is_current, "
    "(SELECT COUNT(*) FROM locations WHERE locations.object = source.id), form.pixel_digest FROM objects AS form "
    "JOIN objects AS source ON source.id = form.made_from JOIN instances ON instances.id = form.instance"
)


def number_of(sop_instance_uid: str) -> int:
    return int(sop_instance_uid.removeprefix(f"{ROOT}."))


@pytest.fixture
def before(kept: Path, index_url: str) -> dict[str, list[dict[str, object]]]:
    return content(index_url, kept / "data")


@pytest.fixture
def migrated(before, open_kept: NodeOpener) -> Node:
    return open_kept(clock=Clock(LATER))


@pytest.fixture
def after(migrated: Node, kept: Path, index_url: str) -> dict[str, list[dict[str, object]]]:
    return content(index_url, kept / "data")


def test_every_table_has_rows(before) -> None:
    assert {table for table, found in before.items() if not found} <= {"writers"}
    assert {"adopt"}.isdisjoint(row["kind"] for row in before["jobs"])
    assert len({row["kind"] for row in before["jobs"]}) == 26


def test_what_was_stored_is_stored(before, migrated: Node, kept: Path, index_url: str) -> None:
    names = ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "digest", "size_bytes", "received_at",
             "calling_ae_title")  # fmt: skip
    wanted = {(*(row[name] for name in names), 1, 1) for row in before["instances"]}
    wanted |= {
        (*(row[name] for name in names), 0, 1)
        for row in before["duplicates"]
        if number_of(row["sop_instance_uid"]) not in LOST
    }
    stored = {row["digest"] for row in before["instances"] + before["duplicates"]}
    restored = {8, 9}  # that is what is known of their originals now, and when these were received
    found = rows(index_url, kept / "data", _OBJECTS)
    assert {row for row in found if row[3] in stored and number_of(row[0]) not in restored} == {
        row for row in wanted if number_of(row[0]) not in restored
    }
    not_kept = [row for row in found if row[3] not in stored]
    assert sorted(number_of(row[0]) for row in not_kept) == [6, 24, 27]
    assert all(row[7] == 0 for row in not_kept)


def test_copies_are_where_they_were(before, migrated: Node, kept: Path, index_url: str) -> None:
    objects = {("instance", row["id"]): row for row in before["instances"]}
    objects |= {("duplicate", row["id"]): row for row in before["duplicates"]}
    wanted = []
    for row in before["locations"]:
        one = objects["instance", row["instance"]] if row["instance"] else objects["duplicate", row["duplicate"]]
        if number_of(one["sop_instance_uid"]) not in LOST:
            own = ("id", "volume", "path", "data_set_offset", "meta_digest", "state", "verified_at")
            key = ("sop_instance_uid", "digest", "transfer_syntax_uid")
            wanted.append((*(row[name] for name in own), *(one[name] for name in key)))
    assert rows(index_url, kept / "data", _LOCATIONS) == sorted(wanted, key=repr)
    assert {row[5] for row in wanted} == {GOOD, BAD}


def test_it_is_known_what_was_made_from_what(migrated: Node, kept: Path, index_url: str) -> None:
    found: dict[int, list] = {}
    for uid, how, is_current, copies, pixel_digest in rows(index_url, kept / "data", _MADE):
        found.setdefault(number_of(uid), []).append((how, bool(is_current), bool(copies)))
        assert pixel_digest
    assert {number: sorted(made) for number, made in found.items()} == MADE_FROM


def test_orders_and_tombstones(before, migrated: Node, after, kept: Path, index_url: str) -> None:
    ordered = {tuple(row.values()) for row in before["deletions"]}
    statement = (
        "SELECT sop_instance_uid, digest, transfer_syntax_uid FROM deletions JOIN objects ON objects.id = object "
        "JOIN instances ON instances.id = instance WHERE deletions.receipts = 1"
    )
    found = set(rows(index_url, kept / "data", statement))
    assert {number_of(row[0]) for row in ordered - found} == {25} and found < ordered
    assert after["tombstones"] == sorted(
        [row | {"path": ""} for row in before["tombstones"]], key=lambda row: repr(sorted(row.items()))
    )


def test_everything_else_is_as_it_was(before, after) -> None:
    own = {"adopt", "note_decision"}
    added = {"jobs": {"retire"}}  # of which there are some more
    for table in before.keys() - CHANGED - OF_THE_SCHEMA:
        not_here = own | added.get(table, set())
        found, wanted = ([row for row in side[table] if row.get("kind") not in not_here] for side in (after, before))
        wanted = [NEW_COLUMNS.get(table, {}) | {RENAMED.get(name, name): row[name] for name in row} for row in wanted]
        assert found == wanted, table
    gone = {"transfer_syntax_uid", "digest", "size_bytes", "received_at", "calling_ae_title"}
    kept_columns = [{name: value for name, value in row.items() if name not in gone} for row in before["instances"]]
    assert after["instances"] == sorted(kept_columns, key=lambda row: repr(sorted(row.items())))
    new = {"objects", "promotions", "rule_versions", "delivered", "removed_copies"}
    new |= {"derivations", "derivation_instances"}
    new |= {"workitems", "workitem_subscriptions", "workitem_global_subscriptions", "films", "accounts"}
    new |= AUDIT_TABLES
    assert after.keys() == (before.keys() | new) - {"duplicates", "originals"}


def test_no_number_is_given_twice(before, migrated: Node, kept: Path, index_url: str) -> None:
    """Also not that of what had been deleted."""
    last = {"instances": 31, "locations": 108, "tombstones": 9}
    run = migrated.index.backend.database.execute_sql
    with migrated.index.backend.database.connection_context():
        for table in last:
            sequence = (
                f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'"
                if index_url.startswith("sqlite")
                else f"SELECT last_value FROM {table}_id_seq"
            )
            [[number]] = run(sequence).fetchall()
            assert number >= max(row["id"] for row in before[table])
            assert number >= last[table]


def test_jobs_enter_what_has_no_instance(migrated: Node, after) -> None:
    jobs = [json.loads(row["payload"]) for row in after["jobs"] if row["kind"] == "adopt"]
    assert len(jobs) == 4  # on two volumes each
    assert [job.get("ordered") for job in jobs if "ordered" in job] == [["somebody", "it was aside"]] * 2
    worker(migrated, "adopt").run()
    assert number_of_current(migrated, 17) == 1
    assert [copy.volume for copy in copies(migrated, 17)] == ["main", "near"]
    assert copies(migrated, 25)  # to be deleted
    worker(migrated, "delete", "remove").run()
    assert not copies(migrated, 25)


class Working:
    """Runs jobs of some kinds until there are none that are due."""

    def __init__(self, node: Node, *kinds: str) -> None:
        self._worker = Runner(node, [kind for kind in JOB_KINDS if kind.name in kinds], periodic=())

    def run(self) -> None:
        while self._worker.run_due():
            pass


def worker(node: Node, *kinds: str) -> Working:
    return Working(node, *kinds)


def copies(node: Node, number: int) -> list:
    return [one for one in node.index.locations() if one.sop_instance_uid == f"{ROOT}.{number}"]


def number_of_current(node: Node, number: int) -> int:
    return len(node.index.instances([f"{ROOT}.{number}"]))


def all_rows(node: Node, kept: Path, url: str) -> Iterator[object]:
    """Yield what two indexes of the same volumes have in common: no numbers, and nothing of when was looked."""
    base = kept / "data"
    yield rows(url, base, _OBJECTS)
    yield [row[1:5] + row[7:] for row in rows(url, base, _LOCATIONS)]
    yield rows(
        url, base,
        "SELECT sop_instance_uid, form.digest, form.transfer_syntax_uid, source.digest, source.transfer_syntax_uid, "
        "form.made_how, form.pixel_digest FROM objects AS form JOIN objects AS source ON source.id = form.made_from "
        "JOIN instances ON instances.id = form.instance",
    )  # fmt: skip
    found = content(url, base)
    numbers = {"id", "patient", "study", "series", "acquisition"}
    for table in ("patients", "studies", "series", "instances", "tombstones", "performed_steps", "conflicts"):
        yield [sorted(pair for pair in row.items() if pair[0] not in numbers) for row in found[table]]


def test_it_is_the_index_that_is_made_anew_from_the_volumes(
    migrated: Node, open_kept: NodeOpener, kept: Path, index_url: str
) -> None:
    """After the jobs that mend what is damaged, which nobody knows who has the files alone."""
    set_draining(migrated, "near", False)
    worker(migrated, *OF_THE_STORE).run()
    assert not [job for job in content(index_url, kept / "data")["jobs"] if job["kind"] in OF_THE_STORE]
    url = f"sqlite:///{kept}/new.db"
    new = open_kept(index_url=url)
    assert list(archive.rebuild(new, verify=True)) == []
    for ours, theirs in zip(all_rows(migrated, kept, index_url), all_rows(new, kept, url), strict=True):
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))


def test_jobs_that_waited_do_what_they_should(migrated: Node) -> None:
    [surplus] = [path for path in migrated.primary_volume.walk() if path.startswith("2026/01/31/1259/")]
    aside_of_2 = [one for one in copies(migrated, 2) if not one.is_current]
    set_draining(migrated, "near", False)
    worker(migrated, *OF_THE_STORE).run()
    assert surplus not in list(migrated.primary_volume.walk())
    assert not copies(migrated, 14)
    assert len([one for one in copies(migrated, 2) if not one.is_current]) == len(aside_of_2) / 2
    assert {one.state for one in migrated.index.locations()} == {GOOD}
    current = migrated.index.instances([f"{ROOT}.20"])[f"{ROOT}.20"]
    assert current.transfer_syntax_uid == "1.2.840.10008.1.2.4.90"
    assert migrated.index.forms.original_of(current.key)
    assert list(archive.check(migrated, digests=True)) == []


def test_every_job_that_waited_can_be_read(migrated: Node) -> None:
    """Also where an older medserver noted what it did not read itself."""
    records = {kind.name: kind.payload for kind in JOB_KINDS}
    found = [job for job in migrated.index.jobs.list() if job.kind in records]
    assert {CONFIRM, DELIVER, HOLD, NOTIFY, FORWARD_STEP} < {job.kind for job in found}
    for job in found:
        assert isinstance(records[job.kind].of(job), Payload)
    assert {row.job.kind for row in outbox_rows(migrated)} == {CONFIRM, DELIVER, HOLD, NOTIFY, FORWARD_STEP}


@pytest.mark.parametrize("is_good", [True, False])
def test_what_a_drained_volume_had_is_removed_if_another_copy_is_good(
    kept: Path, index_url: str, open_kept: NodeOpener, is_good: bool
) -> None:
    """The job knows the path only, and what it was sure of when it was added."""
    base = kept / "data"
    uid = f"{ROOT}.1"
    [[path]] = rows(
        index_url, base,
        "SELECT path FROM locations JOIN instances ON instances.id = locations.instance "
        f"WHERE volume = 'near' AND sop_instance_uid = '{uid}'",
    )  # fmt: skip
    execute(
        index_url, base, f"DELETE FROM locations WHERE volume = 'near' AND path = '{path}'",
        "INSERT INTO jobs (kind, destination, order_key, payload, state, due_at, created_at, priority, ready, attempts)"
        f" SELECT kind, 'near', '', '{json.dumps({'paths': [path]})}', state, due_at, created_at, priority, 1, 0 "
        "FROM jobs WHERE kind = 'remove'",
        "INSERT INTO job_lanes (kind, destination, paused) VALUES ('remove', 'near', 0) ON CONFLICT DO NOTHING",
    )  # fmt: skip
    node = open_kept(clock=Clock(LATER))
    if not is_good:
        [copy] = copies(node, 1)
        flip(root(node, copy.volume) / copy.path, -1)
    worker(node, "remove").run()
    assert (root(node, "near") / path).exists() is not is_good
    assert node.index.has_location("near", path) is not is_good
    assert not [job for job in node.index.jobs.list(JobFilter("remove"))]


def test_a_duplicate_that_is_the_instance(kept: Path, index_url: str, open_kept: NodeOpener) -> None:
    """None is known to have come about; it must not be in the way."""
    uid, base = f"{ROOT}.1", kept / "data"
    names = "sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size_bytes, received_at, calling_ae_title"
    execute(
        index_url, base,
        f"INSERT INTO duplicates ({names}, reason) SELECT {names}, 'aside' FROM instances "
        f"WHERE sop_instance_uid = '{uid}'",
        "UPDATE locations SET instance = NULL, duplicate = (SELECT MAX(id) FROM duplicates) WHERE volume = 'near' "
        f"AND instance = (SELECT id FROM instances WHERE sop_instance_uid = '{uid}')",
    )  # fmt: skip
    found = copies(open_kept(), 1)
    assert [(one.volume, one.is_current) for one in found] == [("main", True), ("near", True)]
