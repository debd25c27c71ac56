"""Frames of an instance by C-GET and C-MOVE: Composite Instance Root Retrieve at the level FRAME (PS3.4 Y).

pynetdicom is the SCU, and receives; pydicom decodes what it has received.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, UltrasoundMultiFrameImageStorage
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    CompositeInstanceRetrieveWithoutBulkDataGet,
    CompositeInstanceRootRetrieveGet,
    CompositeInstanceRootRetrieveMove,
)

from medserver.dicom import uids
from tests import multiframe
from tests.peers.node import Node
from tests.peers.receiver import Receiver
from tests.services import corpus
from tests.services.client import Client, identifier_of
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT
from tests.services.peer import ALL_TRANSFER_SYNTAXES, associated

RLE, JPEG_2000 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
DEFLATED = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
CLASSES = (EnhancedCTImageStorage, UltrasoundMultiFrameImageStorage)
CONTEXTS = dict.fromkeys(CLASSES, ALL_TRANSFER_SYNTAXES)
FRAMES = 6
WHOLE = multiframe.pixels_of(FRAMES, 20, 24)

KEYS = {
    "simple": ({"SimpleFrameList": [2, 3, 6]}, [2, 3, 6]),
    "simple, one": ({"SimpleFrameList": 4}, [4]),
    "simple, some that are not there": ({"SimpleFrameList": [5, 7, 9]}, [5]),
    "calculated": ({"CalculatedFrameList": [1, 2, 1, 4, 0xFFFFFFFF, 2]}, [1, 2, 4, 6]),
    "time": ({"TimeRange": [1.5, 3.5]}, [2, 3, 4]),
}

Received = dict[str, tuple[str, bytes]]
Retrieve = Callable[..., tuple[Dataset, Received]]


def store(client: Client, source: Dataset, transfer_syntax_uid: str = EXPLICIT) -> corpus.Object:
    one = corpus.encoded(source, transfer_syntax_uid)
    assert client.store(one) == [0]
    return one


def get(node: Node, identifier: Dataset, *, syntaxes=ALL_TRANSFER_SYNTAXES, model=CompositeInstanceRootRetrieveGet):
    """Fetch with pynetdicom; return the last response and what has come."""
    received: Received = {}

    def receive(event: evt.Event) -> int:
        uid = event.request.AffectedSOPInstanceUID
        received[uid] = event.context.transfer_syntax, event.request.DataSet.getvalue()
        return 0

    contexts = [build_context(model), *(build_context(uid, [each]) for uid in CLASSES for each in syntaxes)]
    with associated(
        node.address,
        contexts,
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, receive)],
        receives=CLASSES,
    ) as association:
        *_, (last, _) = association.send_c_get(identifier, model)
    return last, received


@pytest.fixture(scope="module")
def receiver(node: Node) -> Iterator[Receiver]:
    """Give a Move Destination."""
    with Receiver("FRAMES", CONTEXTS) as receiver:
        node.add_remote(receiver.address, allow=())
        yield receiver


@pytest.fixture(params=["C-GET", "C-MOVE"])
def retrieve(request: pytest.FixtureRequest, node: Node, receiver: Receiver) -> Retrieve:
    """Give a function that retrieves, in both ways."""
    if request.param == "C-GET":
        return lambda identifier: get(node, identifier)

    def move(identifier: Dataset) -> tuple[Dataset, Received]:
        receiver.received.clear()
        model = CompositeInstanceRootRetrieveMove
        with associated(node.address, [model], calling_ae_title="MOVESCU") as association:
            *_, (last, _) = association.send_c_move(identifier, "FRAMES", model)
        return last, receiver.received

    return move


def frames_of(sop_instance_uid: str, **keys: object) -> Dataset:
    return identifier_of("FRAME", {"SOPInstanceUID": sop_instance_uid, **keys})


def read(received: Received) -> Dataset:
    """Read the one that has come."""
    [(uid, (transfer_syntax_uid, encoded))] = received.items()
    meta = corpus.file_meta(transfer_syntax_uid)
    stream = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(stream, meta, enforce_standard=False)
    dataset = pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + stream.getvalue() + encoded))
    assert dataset.SOPInstanceUID == uid
    return dataset


@pytest.fixture(scope="module")
def stored(node: Node, client: Client, tmp_path_factory) -> dict[str, str]:
    """Store an enhanced CT image in several transfer syntaxes; return its SOP Instance UIDs."""
    from medserver.codecs import Workers, transcode

    found = {}
    for uid in (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED):
        found[uid] = store(client, multiframe.enhanced_ct(FRAMES, 20, 24), uid).sop_instance_uid
    with Workers(1) as workers:
        for uid in (RLE, JPEG_2000):
            one = corpus.encoded(multiframe.enhanced_ct(FRAMES, 20, 24))
            with transcode(
                io.BytesIO(one.encoded), len(one.encoded), EXPLICIT, uid, workers, tmp_path_factory.mktemp("made")
            ) as made, made.open() as stream:
                compressed = corpus.Object(one.sop_class_uid, one.sop_instance_uid, uid, stream.read(), one.dataset)
            assert client.store(compressed) == [0]
            found[uid] = one.sop_instance_uid
    return found


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, RLE, JPEG_2000])
@pytest.mark.parametrize("name", list(KEYS))
def test_frames(retrieve: Retrieve, stored: dict[str, str], transfer_syntax_uid: str, name: str) -> None:
    keys, numbers = KEYS[name]
    source_uid = stored[transfer_syntax_uid]
    last, received = retrieve(frames_of(source_uid, **keys))
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 1)
    [(received_syntax, _)] = received.values()
    assert received_syntax == transfer_syntax_uid
    made = read(received)
    pixels = made.pixel_array[None] if len(numbers) == 1 else made.pixel_array
    assert np.array_equal(pixels, WHOLE[[number - 1 for number in numbers]])
    assert made.SOPClassUID == EnhancedCTImageStorage
    assert made.SOPInstanceUID != source_uid
    [item] = made.FrameExtractionSequence
    assert item.MultiFrameSourceSOPInstanceUID == source_uid
    [(keyword, value)] = keys.items()
    assert item[keyword].value == value
    assert made.ContributingEquipmentSequence[-1].StationName == "MEDSERVER"


def test_both_ways_and_again_give_the_same(node: Node, stored: dict, receiver: Receiver) -> None:
    identifier = frames_of(stored[EXPLICIT], SimpleFrameList=[1, 5])
    _, first = get(node, identifier)
    _, again = get(node, identifier)
    receiver.received.clear()
    model = CompositeInstanceRootRetrieveMove
    with associated(node.address, [model], calling_ae_title="MOVESCU") as association:
        list(association.send_c_move(identifier, "FRAMES", model))
    assert first == again == receiver.received


def test_receiver_of_uncompressed_images(node: Node, stored: dict[str, str]) -> None:
    """Where the frames cannot go out as they are, they are transcoded as any other instance."""
    last, received = get(node, frames_of(stored[RLE], SimpleFrameList=[2, 4]), syntaxes=[EXPLICIT])
    assert last.Status == 0
    assert np.array_equal(read(received).pixel_array, WHOLE[[1, 3]])


def test_a_new_instance_is_not_stored(node: Node, client: Client, stored: dict[str, str]) -> None:
    """It can be stored like any other: frames of it can be retrieved then."""
    _, received = get(node, frames_of(stored[EXPLICIT], SimpleFrameList=[2, 4, 6]))
    [uid] = received
    study = read(received).StudyInstanceUID
    found = client.find("IMAGE", {"StudyInstanceUID": study, "SeriesInstanceUID": read(received).SeriesInstanceUID,
                                  "SOPInstanceUID": ""})  # fmt: skip
    assert found.values("SOPInstanceUID") == [stored[EXPLICIT]]
    one = corpus.Object(EnhancedCTImageStorage, uid, *received[uid], read(received))
    assert client.store(one) == [0]
    _, received = get(node, frames_of(uid, SimpleFrameList=[2, 3]))
    made = read(received)
    assert np.array_equal(made.pixel_array, WHOLE[[3, 5]])
    assert [item.MultiFrameSourceSOPInstanceUID for item in made.FrameExtractionSequence] == [stored[EXPLICIT], uid]


# -- refusals (PS3.4 Y.4.1.1.4) ------------------------------------------------------------------------------------

MPEG = "1.2.840.10008.1.2.4.102"


@pytest.fixture(scope="module")
def others(client: Client) -> dict[str, str]:
    """Store what cannot be taken apart; return SOP Instance UIDs."""
    video = multiframe.encapsulated(multiframe.cine(), [bytes(100)], tables="none")
    short = multiframe.cine()
    short.PixelData = short.PixelData[:-2]
    single = multiframe.cine()
    del single.NumberOfFrames
    untimed = multiframe.cine()
    del untimed.FrameTime, untimed.FrameIncrementPointer
    objects = {
        "video": corpus.encoded(video, MPEG),
        "short": corpus.encoded(short),
        "single": corpus.encoded(single),
        "untimed": corpus.encoded(untimed),
        "good": corpus.encoded(multiframe.cine()),
    }
    assert client.store(*objects.values()) == [0] * len(objects)
    return {name: one.sop_instance_uid for name, one in objects.items()} | {"nowhere": "1.2.3.4"}


REFUSALS = [
    ("good", {"SimpleFrameList": [11, 12]}, 0xAA00),
    ("good", {"CalculatedFrameList": [11, 0xFFFFFFFF, 1]}, 0xAA00),
    ("good", {"TimeRange": [100.0, 200.0]}, 0xAA00),
    ("nowhere", {"SimpleFrameList": [1]}, 0xAA00),
    ("single", {"SimpleFrameList": [1]}, 0xAA01),
    ("video", {"SimpleFrameList": [1]}, 0xAA02),
    ("video", {"TimeRange": [0.0, 1.0]}, 0xAA02),
    ("short", {"SimpleFrameList": [1]}, 0xAA02),
    ("untimed", {"TimeRange": [0.0, 1.0]}, 0xAA03),
    ("good", {}, 0xAA04),
    ("good", {"SimpleFrameList": [2, 1]}, 0xAA04),
    ("good", {"SimpleFrameList": [2, 2]}, 0xAA04),
    ("good", {"SimpleFrameList": [0, 1]}, 0xAA04),
    ("good", {"CalculatedFrameList": [1, 2]}, 0xAA04),
    ("good", {"CalculatedFrameList": [1, 4, 1, 3, 5, 1]}, 0xAA04),
    ("good", {"TimeRange": [2.0, 1.0]}, 0xAA04),
    ("good", {"SimpleFrameList": [1], "TimeRange": [0.0, 1.0]}, 0xAA04),
    ("good", {"SimpleFrameList": [1], "CalculatedFrameList": [1, 2, 1]}, 0xAA04),
]


@pytest.mark.parametrize(("name", "keys", "code"), REFUSALS)
def test_refused(retrieve: Retrieve, others: dict[str, str], name: str, keys: dict, code: int) -> None:
    last, received = retrieve(frames_of(others[name], **keys))
    assert (f"{last.Status:04X}", received) == (f"{code:04X}", {})
    assert last.ErrorComment


@pytest.mark.parametrize("names", [[], ["good", "untimed"]])
def test_one_instance_must_be_named(retrieve: Retrieve, others: dict[str, str], names: list[str]) -> None:
    identifier = frames_of([others[name] for name in names] or "", SimpleFrameList=[1])
    last, received = retrieve(identifier)
    assert (last.Status, received) == (0xA900, {})


def test_frames_are_of_one_model_only(node: Node, client: Client, others: dict[str, str]) -> None:
    keys = {"SOPInstanceUID": others["good"], "SimpleFrameList": [1]}
    last, received = get(node, identifier_of("FRAME", keys), model=CompositeInstanceRetrieveWithoutBulkDataGet)
    assert (last.Status, received) == (0xA900, {})
    for model in ("PATIENT", "STUDY"):
        assert client.get("FRAME", keys, [(CLASSES[1], EXPLICIT)], model=model).status == 0xA900


def test_relational_retrieval_names_the_instance_too(node: Node, others: dict[str, str]) -> None:
    """PS3.4 Y.4.1.2.2: without it, frames of anything would be meant."""
    model = CompositeInstanceRootRetrieveMove
    with associated(node.address, [model], calling_ae_title="MOVESCU", extended={model: b"\1"}) as association:
        *_, (last, _) = association.send_c_move(identifier_of("FRAME", {"SimpleFrameList": [1]}), "MEDSERVER", model)
    assert last.Status == 0xA900


def test_receiver_that_takes_nothing(node: Node, stored: dict[str, str], start_receiver: ReceiverFactory) -> None:
    start_receiver("WRONG", {UltrasoundMultiFrameImageStorage: [EXPLICIT]})
    model = CompositeInstanceRootRetrieveMove
    with associated(node.address, [model], calling_ae_title="MOVESCU") as association:
        identifier = frames_of(stored[EXPLICIT], SimpleFrameList=[1])
        *_, (last, _) = association.send_c_move(identifier, "WRONG", model)
    assert (last.Status, last.NumberOfFailedSuboperations) == (0xA702, 1)


def test_damaged_object_is_not_taken_apart(node: Node, client: Client) -> None:
    """One bit of a stored file is flipped: the bytes are compared before frames are taken out, and none is sent."""
    one = store(client, multiframe.enhanced_ct(8, 400, 400))  # too large for the journal
    [path] = [path for path in node.data.rglob("*.dcm") if one.sop_instance_uid.encode() in path.read_bytes()]
    _, received = get(node, frames_of(one.sop_instance_uid, SimpleFrameList=[1]))
    assert len(received) == 1
    raw = bytearray(path.read_bytes())
    raw[-1000] ^= 0x04
    path.write_bytes(raw)
    last, received = get(node, frames_of(one.sop_instance_uid, SimpleFrameList=[1]))
    assert (last.Status, received) == (0xAA02, {})
