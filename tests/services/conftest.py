"""A running node for all tests of a file, and clients for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import pytest
from medserver.dicom import uids
from pydicom.uid import MRImageStorage

from tests.conftest import MakeDirectory
from tests.peers.node import Node
from tests.services.client import Client
from tests.services.corpus import Object, make_study
from tests.peers.receiver import Receiver

ReceiverFactory = Callable[..., Receiver]


@pytest.fixture(scope="module")
def start_node(make_directory: MakeDirectory) -> Iterator[Callable[..., Node]]:
    """Give a function that starts a node, which runs for the tests of one file."""
    with ExitStack() as nodes:

        def start(**arguments: object) -> Node:
            node = Node(make_directory("node"), **arguments)
            nodes.callback(lambda: sys.stdout.write(node.output))
            nodes.callback(node.kill)
            return node.start()

        yield start


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    """Give the node of the file. Each test stores instances of its own."""
    return start_node()


@pytest.fixture(scope="module")
def client(node: Node) -> Client:
    """Give medserver's own client for the node."""
    return Client(node.address)


@pytest.fixture
def start_receiver(node: Node) -> Iterator[ReceiverFactory]:
    """Give a function that starts a `Receiver` which the node knows as C-MOVE destination."""
    receivers: list[Receiver] = []

    def start(
        ae_title: str, contexts: Mapping[str, Sequence[str]], *, known_to: Node = node, **options: object
    ) -> Receiver:
        receiver = Receiver(ae_title, contexts, **options)
        receivers.append(receiver)
        known_to.add_remote(receiver.address, allow=())
        return receiver

    yield start
    for receiver in receivers:
        receiver.close()


@pytest.fixture(scope="module")
def tree(client: Client) -> list[Object]:
    """Store two studies of one patient, with two series and one, and three images each."""
    same = {"PatientID": "TREE"}
    first = make_study(3, **same)
    second = make_study(3, **same, StudyInstanceUID=first[0].dataset.StudyInstanceUID)
    third = make_study(3, **same)
    assert client.store(*first, *second, *third) == [0] * 9
    return [*first, *second, *third]


@pytest.fixture(scope="module")
def mixed(client: Client) -> list[Object]:
    """Store a study of two CT and two MR instances."""
    study = uids.new_uid()
    objects = [
        *make_study(2, StudyInstanceUID=study),
        *make_study(2, StudyInstanceUID=study, SOPClassUID=MRImageStorage, Modality="MR"),
    ]
    assert client.store(*objects) == [0] * 4
    return objects
