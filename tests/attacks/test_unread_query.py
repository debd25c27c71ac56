"""A query with 50,000 matches, asked by peers that never read."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from medserver.dicom import uids
from medserver.dicom.data_sets import write_data_set
from medserver.wire.command_set import CommandField
from tests.attacks import raw
from tests.attacks.conftest import SiegeFactory
from tests.attacks.siege import Siege
from tests.attacks.test_floods import associate_without_reading
from tests.memory.operations import fill_index, script
from tests.services.client import identifier_of

MATCHES = 50_000
READERS = 8


@pytest.fixture(scope="module")
def siege(besiege: SiegeFactory) -> Siege:
    return besiege(prepare=lambda node: fill_index(node, 1, MATCHES))


def query_for_everything() -> bytes:
    """Encode a C-FIND request that matches every instance of the series."""
    command_set = {
        "AffectedSOPClassUID": uids.STUDY_ROOT_FIND,
        "CommandField": CommandField.C_FIND,
        "MessageID": 1,
        "Priority": 0,
    }
    root = script("bench_index").ROOT
    series = {"StudyInstanceUID": f"{root}.0", "SeriesInstanceUID": f"{root}.0.1"}
    identifier = identifier_of("IMAGE", series | dict.fromkeys(("SOPInstanceUID", "InstanceNumber", "ImageType"), ""))
    return raw.message(1, command_set, write_data_set(identifier, raw.EXPLICIT))


def test_everything_matches(siege: Siege) -> None:
    with raw.associate(siege.node.address, "FINDSCU", (raw.STUDY_ROOT_FIND,), timeout_s=60.0) as sock:
        sock.sendall(query_for_everything())
        assert [raw.receive_status(sock) for _ in range(MATCHES + 1)] == [0xFF00] * MATCHES + [0x0000]


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
