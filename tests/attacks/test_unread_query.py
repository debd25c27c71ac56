"""A query with 50,000 matches, asked by peers that never read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from medserver.dicom import uids
from medserver.scu.exchange import encode_data_set
from medserver.wire.command_set import CommandField
from tests.attacks import raw
from tests.attacks.conftest import SiegeFactory
from tests.attacks.siege import Siege
from tests.attacks.test_floods import associate_without_reading
from tests.peers.node import Node
from tests.services.client import identifier_of
from tests.services.test_memory import script

MATCHES = 50_000
READERS = 8


@pytest.fixture(scope="module")
def siege(besiege: SiegeFactory) -> Iterator[Siege]:
    """Give a node with 50,000 studies in its index, which are in no file: a query does not need them."""
    yield besiege(prepare=lambda node: fill_index(node, MATCHES))


def fill_index(node: Node, studies: int) -> None:
    """Enter studies of one instance into the index of a node that has not been started."""
    node.data.mkdir()
    generator = script("bench_index")
    generator.SERIES_PER_STUDY = generator.INSTANCES_PER_SERIES = 1
    generator.fill("sqlite:///index.db", node.data, studies)


def query_for_everything() -> bytes:
    """Encode a C-FIND request that matches every study."""
    command_set = {
        "AffectedSOPClassUID": uids.STUDY_ROOT_FIND,
        "CommandField": CommandField.C_FIND,
        "MessageID": 1,
        "Priority": 0,
    }
    identifier = identifier_of("STUDY", ["PatientName", "PatientID", "StudyInstanceUID"])
    return raw.message(1, command_set, encode_data_set(identifier, raw.EXPLICIT))


def test_readers_that_never_read(siege: Siege) -> None:
    """The node waits for each no longer than the network timeout, and collects no answers meanwhile."""

    def attack() -> None:
        with ExitStack() as stack:
            sockets = [
                stack.enter_context(associate_without_reading(siege.node.address, "FINDSCU", raw.STUDY_ROOT_FIND))
                for _ in range(READERS)
            ]
            for sock in sockets:
                sock.sendall(query_for_everything())
            aborted = "the peer does not read"
            expected = siege.node.output.count(aborted) + READERS
            siege.wait_until_logged(aborted, expected)

    siege.withstands(attack)
