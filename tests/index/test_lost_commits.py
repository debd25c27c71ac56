"""The connection is lost while a transaction is committed: it is done once, whatever came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.dicom.storage_commitment import Reference
from medserver.errors import IndexUnavailable, UnknownOutcome
from medserver.index import Index, Lane, NewCommitment, NewJob, Verdict, open_index
from tests.index.cluster import Cluster
from tests.index.proxy import Proxy
from tests.index.samples import CT, NOON, find, record

COPY = NewJob("copy", {"uid": "1.2.3"}, "BACKUP")
LANE = Lane("copy", "BACKUP")
SOON = NOON + timedelta(seconds=60)


@pytest.fixture
def proxy(new_database: Callable[[], str]) -> Iterator[Proxy]:
    with closing(Proxy(new_database())) as opened:
        yield opened


@pytest.fixture
def index(proxy: Proxy, tmp_path: Path) -> Iterator[Index]:
    """An index behind the proxy, which has written, so that its connections are open."""
    with open_index(proxy.url, base=tmp_path, clock=lambda: NOON) as opened:
        opened.progress.set("begun", "yes")
        yield opened


def cut(proxy: Proxy, lost: str) -> None:
    proxy.lose_answer() if lost == "answer" else proxy.lose_request()


def states(index: Index) -> list[tuple[str, str | None]]:
    return [(job.state, job.owner) for job in index.jobs.list()]


def add_object(index: Index) -> None:
    added = index.add(record(), [COPY])
    assert (added.outcome, added.file_needed) == ("stored", True)
    assert len(find(index, "IMAGE", "SOPInstanceUID")) == index.counts().locations == len(states(index)) == 1


def add_job(index: Index) -> None:
    [number] = index.jobs.add([COPY])
    assert [job.id for job in index.jobs.list()] == [number]


def claim_job(index: Index) -> None:
    [job] = index.jobs.claim(LANE, owner="w1", lease_until=SOON)
    assert [(one.id, one.owner) for one in index.jobs.list()] == [(job.id, "w1")]


def settle_job(index: Index) -> None:
    [job] = index.jobs.claim(LANE, owner="w1", lease_until=SOON)
    assert index.jobs.settle([Verdict(job, "done")], [COPY]) == {job.id}
    assert states(index) == [("waiting", None)]


def add_periodic_job(index: Index) -> None:
    assert index.jobs.add_periodic("seek", 60, NewJob("seek"))
    assert len(list(index.jobs.list())) == 1


def add_performed_step(index: Index) -> None:
    assert index.performed_steps.add("1.2.3", "IN PROGRESS", "{}", "CT1", ["1.2"])
    assert index.performed_steps.get("1.2.3").studies == ("1.2",)


def accept_commitment(index: Index) -> None:
    new = NewCommitment("scp", "1.2.9", "CT1", "ct", (Reference(CT, "1.2.1.1.1"),))
    accepted = index.commitments.accept(new, lambda number: NewJob("check", {"commitment": number}), 10)
    assert accepted.is_new
    assert [one.id for one in index.commitments.list()] == [accepted.number]
    assert len(states(index)) == 1


def claim_report(index: Index) -> None:
    assert index.commitments.claim(1, SOON)
    assert not index.commitments.take_over(1)


BEFORE: dict[Callable[[Index], None], Callable[[Index], object]] = {
    claim_job: lambda index: index.jobs.add([COPY]),
    settle_job: lambda index: index.jobs.add([COPY]),
    claim_report: lambda index: (
        index.commitments.ask(NewCommitment("scp", "1.2.9", "CT1", "ct", (Reference(CT, "1.2.1.1.1"),), held=True)),
        index.commitments.finish_check(1),
    ),
}


@pytest.mark.parametrize("lost", ["answer", "request"])
@pytest.mark.parametrize(
    "write",
    [
        add_object, add_job, claim_job, settle_job, add_periodic_job, add_performed_step, accept_commitment,
        claim_report,
    ],
)  # fmt: skip
def test_a_write_is_done_once(index: Index, proxy: Proxy, write: Callable[[Index], None], lost: str) -> None:
    BEFORE.get(write, lambda index: None)(index)
    cut(proxy, lost)
    write(index)
    assert proxy.lost == 1


@pytest.mark.parametrize("lost", ["answer", "request"])
def test_an_outcome_that_nobody_can_be_asked_for_is_told(
    index: Index, proxy: Proxy, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The server goes away with the connection: the caller learns that it does not know."""
    monkeypatch.setattr("medserver.index.postgresql.backend.ASK_WITHIN_S", 0.1)
    cut(proxy, lost)
    proxy.on_loss = cluster.stop
    try:
        with pytest.raises(UnknownOutcome):
            index.jobs.add([COPY])
        with pytest.raises(IndexUnavailable):
            index.jobs.add([COPY])
    finally:
        cluster.start()


def test_a_number_that_a_crash_gives_again_is_not_taken_for_ours(
    index: Index, proxy: Proxy, cluster: Cluster
) -> None:
    """A server that crashes forgets the transactions of which nothing was written to its log, and their numbers."""

    def crash() -> None:
        cluster.stop()
        cluster.start()

    proxy.lose_request()
    proxy.on_loss = crash
    [number] = index.jobs.add([COPY])
    assert [job.id for job in index.jobs.list()] == [number]


def test_a_restored_index_knows_no_row_of_a_connection(index: Index) -> None:
    """Another index has taken the place of this one, behind the back of a process that goes on."""
    with closing(index.backend.connect(writing=True)) as connection:
        connection.execute("DELETE FROM writers")
    index.jobs.add([COPY])
    assert len(states(index)) == 1


def test_the_row_of_a_connection_is_exchanged(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed often is not found quickly while a dump keeps its old versions."""
    monkeypatch.setattr("medserver.index.postgresql.outcome.ROW_USED_MAX", 3)
    rows = set()
    with closing(index.backend.connect()) as connection:
        for number in range(9):
            index.progress.set("name", str(number))
            rows |= set(connection.execute("SELECT id::text FROM writers").fetchall())
        assert len(rows) >= 3
        assert connection.execute("SELECT COUNT(*) FROM writers").fetchall() == [(1,)]
