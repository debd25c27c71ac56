"""Storage commitment as SCP, with pynetdicom as the SCU (PS3.4 J)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from medserver.dicom import uids
from pydicom.uid import CTImageStorage, MRImageStorage

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.commitment_peer import CommitmentScu
from tests.services.corpus import Object, make_study


@pytest.fixture
def scu(node: Node) -> Iterator[CommitmentScu]:
    """Give an SCU that listens, and that the node knows."""
    peer = CommitmentScu("MODALITY").listen()
    node.add_remote(peer.address)
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def study(client: Client) -> list[Object]:
    stored = make_study(3)
    assert client.store(*stored) == [0] * 3
    return stored


def references(objects: list[Object]) -> list[tuple[str, str]]:
    return [(one.sop_class_uid, one.sop_instance_uid) for one in objects]


def test_report_on_a_new_association(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    transaction_uid = scu.ask_and_go(node.address, references(study))
    report = scu.wait_for(transaction_uid)
    assert report.event_type_id == 1
    assert report.safe == references(study)
    assert report.failed == {} and "FailedSOPSequence" not in report.information
    assert report.information.RetrieveAETitle == node.address.ae_title
    assert not report.by_requestor


def test_report_on_the_same_association(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    with scu.associated(node.address) as association:
        code, transaction_uid = scu.ask(association, references(study))
        assert code == 0x0000
        report = scu.wait_for(transaction_uid)
        assert report.by_requestor
        assert (report.event_type_id, report.safe) == (1, references(study))


def test_failures_are_listed_with_their_reasons(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    unknown = (CTImageStorage, uids.new_uid())
    wrong_class = (MRImageStorage, study[1].sop_instance_uid)
    asked = [references(study)[0], unknown, wrong_class, references(study)[2]]
    report = scu.wait_for(scu.ask_and_go(node.address, asked))
    assert report.event_type_id == 2
    assert report.safe == [asked[0], asked[3]]
    assert report.failed == {unknown: 0x0112, wrong_class: 0x0119}
