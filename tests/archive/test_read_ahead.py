"""Objects are read while those before them are sent, by threads that stay."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive import read_ahead
from medserver.index import StoredCopy
from medserver.node import Node
from tests.archive.conftest import receive
from tests.peers.files import Sample, make_series

LARGE_SIDE, SMALL_SIDE = 512, 64


@pytest.fixture(params=[LARGE_SIDE, SMALL_SIDE])
def samples(request: pytest.FixtureRequest, tmp_path: Path) -> list[Sample]:
    return make_series(tmp_path / "series", 4, rows=request.param, columns=request.param)


@pytest.fixture
def instances(node: Node, samples: list[Sample]) -> list[StoredCopy]:
    for sample in samples:
        assert receive(node, sample) == "stored"
    found = node.index.instances([sample.sop_instance_uid for sample in samples])
    return [found[sample.sop_instance_uid] for sample in samples]


def _sent(node: Node, instances: list[StoredCopy], between: Callable[[], object] = lambda: None) -> list[bytes]:
    """Return the data sets in the order in which they would be sent."""
    data_sets = []
    with archive.ReadAhead(node, instances) as ahead:
        for instance in ahead:
            outgoing = ahead.outgoing(instance)
            with outgoing.open_data_set() as file:
                data_sets.append(file.read())
            outgoing.on_sent()
            between()
    return data_sets


def test_all_come_in_their_order(node: Node, samples: list[Sample], instances: list[StoredCopy]) -> None:
    assert _sent(node, instances) == [sample.data_set() for sample in samples]


@pytest.mark.parametrize("samples", [LARGE_SIDE], indirect=True)
def test_threads_stay_for_the_next_ones(node: Node, instances: list[StoredCopy]) -> None:
    def readers() -> set[int | None]:
        return {thread.ident for thread in threading.enumerate() if thread.name.startswith("read ahead")}

    _sent(node, instances)
    once = readers()
    _sent(node, instances)
    assert once
    assert once <= readers()


def test_who_leaves_early_waits_for_what_is_being_read(node: Node, instances: list[StoredCopy]) -> None:
    with archive.ReadAhead(node, instances) as ahead:
        for instance in ahead:
            ahead.outgoing(instance).open_data_set().close()
            break
    assert ahead._opening is None or ahead._opening.done()


@pytest.mark.parametrize("samples", [LARGE_SIDE], indirect=True)
def test_a_process_that_is_forked_has_threads_of_its_own(
    node: Node, samples: list[Sample], instances: list[StoredCopy]
) -> None:
    expected = [sample.data_set() for sample in samples]
    assert _sent(node, instances) == expected
    process_id = os.fork()
    if process_id == 0:  # the database is another process's: only the threads are tried
        done = read_ahead._threads().submit(lambda: True)
        os._exit(0 if done.result(timeout=30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
