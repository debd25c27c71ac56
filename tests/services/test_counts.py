"""The log has the counts of every association at its end, by SOP class."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from medserver.scu.counts import Counts
from medserver.scu.exchange import DATA_SET_FOLLOWS
from medserver.wire.command_set import CommandField, encode_command_set
from medserver.wire.requestor import Proposal
from pydicom.uid import CTImageStorage, MRImageStorage

from tests.peers import Address
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import EXPLICIT, make_object
from tests.services.retrieval import keys_of


def counts_of(node: Node, association: Callable[[], object]) -> list[str]:
    """Return what the log says of the association that a function opens and ends."""

    def ended() -> bool:
        return node.output.count(" end released=") == node.output.count(" association calling=")

    wait_until(ended, what="the end of the associations before")
    before = node.output.count(" end released=")
    association()
    wait_until(lambda: node.output.count(" end released=") > before, what="the end of the association")
    [*_, end] = re.finditer(r"INFO (\S+) end released=", node.output)
    return re.findall(rf"INFO {end[1]} counts (.*)", node.output)


def test_what_was_stored_and_refused(node: Node, client: Client) -> None:
    stored = [make_object(SOPClassUID=CTImageStorage) for _ in range(2)] + [make_object(SOPClassUID=MRImageStorage)]

    def store() -> None:
        kinds = (CTImageStorage, MRImageStorage)
        with client.associated([Proposal(uid, (EXPLICIT,)) for uid in kinds]) as association:
            contexts = {one.abstract_syntax: one for one in association.contexts.values()}
            for message_id, one in enumerate([*stored, stored[0]], 1):
                context = contexts[CTImageStorage if message_id > len(stored) else one.sop_class_uid]
                command_set = {
                    "AffectedSOPClassUID": context.abstract_syntax,
                    "CommandField": CommandField.C_STORE,
                    "MessageID": message_id,
                    "Priority": 0,
                    "CommandDataSetType": DATA_SET_FOLLOWS,
                    # the last one is another instance than the command says
                    "AffectedSOPInstanceUID": one.sop_instance_uid if message_id <= len(stored) else "1.2.3",
                }
                association.send_message(context.context_id, encode_command_set(command_set), one.data_set())
                association.wait_response(CommandField.C_STORE, message_id, 30)

    assert counts_of(node, store) == [
        'sop_class="CT Image Storage" stored=2 refused=1',
        'sop_class="MR Image Storage" stored=1',
    ]


def test_what_was_sent_back(node: Node, client: Client, mixed: list) -> None:
    keys = keys_of(mixed[0], "StudyInstanceUID")
    lines = counts_of(node, lambda: client.get("STUDY", keys, [(CTImageStorage, EXPLICIT)]))
    assert sorted(lines) == ['sop_class="CT Image Storage" sent=2', 'sop_class="MR Image Storage" failed=2']


@pytest.mark.parametrize("listens", [False, True])
def test_what_was_sent_to_another(
    node: Node, client: Client, mixed: list, start_receiver: ReceiverFactory, listens: bool
) -> None:
    name = "COUNTED" if listens else "UNREACHABLE"
    if listens:
        start_receiver(name, {CTImageStorage: [EXPLICIT]})
    else:
        node.add_remote(Address(name, free_port()), allow=())
    keys = keys_of(mixed[0], "StudyInstanceUID")
    lines = counts_of(node, lambda: client.move(name, "STUDY", keys))
    assert sorted(lines) == [
        f'sop_class="CT Image Storage" {"sent" if listens else "failed"}=2',
        'sop_class="MR Image Storage" failed=2',
    ]


def test_other_operations_that_are_refused(node: Node, client: Client) -> None:
    lines = counts_of(node, lambda: client.find("STUDY", {"PatientID": ["A", "B"]}))
    assert lines == ['sop_class="Study Root Query/Retrieve Information Model - FIND" refused=1']


def test_an_association_of_which_nothing_is_to_be_counted(node: Node, client: Client) -> None:
    assert counts_of(node, lambda: client.find("STUDY", {"PatientID": "NOBODY"})) == []


def test_private_classes_have_no_name(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts()
    counts.add("1.2.3.4.5", "sent", 3)
    with caplog.at_level("INFO"):
        counts.log(remote="PACS")
    assert caplog.messages == ["counts remote=PACS sop_class=1.2.3.4.5 sent=3"]
