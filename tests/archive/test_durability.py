"""Reception when the disk, the index or the process fails, and when many send at once."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import signal
import threading

import pytest

from medserver import archive, errors
from medserver.store import DirectoryVolume
from medserver.store.files import Files
from tests.archive.conftest import receive, stored_paths, unfinished
from tests.archive.test_ingest import content, stored_instances
from tests.peers.files import Sample, make_small
from tests.store.failing import FailingFiles, calls_that_are_made


@pytest.fixture
def sample(tmp_path) -> Sample:
    return make_small(tmp_path / "made")[0]


def with_files(node, files: Files):
    volume = DirectoryVolume("main", node.primary_volume.root, files)
    return dataclasses.replace(node, volumes={"main": volume})


@pytest.mark.parametrize("error_number", [errno.EIO, errno.ENOSPC])
def test_any_failing_call_of_the_file_system_is_a_failure_that_leaves_nothing(
    node, sample, tmp_path, error_number
):
    receive(node, sample)
    other, second = make_small(tmp_path / "others", 2)
    count = len(calls_that_are_made(lambda files: receive(with_files(node, files), other)))
    assert count >= 7
    kept = stored_paths(node)
    expected = errors.OutOfResources if error_number == errno.ENOSPC else errors.StoreFailure
    for fail_at in range(count):
        files = FailingFiles(fail_at, error_number)
        failing = with_files(node, files)
        with pytest.raises(expected):
            receive(failing, second)
        assert stored_paths(node) == kept, files.calls
        assert node.index.counts().instances == 2
        failing.primary_volume.close()
        assert unfinished(node) == []
        assert list(archive.check(node)) == []
    assert receive(node, second) == "stored"


def test_when_the_index_fails_nothing_is_answered_or_lost(open_archive, sample):
    node = open_archive()
    node.index.close()
    with pytest.raises(errors.IndexFailure):
        receive(node, sample)
    again = open_archive()
    archive.reconcile(again)
    assert list(archive.check(again)) == []
    assert receive(again, sample) == "stored"
    assert len(stored_paths(again)) == again.index.counts().instances == 1


class DeadlyFiles(FailingFiles):
    """A file system under which the process is killed at the k-th call, before or after its work."""

    def _fails(self):
        if super()._fails():
            os.kill(os.getpid(), signal.SIGKILL)
        return False


def _receive_and_tell(open_archive, sample, kill_at, answered) -> None:
    files = DeadlyFiles(kill_at)
    node = with_files(open_archive(), files)
    receive(node, sample)
    answered.set()
    os.kill(os.getpid(), signal.SIGKILL)


def test_kill_at_every_step_loses_nothing_that_was_answered(open_archive, tmp_path):
    context = multiprocessing.get_context("fork")
    many = make_small(tmp_path / "made", 40)
    successes = 0
    for kill_at, sample in enumerate(many):
        answered = context.Event()
        process = context.Process(target=_receive_and_tell, args=(open_archive, sample, kill_at, answered))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        node = open_archive()
        archive.reconcile(node)
        assert unfinished(node) == []
        assert list(archive.check(node, digests=True)) == []
        found = stored_instances(node, sample.sop_instance_uid)
        if answered.is_set():
            successes += 1
            assert len(found) == 1
        for instance in found:
            assert content(node, instance) == sample.data_set()
        node.close()
    assert successes >= 5  # the last ones have more steps allowed than there are


def test_threads_that_send_the_same_and_others(node, tmp_path):
    several = make_small(tmp_path / "made", 12)
    outcomes, failures = [], []

    def send(shift: int) -> None:
        try:
            for number in range(len(several)):
                outcomes.append(receive(node, several[(number + shift) % len(several)]))
        except Exception as error:  # told to the test below
            failures.append(error)

    threads = [threading.Thread(target=send, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(outcomes) == ["same"] * 60 + ["stored"] * 12
    assert len(stored_paths(node)) == 12
    assert node.index.counts().studies == node.index.counts().series == 1
    assert list(archive.check(node, digests=True)) == []


def _send_all(open_archive, several, outcomes) -> None:
    node = open_archive()
    outcomes.put([receive(node, sample) for sample in several])
    node.close()


def test_processes_that_send_the_same(open_archive, tmp_path):
    context = multiprocessing.get_context("fork")
    several = make_small(tmp_path / "made", 12)
    outcomes = context.Queue()
    processes = [context.Process(target=_send_all, args=(open_archive, several, outcomes)) for _ in range(3)]
    for process in processes:
        process.start()
    found = sum((outcomes.get(timeout=60) for _ in processes), [])
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(found) == ["same"] * 24 + ["stored"] * 12
    node = open_archive()
    assert len(stored_paths(node)) == node.index.counts().instances == 12
    assert list(archive.check(node, digests=True)) == []
