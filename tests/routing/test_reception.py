"""What follows from an instance by the rules is in the transaction of its row."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from medserver import archive
from medserver.index import JobFilter
from medserver.node import Node
from medserver.work.runner import Runner
from tests.index.samples import forget
from tests.archive.conftest import open_archive, receive, stored_paths  # noqa: F401 - a fixture
from tests.peers.files import Sample, make_series

ARCHIVE = ("ae ARCHIVE.address=127.0.0.1:1", "route r.to=ARCHIVE")
LONG_BYTES = 200_000

Change = Callable[[pydicom.Dataset], None]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return make_series(tmp_path / "made", 1, rows=16, columns=16)[0]


def jobs(node: Node) -> list[str]:
    return [job.kind for job in node.index.jobs.list(JobFilter())]


def data_set_of(sample: Sample, change: Change) -> bytes:
    """Return the data set of a sample after a change."""
    dataset = pydicom.Dataset(pydicom.dcmread(sample.path))
    change(dataset)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("rule", "kinds"),
    [
        ((), ["deliver"]),
        (("route r.KVP=120", "route r.calling_ae_title=CT*"), ["deliver"]),
        (("route r.KVP=80",), []),
        (("route r.calling_ae_title=MR*",), []),
        (("route r.when=study",), ["hold"]),
        (("route r.send=availability",), ["notify"]),
        (("route r.send=conditions",), []),
    ],
)
def test_it_is_decided_when_it_comes(open_archive, sample: Sample, rule: tuple, kinds: list[str]) -> None:  # noqa: F811
    node = open_archive(*ARCHIVE, *rule)
    assert receive(node, sample) == "stored"
    assert jobs(node) == kinds
    assert receive(node, sample) == "same"
    assert jobs(node) == kinds


def test_what_lies_far_back_is_read_later(open_archive, sample: Sample) -> None:  # noqa: F811
    """Behind a private element that is longer than what is kept of a data set while it passes."""

    def change(dataset: pydicom.Dataset) -> None:
        dataset.private_block(0x0021, "MEDSERVER TEST", create=True).add_new(1, "OB", bytes(LONG_BYTES))
        dataset.RequestedProcedureDescription = "Abdomen"

    node = open_archive(*ARCHIVE, "route r.RequestedProcedureDescription=Abd*", "route r.Modality=CT")
    receive(node, sample, data_set_of(sample, change))
    assert jobs(node) == ["route"]
    Runner(node, periodic=()).run_due()
    assert jobs(node) == ["deliver"]


@pytest.mark.parametrize("wanted", ["120", "*"])
def test_a_value_that_cannot_be_decoded_fulfils_nothing(open_archive, sample: Sample, wanted: str) -> None:  # noqa: F811
    """It keeps neither the instance out nor another rule from it."""
    others = ("ae OTHER.address=127.0.0.1:1", "route other.to=OTHER", "route other.Modality=CT")
    node = open_archive(*ARCHIVE, f"route r.KVP={wanted}", *others)
    kvp = b"\x18\x00\x60\x00DS\x04\x00"
    encoded = sample.data_set()
    assert encoded.count(kvp) == 1
    start = encoded.index(kvp) + len(kvp)
    receive(node, sample, encoded[:start] + b"1\\?x" + encoded[start + 4 :])
    destinations = [job.destination for job in node.index.jobs.list(JobFilter())]
    assert destinations == (["OTHER"] if wanted == "120" else ["ARCHIVE", "OTHER"])


def test_what_is_put_aside_is_not_sent(open_archive, sample: Sample) -> None:  # noqa: F811
    node = open_archive(*ARCHIVE)
    receive(node, sample)
    other = data_set_of(sample, lambda dataset: setattr(dataset, "PatientName", "Other"))
    assert receive(node, sample, other) == "kept"
    assert jobs(node) == ["deliver"]


def test_what_is_adopted_is_sent(open_archive, tmp_path: Path) -> None:  # noqa: F811
    """Its sender had no success and sends it again, which is the same; and nothing follows from that."""
    node = open_archive(*ARCHIVE)
    first, second = make_series(tmp_path / "two", 2, rows=16, columns=16)
    receive(node, first)
    receive(node, second)
    path = stored_paths(node)[-1]
    node.index.jobs.drop([job.id for job in node.index.jobs.list(JobFilter())])
    forget(node.index, "main", path)
    assert archive.reconcile(node).adopted == 1
    assert jobs(node) == ["route"]
    assert receive(node, second) == "same"
    Runner(node, periodic=()).run_due()
    [job] = node.index.jobs.list(JobFilter())
    assert (job.kind, job.destination) == ("deliver", "ARCHIVE")


def test_a_store_without_an_index_is_not_sent_again(open_archive, sample: Sample) -> None:  # noqa: F811
    node = open_archive(*ARCHIVE)
    receive(node, sample)
    node.index.jobs.drop([job.id for job in node.index.jobs.list(JobFilter())])
    forget(node.index, "main", stored_paths(node)[0])
    assert archive.reconcile(node).adopted == 1
    assert jobs(node) == []
