"""Rows are sealed by one of all processes, and what was done to sealed rows is found."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from medserver import trail
from medserver.audit import Actor, AuditEvent, codes, events
from medserver.audit.chain import digest_of
from medserver.errors import MedserverError, OutOfResources
from medserver.host import Process
from medserver.index import Repository, SealedRow, Transfer
from medserver.index.audit.records import Counted
from medserver.node import Node
from medserver.trail.associations import Carried, finish_left
from medserver.trail.keeping import Keeper, seal_once
from medserver.trail.refusals import SINGLE_MAX, Refusals
from medserver.trail.verification import Head, verify
from tests.clock import Clock
from tests.trail.conftest import Open
from tests.trail.messages import described, rows_of

CT = Actor("CT1", "192.0.2.7")


def event(number: int = 0) -> AuditEvent:
    return events.study_deleted(CT, events.Patient(f"P{number}"), [events.Study("1.2.3")])


def tell(node: Node, count: int) -> None:
    trail.record(node, [event(number) for number in range(count)])


def sealed(node: Node, count: int = 6) -> list[SealedRow]:
    tell(node, count)
    assert seal_once(node) == count
    return node.index.audit.page()


def execute(node: Node, statement: str, *parameters: object) -> None:
    """Do to the database what no part of medserver does."""
    mark = "?" if node.index.backend.name == "sqlite" else "%s"

    def perform(connection) -> None:
        connection.execute(statement.replace("?", mark), parameters)

    node.index._access.writer.run(perform)


def test_a_row_is_sealed_as_it_was_inserted(open_archive: Open) -> None:
    node = open_archive()
    tell(node, 3)
    pending = node.index.audit.pending()
    assert node.index.audit.page() == [] and verify(node.index).pending == 3
    assert seal_once(node) == 3
    assert [each.row for each in node.index.audit.page()] == pending
    assert [each.position for each in node.index.audit.page()] == [1, 2, 3]
    found = verify(node.index)
    assert (found.sealed, found.pending, found.problems) == (3, 0, [])


def test_more_than_a_page(open_archive: Open) -> None:
    node = open_archive()
    assert len(sealed(node, 450)) == 200, "a page"
    assert verify(node.index).sealed == 450


def _alter(node: Node, rows: list[SealedRow]) -> None:
    execute(node, "UPDATE audit_trail SET patient_id = ? WHERE position = 3", "SOMEBODY ELSE")


def _alter_message(node: Node, rows: list[SealedRow]) -> None:
    execute(node, "UPDATE audit_trail SET message = ? WHERE position = 3", rows[2].row.message.replace("CT1", "CT2"))


def _remove(node: Node, rows: list[SealedRow]) -> None:
    execute(node, "DELETE FROM audit_trail WHERE position = 3")


def _remove_last(node: Node, rows: list[SealedRow]) -> None:
    execute(node, "DELETE FROM audit_trail WHERE position = 6")


def _remove_first(node: Node, rows: list[SealedRow]) -> None:
    execute(node, "DELETE FROM audit_trail WHERE position = 1")


def _swap(node: Node, rows: list[SealedRow]) -> None:
    for position, row in ((3, rows[3].row), (4, rows[2].row)):
        execute(
            node, "UPDATE audit_trail SET message = ?, patient_id = ? WHERE position = ?",
            row.message, row.patient_id, position,
        )  # fmt: skip


def _renumber(node: Node, rows: list[SealedRow]) -> None:
    for before, after in ((3, 99), (4, 3), (99, 4)):
        execute(node, "UPDATE audit_trail SET position = ? WHERE position = ?", after, before)


def _insert_behind(node: Node, rows: list[SealedRow]) -> None:
    row = rows[5].row
    digest = digest_of(rows[5].digest, 7, row)
    execute(
        node,
        "INSERT INTO audit_trail (position, at, source, event, action, outcome, actor, patient_id, message, digest) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        7, *row, digest,
    )  # fmt: skip


def _remove_and_close_the_gap(node: Node, rows: list[SealedRow]) -> None:
    _remove(node, rows)
    for position in (4, 5, 6):
        execute(node, "UPDATE audit_trail SET position = ? WHERE position = ?", position - 1, position)
    execute(node, "UPDATE audit_chain SET position = 5 WHERE id = 1")


def _shorten(node: Node, rows: list[SealedRow]) -> None:
    """The last ones go, and the chain says so too: only who knows the head can tell."""
    execute(node, "DELETE FROM audit_trail WHERE position > 3")
    execute(node, "UPDATE audit_chain SET position = 3, digest = ? WHERE id = 1", rows[2].digest)


def _make_anew(node: Node, rows: list[SealedRow]) -> None:
    """All is made anew without a row, as somebody does who can write the database, and knows how."""
    execute(node, "DELETE FROM audit_trail")
    digest = "0" * 64
    for position, each in enumerate(rows[:2] + rows[3:], 1):
        digest = digest_of(digest, position, each.row)
        execute(
            node,
            "INSERT INTO audit_trail (position, at, source, event, action, outcome, actor, patient_id, message, digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            position, *each.row, digest,
        )  # fmt: skip
    execute(node, "UPDATE audit_chain SET position = 5, digest = ? WHERE id = 1", digest)


DONE: dict[Callable[[Node, list[SealedRow]], None], str] = {
    _alter: "row 3 is not what was sealed",
    _alter_message: "row 3 is not what was sealed",
    _remove: "rows 3 are missing",
    _remove_last: "the chain ends with 6",
    _remove_first: "rows 1 are missing",
    _swap: "row 4 is not what was sealed",
    _renumber: "row 3 is not what was sealed",
    _insert_behind: "row 7 stands behind the end",
    _remove_and_close_the_gap: "row 3 is not what was sealed",
    _shorten: "row 6, of which the head is known, is not there",
    _make_anew: "row 6, of which the head is known, is not there",
}


@pytest.mark.parametrize("tamper", DONE, ids=lambda each: each.__name__)
def test_what_was_done_to_sealed_rows_is_found(tamper: Callable, open_archive: Open) -> None:
    node = open_archive()
    rows = sealed(node)
    head = verify(node.index).head
    assert str(head) == f"6:{rows[5].digest}"
    tamper(node, rows)
    problems = verify(node.index, [head]).problems
    assert any(DONE[tamper] in each for each in problems), problems


def test_a_head_that_is_known_proves_what_is_before_it(open_archive: Open) -> None:
    node = open_archive()
    rows = sealed(node)
    assert verify(node.index, [Head(4, rows[3].digest)]).is_intact
    assert not verify(node.index, [Head(4, "f" * 64)]).is_intact


def test_one_of_all_processes_seals(open_archive: Open) -> None:
    node, other = open_archive(), open_archive()
    tell(node, 4)
    first, second = Keeper(node), Keeper(other)
    assert first.take_lease() and not second.take_lease()
    assert other.index.audit.seal(second.owner) == 0
    assert first.seal_all() == 4
    first.stop()
    tell(node, 1)
    assert second.take_lease() and second.seal_all() == 1
    assert verify(node.index).sealed == 5


def test_who_is_dead_keeps_nobody_waiting(open_archive: Open) -> None:
    node = open_archive()
    here = Keeper(node)._process
    dead = here._replace(process_id="1", started="1")
    assert node.index.audit.take_lease(f"{dead}:1", node.clock() + timedelta(hours=1))
    keeper = Keeper(node)
    assert keeper.take_lease()
    elsewhere = Process("another", "machine", "1", "1", "1")
    keeper.stop()
    assert node.index.audit.take_lease(f"{elsewhere}:1", node.clock() + timedelta(hours=1))
    assert not Keeper(node).take_lease(), "nobody knows whether that one lives"


def test_many_who_write_and_seal_at_once_make_one_chain(open_archive: Open) -> None:
    nodes = [open_archive() for _ in range(3)]
    keepers = [Keeper(node) for node in nodes]
    written = threading.Event()
    failures: list[BaseException] = []

    def write(node: Node) -> None:
        try:
            for _ in range(20):
                tell(node, 3)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    def seal(keeper: Keeper) -> None:
        try:
            while not written.is_set():
                if keeper.take_lease():
                    keeper.seal_all()
                    keeper._node.index.audit.give_back(keeper.owner)
                    keeper._lease_ends_at = 0.0
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    writers = [threading.Thread(target=write, args=(node,)) for node in nodes]
    sealers = [threading.Thread(target=seal, args=(keeper,)) for keeper in keepers]
    for thread in (*writers, *sealers):
        thread.start()
    for thread in writers:
        thread.join()
    written.set()
    for thread in sealers:
        thread.join()
    assert failures == []
    seal_once(nodes[0])
    found = verify(nodes[0].index)
    assert (found.sealed, found.pending, found.problems) == (180, 0, [])


def test_old_rows_go_and_the_chain_stays_whole(open_archive: Open, clock: Clock) -> None:
    node = open_archive(clock, keep="1 d")
    tell(node, 3)
    seal_once(node)
    clock.advance(86_400 + 60)
    tell(node, 2)
    keeper = Keeper(node)
    assert keeper.take_lease() and keeper.seal_all() == 2
    assert keeper.prune() == 3
    assert [each.position for each in node.index.audit.page()] == [4, 5]
    found = verify(node.index)
    assert (found.sealed, found.problems) == (2, [])
    execute(node, "DELETE FROM audit_trail WHERE position = 4")
    assert not verify(node.index).is_intact


def test_what_was_removed_does_not_pass_for_old(open_archive: Open) -> None:
    """Who can write the database removes all, and says that it was pruned: the head that is known tells."""
    node = open_archive()
    tell(node, 6)
    seal_once(node)
    head = verify(node.index).head
    for position, digest in ((6, "1" * 64), (9, "1" * 64)):
        execute(node, "DELETE FROM audit_trail")
        moved = f"position = {position}, digest = '{digest}', pruned_position = {position}, pruned_digest = '{digest}'"
        execute(node, f"UPDATE audit_chain SET {moved}")
        assert not verify(node.index, [head]).is_intact, position
    execute(node, f"UPDATE audit_chain SET {moved}".replace("9", "6").replace("1" * 64, head.digest))
    assert verify(node.index, [head]).is_intact


def test_nothing_goes_before_every_repository_has_it(open_archive: Open, clock: Clock) -> None:
    node = open_archive(clock, keep="1 d", repositories="udp://127.0.0.1:9, udp://127.0.0.1:10")
    tell(node, 3)
    seal_once(node)
    clock.advance(86_400 + 60)
    keeper = Keeper(node)
    assert keeper.take_lease()
    assert keeper.prune() == 0, "one knows nothing of it"
    for name, confirmed in (("udp://127.0.0.1:9", 3), ("udp://127.0.0.1:10", 2)):
        node.index.audit.note_repository(Repository(name, 3, confirmed, None, None))
    assert keeper.prune() == 2


def test_what_cannot_be_recorded_is_done_and_told_later(open_archive: Open, caplog: pytest.LogCaptureFixture) -> None:
    node = open_archive()
    execute(node, "ALTER TABLE audit_pending RENAME TO elsewhere")
    with caplog.at_level(logging.ERROR):
        tell(node, 2)
    assert "not_recorded=2" in caplog.text
    execute(node, "ALTER TABLE elsewhere RENAME TO audit_pending")
    tell(node, 1)
    told = [described(row.message) for row in rows_of(node.index)]
    assert told == [
        "deleted D0 who=CT1! study patient=P0", "alert(Audit Recording Stopped) E12 who=MEDSERVER! node",
    ]  # fmt: skip


def test_what_cannot_be_recorded_is_not_done_if_it_must_be(open_archive: Open) -> None:
    node = open_archive(required="yes")
    execute(node, "ALTER TABLE audit_pending RENAME TO elsewhere")
    with pytest.raises(OutOfResources):
        tell(node, 1)


def test_what_a_dead_process_has_received_is_summed_up(open_archive: Open) -> None:
    node = open_archive()
    carried = Carried(node, "1-1", CT)
    here = Keeper(node)._process
    dead = Transfer(f"{here._replace(process_id='1', started='1')}:1-2", carried.transfer.parties)
    for transfer, count in ((dead, 3), (carried.begin(), 2)):
        node.index._access.transact(
            lambda connection, add, transfer=transfer, count=count: add(
                [Counted(transfer, "1.2.3", "1.2.840.10008.5.1.4.1.1.2", "C", "P1", "Doe^Jane")] * count
            )
        )
    assert rows_of(node.index) == []
    assert finish_left(node) == 1
    assert [described(row.message) for row in rows_of(node.index)] == [
        "transferred C0 from=CT1! to=MEDSERVER studyx3 patient=P1"
    ]
    assert finish_left(node) == 0
    carried.end()
    assert len(rows_of(node.index)) == 2 and node.index.audit.associations() == []


def test_refusals_at_full_speed_are_counted(open_archive: Open) -> None:
    node, refusals = open_archive(), Refusals()
    for _ in range(500):
        refusals.note(node, CT, codes.NODE_AUTHENTICATION, "unknown")
    for number in range(1000):
        refusals.note(node, Actor(f"AE{number}", "192.0.2.8"), codes.NODE_AUTHENTICATION, "unknown")
    single = len(rows_of(node.index))
    assert single < SINGLE_MAX + 250
    refusals.flush(node, all_of_them=True)
    rows = rows_of(node.index)
    assert len(rows) == single + 2, "one for each kind that was counted"
    refusals.flush(node, all_of_them=True)
    assert len(rows_of(node.index)) == len(rows)


def test_an_export_is_verified_without_the_node(open_archive: Open, tmp_path: Path, url: str) -> None:
    from tests.peers.command_line import invoke

    node = open_archive()
    sealed(node)
    settings = (f"node.data={tmp_path / 'data'}", f"index.url={url}")
    given = ("--config", tmp_path / "config.ini", *(each for one in settings for each in ("--set", one)))
    file = tmp_path / "trail.jsonl"
    assert invoke(*given, "audit", "export", file).exit_code == 0
    lines = file.read_text().splitlines()
    assert len(lines) == 7 and json.loads(lines[3])["position"] == 3
    found = invoke(*given, "audit", "verify", "--file", file)
    assert (found.exit_code, found.stdout[:25]) == (0, "6 sealed messages, head 6")
    file.write_text("\n".join([*lines[:3], lines[3].replace("CT1", "CT2"), *lines[4:]]))
    found = invoke(*given, "audit", "verify", "--file", file)
    assert found.exit_code != 0 and "row 3 is not what was sealed" in found.output
    later = tmp_path / "later.jsonl"
    assert invoke(*given, "audit", "export", later, "--after", "4").exit_code == 0
    assert invoke(*given, "audit", "verify", "--file", later).stdout.startswith("2 sealed messages")


def test_the_database_refuses_what_is_no_text(open_archive: Open) -> None:
    node = open_archive()
    strange = Actor("A\0B\udc80\n", "\0", user="\ud800@\0")
    trail.record(node, [events.study_deleted(strange, events.Patient("\0\udcff"), [events.Study("\0")])])
    with pytest.raises(MedserverError):
        node.index.audit.add([rows_of(node.index)[0]._replace(event=None)])
    assert seal_once(node) == 1
