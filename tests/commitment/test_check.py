"""Checking a transaction: what is read, and what is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.follow_ups import REPLICATE
from medserver.commitment import check, safety
from medserver.commitment.plan import CHECK, REPORT, check_job
from medserver.config import ConfigFile
from medserver.dicom.storage_commitment import Reference
from medserver.index import NewCommitment
from medserver.index.jobs.batch import Batch
from medserver.node import Node, open_node
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.services.corpus import make_study

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def node(tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Give a node that wants two copies of everything."""
    volumes = "[volume main]\npath = store\n[volume backup]\npath = backup\nrole = replica\n"
    (tmp_path / "config.ini").write_text(f"[node]\n{volumes}[store]\ncommitment_copies = 2\n")
    config_file = ConfigFile(tmp_path / "config.ini", (f"node.data={tmp_path / 'data'}",))
    opened = open_node(config_file, clock=clock)
    yield opened
    opened.close()


def store(node: Node, count: int) -> tuple[Reference, ...]:
    objects = make_study(count)
    for one in objects:
        with archive.receive(
            node,
            sop_class_uid=one.sop_class_uid,
            sop_instance_uid=one.sop_instance_uid,
            transfer_syntax_uid=one.transfer_syntax_uid,
            calling_ae_title="CT1",
        ) as reception:
            reception.write(one.encoded)
            reception.commit()
    return tuple(Reference(one.sop_class_uid, one.sop_instance_uid) for one in objects)


def ask(node: Node, references: tuple[Reference, ...]) -> int:
    new = NewCommitment("scp", "2.25.1", "CT1", "CT1", references)
    return node.index.commitments.accept(new, lambda number: check_job(number, "CT1"), 10).number


def run(node: Node) -> None:
    Runner(node, [kind for kind in JOB_KINDS if kind.name == CHECK], ()).run_due()


def kinds_of_jobs(node: Node) -> list[str]:
    return [job.kind for job in node.index.jobs.list() if job.kind != REPLICATE]


def test_copies_that_are_missing_are_waited_for_an_hour(node: Node, clock: Clock) -> None:
    number = ask(node, store(node, 2))
    for minutes in (0, 1, 59):
        clock.now = NOON + timedelta(minutes=minutes)
        run(node)
        assert kinds_of_jobs(node) == [CHECK]
        assert node.index.commitments.get(number).state == "pending"
    clock.now = NOON + timedelta(minutes=61)
    run(node)
    assert kinds_of_jobs(node) == [REPORT]
    assert [one.reason for one, _ in node.index.commitments.instances(number)] == [0x0213, 0x0213]


def test_second_copy_makes_it_safe(node: Node, clock: Clock) -> None:
    number = ask(node, references := store(node, 2))
    run(node)
    assert node.index.commitments.get(number).state == "pending"
    for stored in node.index.instances([one.sop_instance_uid for one in references]).values():
        archive.copy_object(node, stored, node.volume("backup"))
    clock.now = NOON + timedelta(minutes=1)
    run(node)
    assert node.index.commitments.get(number).state == "checked"
    assert [one.reason for one, _ in node.index.commitments.instances(number)] == [0, 0]


def test_one_damaged_copy_is_enough_to_fail(node: Node, clock: Clock) -> None:
    good, bad = store(node, 2)
    stored = node.index.instances([bad.sop_instance_uid])[bad.sop_instance_uid]
    path = Path(node.primary_volume.root) / stored.path
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert safety.failure_reason(node, bad, stored) == 0x0110
    assert safety.failure_reason(node, good, None) == 0x0112


def test_check_goes_on_where_it_was_interrupted(node: Node) -> None:
    number = ask(node, tuple(Reference("1.2", f"1.2.{n}") for n in range(700)))
    [job] = node.index.jobs.list()
    calls = iter([False] * 600 + [True] * 1_000)
    assert list(check.check_commitments(node, Batch([job], lambda: next(calls)))) == []
    left = node.index.commitments.undecided(number)
    assert list(left) == list(range(600, 700))
    [outcome] = check.check_commitments(node, Batch([job]))
    assert [one.kind for one in outcome.jobs] == [REPORT]
    [again] = check.check_commitments(node, Batch([job]))  # what a crash before the end of the job leads to
    assert again.jobs == outcome.jobs
    assert [one.reason for one, _ in node.index.commitments.instances(number)] == [0x0112] * 700
