"""An instance is replaced while it waits to be sent: what was decided of one object does not hold for another."""

from __future__ import annotations

from collections.abc import Callable

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from medserver.archive.follow_ups import COMPRESS
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.delivery.store_peer import Destination
from tests.delivery.test_answers import destination, opened, outbox  # noqa: F401 - fixtures
from tests.delivery.test_moments import run_all
from tests.peers.files import Sample


def receive_as(node: Node, sample: Sample, station_name: str, **changes: str) -> str:
    """Receive an instance with another Station Name; return the outcome."""
    dataset = pydicom.dcmread(sample.path)
    dataset.StationName = station_name
    dataset.save_as(sample.path)
    return receive(node, sample, **changes)


@pytest.mark.parametrize("when", [[], ["route r.when=study", "route r.quiet=1 min"]], ids=["instance", "study"])
def test_what_the_rule_does_not_want_is_not_sent(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], when: list[str]  # noqa: F811
) -> None:
    node = opened("store.duplicates=replace", "route r.StationName=RESEARCH*", *when)
    assert receive_as(node, series[0], "RESEARCH1") == "stored"
    assert receive_as(node, series[0], "CLINIC") == "replaced"
    run_all(node)
    clock.advance(61)
    run_all(node)
    assert (destination.requests, outbox(node)) == ([], [])


def test_what_a_rule_wants_is_sent_as_that_says(
    opened: Callable[..., Node], destination: Destination, series: list[Sample]  # noqa: F811
) -> None:
    node = opened(
        *("store.duplicates=replace", "route r.StationName=RESEARCH*"),
        *("route s.to=ARCHIVE", "route s.StationName=CLINIC", "route s.set=StationName = HIDDEN"),
    )
    receive_as(node, series[0], "RESEARCH1")
    receive_as(node, series[0], "CLINIC")
    run_all(node)
    assert destination.stations == {series[0].sop_instance_uid: {"HIDDEN"}}


def test_it_does_not_go_back_to_who_has_replaced_it(
    opened: Callable[..., Node], destination: Destination, series: list[Sample]  # noqa: F811
) -> None:
    """The object that came from there is not what was wanted for it, and whoever sent the first one did not send it."""
    node = opened("store.duplicates=replace", "route r.StationName=RESEARCH*")
    receive_as(node, series[0], "RESEARCH1")
    receive_as(node, series[0], "CHANGED", calling_ae_title="ARCHIVE")
    run_all(node)
    assert destination.requests == []


def test_the_first_object_is_sent_where_it_stays(
    opened: Callable[..., Node], destination: Destination, series: list[Sample]  # noqa: F811
) -> None:
    node = opened("route r.StationName=RESEARCH*")
    receive_as(node, series[0], "RESEARCH1")
    assert receive_as(node, series[0], "CLINIC") == "kept"
    run_all(node)
    assert destination.stations == {series[0].sop_instance_uid: {"RESEARCH1"}}


def test_what_was_compressed_meanwhile_is_the_same(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]  # noqa: F811
) -> None:
    """It is not decided anew, by a rule that was corrected since: the version that was noted holds."""
    node = opened("route r.StationName=RESEARCH*")
    receive_as(node, series[0], "RESEARCH1", compress_to=JPEG2000Lossless)
    worker = Runner(node, [kind for kind in JOB_KINDS if kind.name == COMPRESS], periodic=[])
    while worker.run_due():
        pass
    [stored] = node.index.select([])
    assert stored.transfer_syntax_uid == JPEG2000Lossless
    node = opened("route r.StationName=NOBODY")
    run_all(node)
    assert destination.stations == {series[0].sop_instance_uid: {"RESEARCH1"}}
