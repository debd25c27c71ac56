"""C-FIND with many answers: streamed, cancelled, limited (PS3.4 C.4.1.1.4, C.4.1.2.2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from medserver.index import open_index
from medserver.scu import query
from medserver.scu.exchange import cancel, context_for, next_message_id, responses, send_request
from medserver.wire.command_set import CommandField
from pydicom.dataset import Dataset

from tests.index.samples import record
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import FIND, Client, identifier_of

ANSWERS = 5000
FEWER = 500
"""As many have an Accession Number, for findscu, which writes a file for each."""

REQUESTS = json.dumps([{"00401001": {"vr": "SH", "Value": ["RP1"]}}])


def sequence_item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def store(client: Client, *objects: corpus.Object) -> None:
    assert client.store(*objects) == [0] * len(objects)


@pytest.fixture(scope="module")
def large(start_node: Callable[..., Node]) -> Node:
    """Give a node with 5,000 studies in its index, which are in no file: a query does not need them."""
    node = start_node(options={"limits.query_results_max": 0})
    node.stop()
    index = open_index("sqlite:///index.db", base=node.data)
    with ThreadPoolExecutor(64) as threads:
        outcomes = threads.map(
            index.add,
            (
                record(
                    number,
                    patient_id="LARGE",
                    patient_name="Large^Answer",
                    accession_number="FEWER" if number < FEWER else "",
                    request_attributes_sequence=REQUESTS,
                    path=f"2026/01/31/1200/{number:064x}.dcm",
                )
                for number in range(ANSWERS)
            ),
        )
        assert {added.outcome for added in outcomes} == {"stored"}
    index.close()
    (node.data / "store" / "2026").mkdir()  # as if they were: a node does not start without its objects
    return node.start()


def test_five_thousand_answers(large: Node, dcmtk: Dcmtk) -> None:
    found = Client(large.address).find("STUDY", {"PatientID": "LARGE", "StudyInstanceUID": ""})
    assert found.status == 0
    assert len(set(found.values("StudyInstanceUID"))) == ANSWERS
    answer = dcmtk.find(large.address, "STUDY", {"AccessionNumber": "FEWER", "StudyInstanceUID": ""}).check()
    assert answer.statuses == (0xFF00,) * FEWER + (0x0000,)


def test_answers_are_streamed(large: Node) -> None:
    """The first ones are here while the node still waits to send the last: nothing is collected first."""
    client = Client(large.address)
    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        found = query.find(association, FIND["STUDY"], identifier_of("STUDY", {"StudyInstanceUID": ""}))
        numbers = count()
        for response, _ in zip(found, numbers):
            if response.code == 0:
                break
        assert next(numbers) >= ANSWERS


def test_cancel_ends_a_large_answer(large: Node, dcmtk: Dcmtk) -> None:
    answer = dcmtk.find(large.address, "STUDY", {"StudyInstanceUID": ""}, options=["--cancel", "3"]).check()
    assert answer.status == 0xFE00
    assert 3 <= len(answer.statuses) < ANSWERS


def test_cancel_and_go_on(large: Node) -> None:
    """A cancelled query leaves the association as it was, and a cancel that comes too late is ignored."""
    client = Client(large.address)
    keys = {"StudyInstanceUID": ""}
    with client.associated([query.proposal(FIND["STUDY"])]) as association:
        ends = []
        for _ in range(5):
            responses = list(
                query.find(association, FIND["STUDY"], identifier_of("STUDY", keys), matches_max=1)
            )
            first, last = (one.code for one in responses)
            assert first == 0xFF00
            ends.append(last)
        # All answers fit into the buffers of the connection: a client that has to wait for its turn comes too late.
        assert 0xFE00 in ends and set(ends) <= {0xFE00, 0x0000}
        one = identifier_of("STUDY", {"StudyInstanceUID": "1.2.77"})
        for _ in range(5):
            responses = list(query.find(association, FIND["STUDY"], one))
            assert [response.code for response in responses] == [0xFF00, 0x0000]
            # The query has ended: this one is too late, and must not end the next query either.
            ended = responses[-1].command_set["MessageIDBeingRespondedTo"]
            cancel(association, context_for(association, FIND["STUDY"]), ended)


def test_peer_that_leaves_in_the_midst_does_not_harm(large: Node) -> None:
    client = Client(large.address)
    for _ in range(5):
        with client.associated([query.proposal(FIND["STUDY"])]) as association:
            found = query.find(association, FIND["STUDY"], identifier_of("STUDY", {"StudyInstanceUID": ""}))
            assert next(found).code == 0xFF00
            association.abort()
            association.close()
    assert client.find("STUDY", {"StudyInstanceUID": "1.2.77"}).statuses == (0xFF00, 0x0000)
    assert "Traceback" not in large.output


def test_limit_of_matches(start_node: Callable[..., Node]) -> None:
    node = start_node(options={"limits.query_results_max": 3})
    client = Client(node.address)
    store(client, *(corpus.make_object(PatientID=patient_id) for patient_id in "AAABBBB"))
    assert client.find("STUDY", {"PatientID": "A", "StudyInstanceUID": ""}).statuses == (0xFF00,) * 3 + (0,)
    found = client.find("STUDY", {"PatientID": "B", "StudyInstanceUID": ""})
    assert found.statuses == (0xFF00,) * 3 + (0xA700,)
    assert found.comment


@pytest.mark.parametrize(
    "keys",
    [
        {"KVP": "99"},
        {"RequestAttributesSequence": [sequence_item(RequestedProcedureID="NO*")]},
    ],
    ids=["headers", "index"],
)
def test_cancel_ends_a_search_in_vain(large: Node, keys: dict) -> None:
    """Nothing matches, so that nothing goes out between two looks at what came in."""
    client = Client(large.address)
    proposed = {FIND["STUDY"]: b"\x01"}
    with client.associated([query.proposal(FIND["STUDY"])], proposed) as association:
        context, message_id = context_for(association, FIND["STUDY"]), next_message_id()
        command_set = {
            "AffectedSOPClassUID": FIND["STUDY"],
            "CommandField": CommandField.C_FIND,
            "MessageID": message_id,
            "Priority": 0,
        }
        send_request(association, context, command_set, identifier_of("IMAGE", {"SOPInstanceUID": ""} | keys))
        cancel(association, context, message_id)
        found = list(responses(association, context, CommandField.C_FIND, message_id))
        assert [one.code for one in found] == [0xFE00]
