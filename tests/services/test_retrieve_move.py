"""C-MOVE: sub-operations to a configured AE (PS3.4 C.4.2, Y)."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from medserver.dicom import uids
from medserver.scu import query
from medserver.scu.exchange import cancel, context_for, responses, send_request
from medserver.wire.command_set import CommandField
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import evt
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import (
    CompositeInstanceRootRetrieveMove,
    PatientRootQueryRetrieveInformationModelMove,
)

from tests.peers import Address, files
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.services import corpus
from tests.services.client import MOVE, Answers, Client, counters, identifier_of
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT
from tests.services.peer import ALL_TRANSFER_SYNTAXES, associated
from tests.services.retrieval import LEVELS, keys_of
from tests.services.transcoding import check_same_image, read

SOP_CLASSES = 70
"""Two presentation contexts are proposed for each: more than the 128 of one association."""

CONNECTION_TIMEOUT_S = 1.5
"""Longer than a Move Destination has to begin to listen."""

CT_AND_MR = {CTImageStorage: ALL_TRANSFER_SYNTAXES, MRImageStorage: ALL_TRANSFER_SYNTAXES}


def check_all_failed(moved: Answers, objects: list[corpus.Object]) -> None:
    """PS3.4 C.4.2.1.4.2: a final response tells the counts and which instances failed."""
    assert moved.counters == {"remaining": None, "completed": 0, "failed": len(objects), "warning": 0}
    assert sorted(moved.failed_uids) == sorted(one.sop_instance_uid for one in objects)


@pytest.mark.parametrize(("model", "level", "keywords", "count"), LEVELS)
def test_every_model_and_level_to_storescp(
    node: Node, dcmtk: Dcmtk, tree: list, model: str, level: str, keywords: tuple, count: int
) -> None:
    storescp = dcmtk.start_storescp("STORESCP")
    node.add_remote(storescp.address, allow=())
    answer = dcmtk.move(node.address, "STORESCP", level, keys_of(tree[0], *keywords), model=model).check()
    assert answer.status == 0
    assert answer.counters[-1] == {"remaining": None, "completed": count, "failed": 0, "warning": 0}
    assert sorted(map(files.data_set_bytes, storescp.files())) == sorted(one.encoded for one in tree[:count])


def test_destination_learns_whose_move_it_is(
    node: Node, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    receiver = start_receiver("ORIGIN", CT_AND_MR)
    model = PatientRootQueryRetrieveInformationModelMove
    with associated(node.address, [model], calling_ae_title="MOVESCU") as association:
        identifier = identifier_of("PATIENT", {"PatientID": "TREE"})
        *_, (last, _) = association.send_c_move(identifier, "ORIGIN", model, msg_id=4711)
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 9)
    assert set(receiver.originators) == {("MOVESCU", 4711)}
    assert receiver.callers == {"MEDSERVER"}
    assert receiver.received == {one.sop_instance_uid: (EXPLICIT, one.encoded) for one in tree}


def test_composite_instance_root_retrieve(
    node: Node, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    receiver = start_receiver("COMPOSITE", CT_AND_MR)
    model = CompositeInstanceRootRetrieveMove
    chosen = [tree[0], tree[8]]
    with associated(node.address, [model], calling_ae_title="MOVESCU") as association:
        identifier = identifier_of("IMAGE", {"SOPInstanceUID": [one.sop_instance_uid for one in chosen]})
        *_, (last, _) = association.send_c_move(identifier, "COMPOSITE", model)
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 2)
    assert set(receiver.received) == {one.sop_instance_uid for one in chosen}


def test_nothing_matches(client: Client, start_receiver: ReceiverFactory) -> None:
    receiver = start_receiver("NOTHING", CT_AND_MR)
    moved = client.move("NOTHING", "STUDY", {"StudyInstanceUID": "1.2.3.4"})
    assert moved.statuses == (0x0000,)
    assert moved.counters == {"remaining": None, "completed": 0, "failed": 0, "warning": 0}
    assert not receiver.received


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        ("STUDY", {}),
        ("STUDY", {"StudyInstanceUID": ""}),
        ("SERIES", {"SeriesInstanceUID": "1.2"}),
        ("PATIENT", {"PatientID": "1"}),
        ("SERIES", {"StudyInstanceUID": ["1.2", "1.3"], "SeriesInstanceUID": "1.2"}),
    ],
)
def test_identifier_that_does_not_fit_the_model(
    client: Client, start_receiver: ReceiverFactory, level: str, keys: dict
) -> None:
    receiver = start_receiver("MISFIT", CT_AND_MR)
    assert client.move("MISFIT", level, keys).statuses == (0xA900,)
    assert not receiver.received


def test_patient_id_of_two_values(
    client: Client, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    receiver = start_receiver("TWOPATIENTS", CT_AND_MR)
    moved = client.move("TWOPATIENTS", "PATIENT", {"PatientID": ["TREE", "B"]}, model="PATIENT")
    assert moved.statuses == (0xA900,)
    assert "PatientID" in moved.comment
    assert not receiver.received


# -- destinations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("destination", ["NOBODY", "", "STORESCU", "127.0.0.1:104"])
def test_unknown_destination(client: Client, tree: list[corpus.Object], destination: str) -> None:
    """STORESCU is known, but without a port it cannot be sent to."""
    moved = client.move(destination, "STUDY", keys_of(tree[0], "StudyInstanceUID"))
    assert moved.statuses == (0xA801,)
    assert moved.comment.endswith("an address and a port")  # whole


def test_unknown_destination_of_movescu(node: Node, dcmtk: Dcmtk, tree: list[corpus.Object]) -> None:
    answer = dcmtk.move(node.address, "NOBODY", "STUDY", keys_of(tree[0], "StudyInstanceUID"))
    assert answer.status == 0xA801


def test_destination_where_nobody_listens(node: Node, client: Client, tree: list[corpus.Object]) -> None:
    node.add_remote(Address("AWAY", free_port()), allow=())
    moved = client.move("AWAY", "STUDY", keys_of(tree[0], "StudyInstanceUID"))
    assert moved.status == 0xA702
    assert "cannot connect" in moved.comment
    check_all_failed(moved, tree[:6])


def test_destination_that_listens_only_after_its_request(
    node: Node, client: Client, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    """GDCM's C-MOVE SCU does so."""
    late = Address("LATE", free_port())
    node.add_remote(late, allow=())
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(client.move, "LATE", "STUDY", keys_of(tree[0], "StudyInstanceUID"))
        node.server.wait_for_line("destination=LATE tried_again=")
        receiver = start_receiver("LATE", CT_AND_MR, port=late.port)
        assert moving.result().status == 0
    assert len(receiver.received) == 6


def test_destination_that_answers_no_connection_is_waited_for_once(make_node: Callable[..., Node]) -> None:
    """A host that is down does not refuse: the requestor waits as long as one connection may take, not three times."""
    node = make_node(options={"jobs.workers": 0, "limits.connection_timeout_s": CONNECTION_TIMEOUT_S}).start()
    client = Client(node.address)
    [stored] = corpus.make_study(1)
    assert client.store(stored) == [0]
    with ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):  # what fits into the queue of a listener that accepts nothing; the next gets no answer
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            assert waiting.connect_ex(full.getsockname()) == errno.EINPROGRESS
        node.add_remote(Address("DOWN", full.getsockname()[1]), allow=())
        begun = time.monotonic()
        moved = client.move("DOWN", "STUDY", keys_of(stored, "StudyInstanceUID"))
        taken_s = time.monotonic() - begun
    assert moved.status == 0xA702
    assert CONNECTION_TIMEOUT_S <= taken_s < 2 * CONNECTION_TIMEOUT_S


def test_destination_that_rejects_us(
    node: Node, client: Client, dcmtk: Dcmtk, tree: list[corpus.Object]
) -> None:
    storescp = dcmtk.start_storescp("REFUSING", options=["--refuse"])
    node.add_remote(storescp.address, allow=())
    moved = client.move("REFUSING", "STUDY", keys_of(tree[0], "StudyInstanceUID"))
    assert moved.status == 0xA702
    check_all_failed(moved, tree[:6])


def test_destination_that_aborts_within_the_first_instance(
    node: Node, client: Client, dcmtk: Dcmtk, tree: list[corpus.Object]
) -> None:
    storescp = dcmtk.start_storescp("ABORTING", options=["--abort-during", *StoreSCP.DEFAULT_OPTIONS])
    node.add_remote(storescp.address, allow=())
    moved = client.move("ABORTING", "STUDY", keys_of(tree[0], "StudyInstanceUID"))
    assert moved.status == 0xA702
    assert moved.counters["failed"] == 6
    assert sorted(moved.failed_uids) == sorted(one.sop_instance_uid for one in tree[:6])


def test_destination_in_another_section_than_its_title(
    node: Node, client: Client, tree: list, dcmtk: Dcmtk
) -> None:
    storescp = dcmtk.start_storescp("TITLE")
    node.add_remote(storescp.address, name="workstation-3", allow=())
    assert client.move("workstation-3", "STUDY", keys_of(tree[0], "StudyInstanceUID")).status == 0xA801
    assert client.move("TITLE", "STUDY", keys_of(tree[0], "StudyInstanceUID")).status == 0
    assert len(storescp.files()) == 6


def test_two_destinations_at_once(
    client: Client, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    """Each waits for the other to have received something: neither holds up the other."""
    meeting = threading.Barrier(2)

    def respond(event: evt.Event) -> int:
        meeting.wait(20)
        return 0

    both = [start_receiver(f"AT-ONCE-{number}", CT_AND_MR, respond=respond) for number in (1, 2)]
    keys = keys_of(tree[0], "StudyInstanceUID")
    with ThreadPoolExecutor(2) as threads:
        moves = [threads.submit(client.move, one.address.ae_title, "STUDY", keys) for one in both]
        assert [one.result().status for one in moves] == [0, 0]
    for receiver in both:
        assert receiver.received == {one.sop_instance_uid: (EXPLICIT, one.encoded) for one in tree[:6]}


# -- partial success ----------------------------------------------------------------------------------------------


def test_destination_that_takes_one_sop_class_only(
    client: Client, mixed: list, start_receiver: ReceiverFactory
) -> None:
    receiver = start_receiver("CT-ONLY", {CTImageStorage: [EXPLICIT]})
    moved = client.move("CT-ONLY", "STUDY", keys_of(mixed[0], "StudyInstanceUID"))
    assert moved.status == 0xB000
    assert moved.counters == {"remaining": None, "completed": 2, "failed": 2, "warning": 0}
    assert sorted(moved.failed_uids) == sorted(one.sop_instance_uid for one in mixed[2:])
    assert set(receiver.received) == {one.sop_instance_uid for one in mixed[:2]}


def test_destination_that_takes_nothing_of_it(
    client: Client, mixed: list, start_receiver: ReceiverFactory
) -> None:
    start_receiver("NONE-OF-IT", {"1.2.840.10008.5.1.4.1.1.66": [EXPLICIT]})
    moved = client.move("NONE-OF-IT", "STUDY", keys_of(mixed[0], "StudyInstanceUID"))
    assert moved.status == 0xA702
    assert moved.comment
    check_all_failed(moved, mixed)


@pytest.mark.parametrize("taken", ["of the first association", "of the second association"])
def test_more_sop_classes_than_contexts_of_which_one_is_taken(
    client: Client, start_receiver: ReceiverFactory, taken: str
) -> None:
    """Two associations are needed, and the destination accepts nothing of what the other one proposes."""
    study = uids.new_uid()
    classes = [str(one.abstract_syntax) for one in AllStoragePresentationContexts][:SOP_CLASSES]
    objects = [corpus.make_object(StudyInstanceUID=study, SOPClassUID=uid) for uid in classes]
    assert client.store(*objects) == [0] * len(objects)
    wanted = objects[0] if taken == "of the first association" else objects[-1]
    name = f"ONE-{taken.split()[2][:6].upper()}"
    receiver = start_receiver(name, {wanted.sop_class_uid: [EXPLICIT]})
    moved = client.move(name, "STUDY", {"StudyInstanceUID": study})
    assert set(receiver.received) == {wanted.sop_instance_uid}
    assert moved.status == 0xB000
    assert moved.counters == {"remaining": None, "completed": 1, "failed": len(objects) - 1, "warning": 0}
    assert set(moved.failed_uids) == {one.sop_instance_uid for one in objects} - set(receiver.received)


def test_destination_that_warns_and_fails(
    client: Client, mixed: list, start_receiver: ReceiverFactory
) -> None:
    codes = {
        mixed[0].sop_instance_uid: 0x0000,
        mixed[1].sop_instance_uid: 0xB007,
        mixed[2].sop_instance_uid: 0xA700,
        mixed[3].sop_instance_uid: 0x0110,
    }
    start_receiver("PICKY", CT_AND_MR, respond=lambda event: codes[event.request.AffectedSOPInstanceUID])
    moved = client.move("PICKY", "STUDY", keys_of(mixed[0], "StudyInstanceUID"))
    assert moved.status == 0xB000
    assert moved.counters == {"remaining": None, "completed": 1, "failed": 2, "warning": 1}
    assert sorted(moved.failed_uids) == sorted(one.sop_instance_uid for one in mixed[2:])


def test_the_log_says_what_was_not_sent_and_why(
    node: Node, client: Client, mixed: list, start_receiver: ReceiverFactory
) -> None:
    """An administrator is asked afterwards (dcm4chee-arc-light#4373, dicoogle#710)."""
    start_receiver("FULL", {CTImageStorage: [EXPLICIT]}, respond=lambda event: 0xA700)
    assert client.move("FULL", "STUDY", keys_of(mixed[0], "StudyInstanceUID")).status == 0xA702
    reasons = dict(re.findall(r" not sent sop_instance_uid=(\S+) (status=.*)", node.output))
    refused, not_accepted = (reasons[mixed[number].sop_instance_uid] for number in (0, 2))
    assert refused == "status=A700"
    assert not_accepted == 'status=0110 reason="the peer accepted no presentation context for the instance"'


def test_the_log_says_why_nothing_was_sent(node: Node, client: Client, tree: list[corpus.Object]) -> None:
    node.add_remote(Address("NOBODY", free_port()), allow=())
    assert client.move("NOBODY", "STUDY", keys_of(tree[0], "StudyInstanceUID")).status == 0xA702
    assert re.search(r" C-MOVE destination=NOBODY not_sent=6 problem=.*refused", node.output)


# -- in another transfer syntax -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(("option", "wanted"), [("+xi", IMPLICIT), ("+xb", BIG_ENDIAN), ("+xe", EXPLICIT)])
def test_storescp_that_prefers_another_transfer_syntax(
    node: Node, client: Client, dcmtk: Dcmtk, tmp_path: Path, stored: str, option: str, wanted: str
) -> None:
    """What goes out is readable for DCMTK, and the same image; +xi accepts Implicit VR Little Endian only."""
    [sample] = files.make_small(tmp_path)
    one = corpus.encoded(files.pydicom.dcmread(sample.path), stored)
    assert client.store(one) == [0]
    storescp = dcmtk.start_storescp("OTHER", options=[option])
    node.add_remote(storescp.address, allow=())
    moved = client.move("OTHER", "IMAGE", {"SOPInstanceUID": one.sop_instance_uid}, model="COMPOSITE")
    assert moved.status == 0
    [path] = storescp.files()
    received = files.pydicom.dcmread(path)
    if option == "+xi":
        assert received.file_meta.TransferSyntaxUID == wanted
    if received.file_meta.TransferSyntaxUID == stored:
        assert files.data_set_bytes(path) == one.encoded
    assert one.sop_instance_uid in dcmtk.dump(path)
    check_same_image(sample.path, received)


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_gdcm_KY.dcm", "examples_jpeg2k.dcm"]
)
def test_compressed_image_to_who_takes_implicit_vr_only(
    start_node: Callable[..., Node], dcmtk: Dcmtk, name: str
) -> None:
    node = start_node()
    client = Client(node.address)
    [sample] = [one for one in files.samples() if one.path.name == name]
    assert client.store(sample) == [0]
    storescp = dcmtk.start_storescp("IMPLICIT", options=["+xi"])
    node.add_remote(storescp.address, allow=())
    keys = {"SOPInstanceUID": sample.sop_instance_uid}
    moved = client.move("IMPLICIT", "IMAGE", keys, model="COMPOSITE")
    assert (moved.status, moved.counters["completed"]) == (0, 1)
    [path] = storescp.files()
    received = files.pydicom.dcmread(path)
    assert received.file_meta.TransferSyntaxUID == IMPLICIT
    assert sample.sop_instance_uid in dcmtk.dump(path)
    check_same_image(sample.path, received)


def test_compressed_image_goes_as_it_is_where_it_can(client: Client, start_receiver: ReceiverFactory) -> None:
    """Although the destination takes the uncompressed transfer syntaxes too."""
    [sample] = [one for one in files.samples() if one.path.name == "JPEG2000.dcm"]
    assert client.store(sample) == [0]
    contexts = {sample.sop_class_uid: [EXPLICIT, IMPLICIT, sample.transfer_syntax_uid]}
    receiver = start_receiver("AS-IT-IS", contexts)
    keys = {"SOPInstanceUID": sample.sop_instance_uid}
    assert client.move("AS-IT-IS", "IMAGE", keys, model="COMPOSITE").status == 0
    assert receiver.received == {sample.sop_instance_uid: (sample.transfer_syntax_uid, sample.data_set())}
    check_same_image(sample.path, read(*receiver.received[sample.sop_instance_uid]))


# -- many presentation contexts, C-CANCEL -----------------------------------------------------------------------------


def test_more_than_128_presentation_contexts(client: Client, start_receiver: ReceiverFactory) -> None:
    """An instance of every SOP class, in two transfer syntaxes: several associations carry them."""
    study = uids.new_uid()
    sent = [
        corpus.make_object(syntax, StudyInstanceUID=study, SOPClassUID=sop_class)
        for sop_class in list(uids.STORAGE_SOP_CLASSES)[:100]
        for syntax in (EXPLICIT, "1.2.840.10008.1.2.4.70")
    ]
    assert client.store(*sent) == [0] * len(sent)
    receiver = start_receiver(
        "MANY", dict.fromkeys((one.sop_class_uid for one in sent), ALL_TRANSFER_SYNTAXES)
    )
    moved = client.move("MANY", "STUDY", {"StudyInstanceUID": study})
    assert moved.status == 0
    assert moved.counters == {"remaining": None, "completed": 200, "failed": 0, "warning": 0}
    assert receiver.received == {one.sop_instance_uid: (one.transfer_syntax_uid, one.encoded) for one in sent}
    assert len(receiver.associations) >= 2


def test_cancel_between_sub_operations(
    client: Client, tree: list[corpus.Object], start_receiver: ReceiverFactory
) -> None:
    """The destination holds the second instance until the cancel is out: no third one is sent."""
    arrived, proceed = threading.Semaphore(0), threading.Event()

    def respond(event: evt.Event) -> int:
        arrived.release()
        if len(receiver.received) == 1:
            assert proceed.wait(20)
        return 0

    receiver = start_receiver("CANCELLED", CT_AND_MR, respond=respond)
    sop_class = MOVE["PATIENT"]
    with client.associated([query.proposal(sop_class)]) as association:
        context = context_for(association, sop_class)
        command_set = {
            "AffectedSOPClassUID": sop_class,
            "CommandField": CommandField.C_MOVE,
            "MessageID": 9,
            "Priority": 0,
            "MoveDestination": "CANCELLED",
        }
        send_request(association, context, command_set, identifier_of("PATIENT", {"PatientID": "TREE"}))
        assert arrived.acquire(timeout=20) and arrived.acquire(timeout=20)
        cancel(association, context, 9)
        proceed.set()
        *_, last = responses(association, context, CommandField.C_MOVE, 9)
    assert last.code == 0xFE00
    assert counters(last) == {"remaining": 7, "completed": 2, "failed": 0, "warning": 0}
    assert len(receiver.received) == 2
