"""Storage commitment as SCP, with pynetdicom as the SCU (PS3.4 J)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from medserver.dicom import uids
from medserver.dicom.storage_commitment import Commitment, Reference, encode_commitment
from medserver.scu import commitment as medserver_scu
from medserver.scu.exchange import DATA_SET_FOLLOWS
from medserver.wire.command_set import NO_DATA_SET, CommandField, encode_command_set
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom.sop_class import StorageCommitmentPushModel

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.commitment_peer import EXPLICIT, IMPLICIT, CommitmentScu, action_information
from tests.services.corpus import Object, make_study

WELL_KNOWN = uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
ScuFactory = Callable[..., CommitmentScu]
_numbers = count(1)


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    """Give a node with small limits on commitment."""
    return start_node(options={"limits.commitment_references_max": 12_000, "limits.commitments_pending_max": 3})


@pytest.fixture
def make_scu(node: Node) -> Iterator[ScuFactory]:
    """Give a function that makes an SCU which the node knows; it does not listen yet."""
    peers: list[CommitmentScu] = []

    def make(**options: object) -> CommitmentScu:
        peer = CommitmentScu(f"MODALITY{next(_numbers)}", **options)
        peers.append(peer)
        node.add_remote(peer.address)
        return peer

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def scu(make_scu: ScuFactory) -> CommitmentScu:
    """Give an SCU that listens."""
    return make_scu().listen()


@pytest.fixture(scope="module")
def study(client: Client) -> list[Object]:
    stored = make_study(3)
    assert client.store(*stored) == [0] * 3
    return stored


def references(objects: list[Object]) -> list[tuple[str, str]]:
    return [(one.sop_class_uid, one.sop_instance_uid) for one in objects]


# -- the report ------------------------------------------------------------------------------------------------------


def test_report_on_a_new_association(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    report = scu.wait_for(scu.ask_and_go(node.address, references(study)))
    assert report.event_type_id == 1
    assert report.safe == references(study)
    assert report.failed == {} and "FailedSOPSequence" not in report.information
    assert report.information.RetrieveAETitle == node.address.ae_title
    assert not report.by_requestor


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, uids.EXPLICIT_VR_BIG_ENDIAN])
def test_report_on_the_same_association(
    node: Node, make_scu: ScuFactory, study: list[Object], transfer_syntax_uid: str
) -> None:
    scu = make_scu()  # which does not listen
    with scu.associated(node.address, [transfer_syntax_uid]) as association:
        for _ in range(2):
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


def test_nothing_is_safe(node: Node, scu: CommitmentScu) -> None:
    """Without a safe instance there are neither references nor a Retrieve AE Title (PS3.4 table J.3-2)."""
    unknown = (CTImageStorage, "1.02.3")  # a UID that breaks the rules is an unknown one
    report = scu.wait_for(scu.ask_and_go(node.address, [unknown]))
    assert (report.event_type_id, report.failed) == (2, {unknown: 0x0112})
    assert "ReferencedSOPSequence" not in report.information
    assert "RetrieveAETitle" not in report.information


def test_damaged_file_is_never_committed_to(node: Node, client: Client, scu: CommitmentScu) -> None:
    """One bit of a stored file is flipped: the instance fails, its neighbour does not."""
    good, bad = make_study(2, PixelData=b"x" * 2_000_000)  # too large for the journal
    assert client.store(good, bad) == [0, 0]
    [path] = [path for path in node.data.rglob("*.dcm") if bad.encoded[-1000:] in path.read_bytes()
              and bad.sop_instance_uid.encode() in path.read_bytes()]  # fmt: skip
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 0x04
    path.write_bytes(raw)
    report = scu.wait_for(scu.ask_and_go(node.address, references([good, bad])))
    assert report.event_type_id == 2
    assert (report.safe, report.failed) == (references([good]), {references([bad])[0]: 0x0110})
    path.unlink()
    report = scu.wait_for(scu.ask_and_go(node.address, references([bad, good])))
    assert (report.safe, report.failed) == (references([good]), {references([bad])[0]: 0x0110})


def test_ten_thousand_references(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    asked = [(CTImageStorage, f"1.2.3.{number}") for number in range(9_997)] + references(study)
    commitment = Commitment(uids.new_uid(), tuple(Reference(*one) for one in asked))
    # pynetdicom takes long to write that many; it reads the report.
    with Client(node.address, scu.address.ae_title).associated([medserver_scu.PROPOSAL]) as association:
        requestor = medserver_scu.CommitmentRequestor(association, lambda commitment: 0x0110, 10_000)
        assert requestor.request(commitment).code == 0x0000
    report = scu.wait_for(commitment.transaction_uid, deadline_s=60)
    assert report.event_type_id == 2
    assert report.safe == references(study)
    assert report.failed == dict.fromkeys(asked[:9_997], 0x0112)


# -- who takes the report, and when -----------------------------------------------------------------------------------


def test_peer_that_is_down_gets_its_report_later(node: Node, make_scu: ScuFactory, study: list[Object]) -> None:
    scu = make_scu()
    transaction_uid = scu.ask_and_go(node.address, references(study))
    failure = f"not reached destination={scu.address.ae_title}"
    wait_until(lambda: failure in node.output, what="the first attempt")
    scu.listen()
    report = scu.wait_for(transaction_uid)
    assert report.safe == references(study)


def test_report_is_repeated_until_it_is_acknowledged(node: Node, make_scu: ScuFactory, study: list[Object]) -> None:
    answers = iter([0x0110, 0x0000])
    scu = make_scu(respond=lambda: next(answers)).listen()
    transaction_uid = scu.ask_and_go(node.address, references(study))
    scu.wait_for(transaction_uid, count=2)
    wait_until(lambda: f"transaction={transaction_uid} safe=3" in node.output, what="the acknowledgement")
    assert [one.safe for one in scu.reports] == [references(study)] * 2


def test_report_that_fails_on_the_association_comes_on_another(
    node: Node, make_scu: ScuFactory, study: list[Object]
) -> None:
    answers = iter([0x0110, 0x0000])
    scu = make_scu(respond=lambda: next(answers)).listen()
    with scu.associated(node.address) as association:
        _, transaction_uid = scu.ask(association, references(study))
        scu.wait_for(transaction_uid, count=2)
    assert [one.by_requestor for one in scu.reports] == [True, False]


def test_release_instead_of_an_answer_is_a_release(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    """The peer may release the association at any time after the N-ACTION (PS3.4 J.3.2.1.2)."""
    client = Client(node.address, scu.address.ae_title)
    transaction_uid = uids.new_uid()
    asked = Commitment(transaction_uid, tuple(Reference(*one) for one in references(study)))
    with client.associated([medserver_scu.PROPOSAL]) as association:
        [context] = association.contexts.values()
        command_set = {
            "RequestedSOPClassUID": StorageCommitmentPushModel,
            "CommandField": CommandField.N_ACTION,
            "MessageID": 7,
            "CommandDataSetType": DATA_SET_FOLLOWS,
            "RequestedSOPInstanceUID": WELL_KNOWN,
            "ActionTypeID": 1,
        }
        information = encode_commitment(asked, context.transfer_syntax_uid)
        association.send_message(context.context_id, encode_command_set(command_set), information)
        association.wait_response(CommandField.N_ACTION, 7, 10)
        report = association.next_message(10)
        assert report is not None and report.command_field == CommandField.N_EVENT_REPORT
        report.read_data_set(100_000)
    assert not scu.wait_for(transaction_uid).by_requestor
    [number] = re.findall(rf"INFO (\S+) commit transaction={transaction_uid}", node.output)
    assert re.findall(rf" {number} (?:aborted|end) .*", node.output) == [f" {number} end released=True"]


@pytest.mark.parametrize("roles", [{"scu_role": None, "scp_role": None}, {"scu_role": True, "scp_role": True}])
def test_peer_that_does_not_answer_about_roles(
    node: Node, make_scu: ScuFactory, study: list[Object], roles: dict[str, bool]
) -> None:
    scu = make_scu().listen(**roles)
    assert scu.wait_for(scu.ask_and_go(node.address, references(study))).event_type_id == 1


# -- the same Transaction UID ------------------------------------------------------------------------------------------


def test_same_request_again_before_its_report_is_performed_once(
    node: Node, make_scu: ScuFactory, study: list[Object]
) -> None:
    scu = make_scu()
    transaction_uid = scu.ask_and_go(node.address, references(study))
    scu.ask_and_go(node.address, references(study), transaction_uid)
    scu.listen().wait_for(transaction_uid)
    other = scu.ask_and_go(node.address, references(study))
    scu.wait_for(other)  # what was asked before it has been reported by now
    assert [one.information.TransactionUID for one in scu.reports] == [transaction_uid, other]


@pytest.mark.parametrize("listens", [False, True])
def test_same_request_after_its_report_is_reported_again(
    node: Node, make_scu: ScuFactory, client: Client, listens: bool
) -> None:
    """The peer has lost the report, or wants to know whether it is still so (PS3.4 J.3.2.1.3)."""
    scu = make_scu()
    if listens:
        scu.listen()
    late = make_study(1)
    failed = dict.fromkeys(references(late), 0x0112)
    transaction_uid = uids.new_uid()
    for number, expected in enumerate((failed, failed, {}), 1):
        if not expected:
            assert client.store(*late) == [0x0000]
        with scu.associated(node.address) as association:
            assert scu.ask(association, references(late), transaction_uid)[0] == 0x0000
            assert scu.wait_for(transaction_uid, count=number).failed == expected
    assert scu.reports[-1].safe == references(late)
    assert all(one.by_requestor for one in scu.reports)


def test_same_request_again_on_the_association_that_waits(
    node: Node, make_scu: ScuFactory, study: list[Object]
) -> None:
    """A peer that does not listen has ended the association of its request before the report."""
    scu = make_scu()
    transaction_uid = scu.ask_and_go(node.address, references(study))
    with scu.associated(node.address) as association:
        assert scu.ask(association, references(study), transaction_uid)[0] == 0x0000
        report = scu.wait_for(transaction_uid)
        assert (report.by_requestor, report.safe) == (True, references(study))


def test_transaction_uid_of_another_request(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    """StoredCopy transaction UID: 0131 for every instance (PS3.3 C.14.1.1); the first request is not touched."""
    transaction_uid = scu.ask_and_go(node.address, references(study[:1]))
    assert scu.wait_for(transaction_uid).safe == references(study[:1])
    scu.ask_and_go(node.address, references(study[1:]), transaction_uid)
    report = scu.wait_for(transaction_uid, count=2)
    assert (report.event_type_id, report.safe) == (2, [])
    assert report.failed == dict.fromkeys(references(study[1:]), 0x0131)


def test_transaction_uid_of_another_ae(node: Node, make_scu: ScuFactory, study: list[Object]) -> None:
    transaction_uid = uids.new_uid()
    peers = [make_scu().listen() for _ in range(2)]
    for peer, asked in zip(peers, (study[:1], study[1:]), strict=True):
        peer.ask_and_go(node.address, references(asked), transaction_uid)
        assert peer.wait_for(transaction_uid).safe == references(asked)


# -- requests that are refused ---------------------------------------------------------------------------------------


def test_wrong_action_and_wrong_instance(node: Node, scu: CommitmentScu, study: list[Object]) -> None:
    with scu.associated(node.address) as association:
        assert scu.ask(association, references(study), action_type=2)[0] == 0x0123
        assert scu.ask(association, references(study), instance="1.2.3")[0] == 0x0112
        assert scu.ask(association, references(study))[0] == 0x0000


def test_without_the_right(node: Node, study: list[Object]) -> None:
    scu = CommitmentScu("RIGHTLESS")
    node.add_remote(scu.address, allow=["echo", "store"])
    with scu.associated(node.address) as association:
        assert not association.is_established  # the only context was not accepted
    node.add_remote(scu.address)
    with scu.associated(node.address) as association:
        assert scu.ask(association, references(study))[0] == 0x0000
        node.add_remote(scu.address, allow=["store"])
        assert scu.ask(association, references(study))[0] == 0x0124


def test_unknown_ae(node: Node) -> None:
    with CommitmentScu("STRANGER").associated(node.address) as association:
        assert association.is_rejected


def test_too_many_unfinished_requests(node: Node, make_scu: ScuFactory, study: list[Object]) -> None:
    scu = make_scu()  # which does not listen, so that none is ever finished
    for _ in range(3):
        scu.ask_and_go(node.address, references(study))
    with scu.associated(node.address) as association:
        assert scu.ask(association, references(study))[0] == 0x0213


VALID = encode_commitment(Commitment("1.2.3", (Reference(CTImageStorage, "1.2.4"),) * 3), EXPLICIT)
TOO_MANY = encode_commitment(Commitment("1.2.3", (Reference(CTImageStorage, "1.2.4"),) * 12_001), EXPLICIT)
TRANSACTION_UID = bytes.fromhex("0800951155490600") + b"1.2.3\0"


@pytest.mark.parametrize(
    ("information", "code"),
    [
        (None, 0x0115),
        (b"", 0x0115),
        (b"\xff" * 500, 0x0115),
        (VALID[:-7], 0x0115),
        (VALID[:40], 0x0115),
        (VALID[14:], 0x0115),  # without Transaction UID
        (TRANSACTION_UID, 0x0115),  # without references
        (TRANSACTION_UID + bytes.fromhex("0800991153510000ffffffff"), 0x0115),  # a sequence without an end
        (VALID.replace(b"1.2.4", b"1.x.4", 1), 0x0115),
        (VALID.replace(b"1.2.3", b"1.2 3"), 0x0115),
        (VALID.replace(bytes.fromhex("feff00e0"), bytes.fromhex("feff01e0")), 0x0115),
        (VALID.replace(bytes.fromhex("08005511"), bytes.fromhex("08005611"), 1), 0x0115),
        (TOO_MANY, 0x0213),
        (b"\x00" * 4_000_000, 0x0213),
    ],
)
def test_garbage_is_refused_and_the_association_goes_on(
    client: Client, information: bytes | None, code: int
) -> None:
    with client.associated([medserver_scu.PROPOSAL]) as association:
        [context] = association.contexts.values()
        for _ in range(2):
            command_set = {
                "RequestedSOPClassUID": StorageCommitmentPushModel,
                "CommandField": CommandField.N_ACTION,
                "MessageID": 7,
                "CommandDataSetType": NO_DATA_SET if information is None else DATA_SET_FOLLOWS,
                "RequestedSOPInstanceUID": WELL_KNOWN,
                "ActionTypeID": 1,
            }
            association.send_message(context.context_id, encode_command_set(command_set), information)
            answer = association.wait_response(CommandField.N_ACTION, 7, 10)
            assert answer.command_set["Status"] == code
            assert answer.command_set["AffectedSOPInstanceUID"] == WELL_KNOWN
            assert answer.command_set["ActionTypeID"] == 1


def test_report_on_what_nobody_asked(node: Node, scu: CommitmentScu) -> None:
    """The node as SCU: an N-EVENT-REPORT that fits to no request of ours, or is none."""
    with scu.associated(node.address, roles=(False, True)) as association:
        transaction_uid = uids.new_uid()
        for event_type, instance, code in ((1, WELL_KNOWN, 0x0115), (3, WELL_KNOWN, 0x0113), (1, "1.2", 0x0112)):
            dataset = action_information(transaction_uid, [(CTImageStorage, "1.2.3")])
            response, _ = association.send_n_event_report(
                dataset, event_type, StorageCommitmentPushModel, instance
            )
            assert response.Status == code


@pytest.mark.parametrize(
    ("roles", "may_ask", "may_report"),
    [(None, True, False), ((True, False), True, False), ((False, True), False, True), ((True, True), True, True)],
)
def test_roles(
    node: Node, scu: CommitmentScu, roles: tuple[bool, bool] | None, may_ask: bool, may_report: bool
) -> None:
    """Who has not the role of the SCU asks for nothing, and who has not that of the SCP reports nothing (0124)."""
    with scu.associated(node.address, takes_reports=False, roles=roles) as association:
        dataset = action_information(uids.new_uid(), [(CTImageStorage, "1.2.3")])
        # pynetdicom looks at its own role before it sends: it is told that it has both.
        [context] = association.accepted_contexts
        context._as_scu = context._as_scp = True
        response, _ = association.send_n_event_report(dataset, 1, StorageCommitmentPushModel, WELL_KNOWN)
        assert response.Status == (0x0115 if may_report else 0x0124)
        code, _ = scu.ask(association, [(CTImageStorage, "1.2.3")])
        assert code == (0 if may_ask else 0x0124)


def test_request_that_crosses_the_report(node: Node, make_scu: ScuFactory, study: list[Object]) -> None:
    """A request that was sent before the report is answered is performed first."""
    client = Client(node.address, make_scu().address.ae_title)
    with client.associated([medserver_scu.PROPOSAL]) as association:
        [context] = association.contexts.values()
        asked = tuple(Reference(*one) for one in references(study))
        for message_id in (1, 2):
            command_set = {
                "RequestedSOPClassUID": StorageCommitmentPushModel,
                "CommandField": CommandField.N_ACTION,
                "MessageID": message_id,
                "CommandDataSetType": DATA_SET_FOLLOWS,
                "RequestedSOPInstanceUID": WELL_KNOWN,
                "ActionTypeID": 1,
            }
            information = encode_commitment(Commitment(uids.new_uid(), asked), context.transfer_syntax_uid)
            association.send_message(context.context_id, encode_command_set(command_set), information)
            answer = association.wait_response(CommandField.N_ACTION, message_id, 10)
            assert answer.command_set["Status"] == 0x0000
            if message_id == 1:  # the report is there, and unanswered, when the second request goes out
                first = association.next_message(10)
                assert first.command_field == CommandField.N_EVENT_REPORT
                assert first.drain(1_000_000)
        report_ids = [first.message_id]
        for _ in range(2):
            association.send_message(context.context_id, _acknowledgement(report_ids[-1]))
            if len(report_ids) == 1:
                second = association.next_message(10)
                assert second.command_field == CommandField.N_EVENT_REPORT
                report_ids.append(second.message_id)
                assert second.drain(1_000_000)
    assert len(set(report_ids)) == 2


def _acknowledgement(message_id: int) -> bytes:
    return encode_command_set({
        "AffectedSOPClassUID": StorageCommitmentPushModel,
        "CommandField": CommandField.N_EVENT_REPORT | 0x8000,
        "MessageIDBeingRespondedTo": message_id,
        "CommandDataSetType": NO_DATA_SET,
        "Status": 0x0000,
        "AffectedSOPInstanceUID": WELL_KNOWN,
        "EventTypeID": 1,
    })
