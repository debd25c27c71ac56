"""C-GET: sub-operations on the association of the peer (PS3.4 C.4.3, Y, Z)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from medserver.scu import query, retrieve
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    CompositeInstanceRetrieveWithoutBulkDataGet,
    CompositeInstanceRootRetrieveGet,
    StudyRootQueryRetrieveInformationModelGet,
    TwelveLeadECGWaveformStorage,
)

from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import GET, Client, identifier_of
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT, kinds_of, make_study
from tests.services.peer import associated
from tests.services.retrieval import LEVELS, keys_of
from tests.services.transcoding import check_same_image, read

# What is no UID is asked for on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*VR UI.*:UserWarning")

ENOUGH = {"remaining": None, "failed": 0, "warning": 0}


@pytest.mark.parametrize(("model", "level", "keywords", "count"), LEVELS)
def test_every_model_and_level(
    node: Node,
    dcmtk: Dcmtk,
    client: Client,
    tree: list,
    tmp_path: Path,
    model: str,
    level: str,
    keywords: tuple,
    count: int,
) -> None:
    keys = keys_of(tree[0], *keywords)
    fetched = client.get(level, keys, kinds_of(tree), model=model)
    assert (fetched.status, fetched.counters) == (0, ENOUGH | {"completed": count})
    assert fetched.received == {one.sop_instance_uid: (EXPLICIT, one.encoded) for one in tree[:count]}

    answer = dcmtk.get(node.address, tmp_path / "got", level, keys, model=model).check()
    assert (answer.status, answer.counters[-1]["completed"]) == (0, count)
    assert sorted(files.data_set_bytes(path) for path in (tmp_path / "got").iterdir()) == sorted(
        one.encoded for one in tree[:count]
    )


def test_pending_responses_count_down(client: Client, tree: list[corpus.Object]) -> None:
    fetched = client.get("PATIENT", {"PatientID": "TREE"}, kinds_of(tree), model="PATIENT")
    first = fetched.responses[0]
    assert first.code == 0xFF00
    assert first.command_set["NumberOfRemainingSuboperations"] == 9
    assert all(
        sum(value for key, value in one.command_set.items() if key.endswith("Suboperations")) == 9
        for one in fetched.responses
    )


def test_several_at_once(client: Client, tree: list[corpus.Object]) -> None:
    """A list of UIDs at the level of the retrieve (PS3.4 C.4.2.2.1)."""
    chosen = [tree[0], tree[8]]
    keys = {"StudyInstanceUID": [one.dataset.StudyInstanceUID for one in chosen]}
    assert len(client.get("STUDY", keys, kinds_of(tree)).received) == 9
    keys = keys_of(tree[0], "StudyInstanceUID", "SeriesInstanceUID")
    keys["SOPInstanceUID"] = [tree[0].sop_instance_uid, tree[2].sop_instance_uid]
    assert set(client.get("IMAGE", keys, kinds_of(tree)).received) == set(keys["SOPInstanceUID"])


def test_nothing_matches(client: Client, tree: list[corpus.Object]) -> None:
    fetched = client.get("STUDY", {"StudyInstanceUID": "1.2.3.4"}, kinds_of(tree))
    assert (fetched.statuses, fetched.counters) == ((0x0000,), ENOUGH | {"completed": 0})


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        ("STUDY", "STUDY", {}),
        ("STUDY", "STUDY", {"StudyInstanceUID": ""}),
        ("STUDY", "STUDY", {"StudyInstanceUID": "*"}),
        ("STUDY", "SERIES", {"SeriesInstanceUID": "1.2"}),
        ("STUDY", "SERIES", {"StudyInstanceUID": "1.2"}),
        ("STUDY", "PATIENT", {"PatientID": "TREE"}),
        ("PATIENT", "PATIENT", {"PatientID": "T*"}),
        ("PATIENT", "STUDY", {"StudyInstanceUID": "1.2"}),
        (
            "PATIENT_STUDY_ONLY",
            "SERIES",
            {"PatientID": "1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2"},
        ),
        ("COMPOSITE", "STUDY", {"StudyInstanceUID": "1.2"}),
        ("COMPOSITE", "IMAGE", {"SOPInstanceUID": ""}),
        # A list is for UIDs: of these the first or the second value is a patient that is here.
        ("PATIENT", "PATIENT", {"PatientID": ["TREE", "B"]}),
        ("PATIENT", "PATIENT", {"PatientID": ["A", "TREE"]}),
        ("PATIENT", "PATIENT", {"PatientID": ["TREE", ""]}),
        ("PATIENT_STUDY_ONLY", "PATIENT", {"PatientID": ["TREE", "TREE"]}),
        ("PATIENT", "PATIENT", {"PatientID": "TREE", "IssuerOfPatientID": ["A", "B"]}),
    ],
)
def test_identifier_that_does_not_fit_the_model(
    client: Client, tree: list, model: str, level: str, keys: dict
) -> None:
    fetched = client.get(level, keys, kinds_of(tree), model=model)
    assert fetched.statuses == (0xA900,)
    assert fetched.comment
    assert not fetched.received


def test_patient_id_with_a_backslash_never_fetches_another_patient(client: Client) -> None:
    r"""An ID that was typed ``TWO\VALUES`` at a modality; the study is retrieved by its UID."""
    own, other = make_study(1, PatientID=["TWO", "VALUES"]), make_study(1, PatientID="TWO")
    assert client.store(*own, *other) == [0, 0]
    answer = client.find("STUDY", {"StudyInstanceUID": own[0].dataset.StudyInstanceUID, "PatientID": ""})
    patient_id = answer.identifiers[0].PatientID
    assert list(patient_id) == ["TWO", "VALUES"]
    for model, level in (("PATIENT", "PATIENT"), ("PATIENT", "STUDY")):
        keys = {"PatientID": patient_id, "StudyInstanceUID": own[0].dataset.StudyInstanceUID}
        fetched = client.get(level, keys, kinds_of(own), model=model)
        assert (fetched.statuses, fetched.received) == ((0xA900,), {})
        assert "PatientID" in fetched.comment
    fetched = client.get("STUDY", keys, kinds_of(own))
    assert list(fetched.received) == [own[0].sop_instance_uid]


@pytest.mark.parametrize(
    ("above", "several"), [("PatientID", ("TREE", "B")), ("StudyInstanceUID", ("", "1.2")), ("PatientID", ("T*",))]
)
def test_relational_retrieve_with_a_list_above_its_level(
    client: Client, tree: list[corpus.Object], above: str, several: tuple[str, ...]
) -> None:
    """A unique key above the level may be left out, but is never a list or a pattern (PS3.4 C.4.2.2.1)."""
    model = GET["PATIENT"]
    keys = keys_of(tree[0], "PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    keys[above] = [value or keys[above] for value in several]
    with client.associated([query.proposal(model)], {model: b"\x01"}) as association:
        identifier = identifier_of("SERIES", keys)
        responses = list(retrieve.get(association, model, identifier, lambda context, message: 0))
    assert [one.code for one in responses] == [0xA900]
    assert above in responses[0].comment


def test_relational_retrieve_is_negotiated(node: Node, tree: list[corpus.Object]) -> None:
    model = StudyRootQueryRetrieveInformationModelGet
    received: list[str] = []
    handlers = [(evt.EVT_C_STORE, lambda event: received.append(event.request.AffectedSOPInstanceUID) or 0)]
    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        extended={model: b"\x01"},
        handlers=handlers,
        receives=[CTImageStorage],
    ) as association:
        keys = keys_of(tree[0], "SeriesInstanceUID")
        responses = list(association.send_c_get(identifier_of("SERIES", keys), model))
    assert responses[-1][0].Status == 0
    assert set(received) == {one.sop_instance_uid for one in tree[:3]}


# -- partial success ------------------------------------------------------------------------------------------


def test_sop_class_that_the_peer_does_not_take(client: Client, mixed: list[corpus.Object]) -> None:
    keys = keys_of(mixed[0], "StudyInstanceUID")
    fetched = client.get("STUDY", keys, kinds_of(mixed[:2]))
    assert fetched.status == 0xB000
    assert fetched.counters == {"remaining": None, "completed": 2, "failed": 2, "warning": 0}
    assert sorted(fetched.failed_uids) == sorted(one.sop_instance_uid for one in mixed[2:])
    assert set(fetched.received) == {one.sop_instance_uid for one in mixed[:2]}


def test_nothing_that_the_peer_takes(client: Client, mixed: list[corpus.Object]) -> None:
    keys = keys_of(mixed[0], "StudyInstanceUID")
    fetched = client.get("STUDY", keys, [(TwelveLeadECGWaveformStorage, EXPLICIT)])
    assert fetched.status == 0xA702
    assert fetched.counters == {"remaining": None, "completed": 0, "failed": 4, "warning": 0}
    assert sorted(fetched.failed_uids) == sorted(one.sop_instance_uid for one in mixed)


def test_warnings_and_failures_of_the_peer_are_counted(node: Node, mixed: list[corpus.Object]) -> None:
    codes = iter([0xB000, 0xA700, 0x0000, 0xC123])
    model = StudyRootQueryRetrieveInformationModelGet
    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, lambda event: next(codes))],
        receives=[CTImageStorage, MRImageStorage],
    ) as association:
        identifier = identifier_of("STUDY", keys_of(mixed[0], "StudyInstanceUID"))
        *_, (last, failed) = association.send_c_get(identifier, model)
    assert last.Status == 0xB000
    assert (last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations) == (1, 2)
    assert last.NumberOfWarningSuboperations == 1
    assert len(failed.FailedSOPInstanceUIDList) == 2


# -- in another transfer syntax --------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.1.99"])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_uncompressed_transfer_syntaxes(client: Client, tmp_path: Path, stored: str, wanted: str) -> None:
    """A 16-bit image with a sequence goes out in each of them, and is the same data set."""
    [sample] = files.make_small(tmp_path)
    dataset = pydicom.dcmread(sample.path)
    item = Dataset()
    item.ReferencedSOPInstanceUID, item.Rows = "1.2.3", 7
    dataset.ReferencedImageSequence = [item]
    one = corpus.encoded(dataset, stored)
    assert client.store(one) == [0]
    keys = {"SOPInstanceUID": one.sop_instance_uid}
    fetched = client.get("IMAGE", keys, [(one.sop_class_uid, wanted)], model="COMPOSITE")
    assert fetched.status == 0
    [(transfer_syntax_uid, data_set)] = fetched.received.values()
    assert transfer_syntax_uid == wanted
    if stored == wanted:
        assert data_set == one.encoded
    received = read(wanted, data_set)
    check_same_image(sample.path, received)
    assert received.ReferencedImageSequence == dataset.ReferencedImageSequence
    compared = [element for element in received if element.tag != 0x7FE00010]
    assert [(element.tag, element.value) for element in compared] == [
        (element.tag, element.value) for element in dataset if element.tag != 0x7FE00010
    ]


@pytest.mark.parametrize(
    "name",
    ["JPEG2000.dcm", "693_J2KI.dcm", "SC_rgb_rle_16bit_2frame.dcm", "examples_jpeg2k.dcm", "rtdose_rle.dcm"],
)
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT])
def test_compressed_image_for_who_takes_it_uncompressed_only(client: Client, name: str, wanted: str) -> None:
    [sample] = [one for one in files.samples() if one.path.name == name]
    assert client.store(sample) == [0]
    keys = {"SOPInstanceUID": sample.sop_instance_uid}
    fetched = client.get("IMAGE", keys, [(sample.sop_class_uid, wanted)], model="COMPOSITE")
    assert fetched.status == 0, fetched
    [(transfer_syntax_uid, data_set)] = fetched.received.values()
    assert transfer_syntax_uid == wanted
    check_same_image(sample.path, read(wanted, data_set))


def test_transfer_syntax_that_nobody_can_decode(client: Client) -> None:
    """MPEG-2 is stored and sent as it is; for a peer that does not take it the sub-operation fails."""
    one = corpus.make_object("1.2.840.10008.1.2.4.100")
    assert client.store(one) == [0]
    keys = {"SOPInstanceUID": one.sop_instance_uid}
    fetched = client.get("IMAGE", keys, [(one.sop_class_uid, IMPLICIT)], model="COMPOSITE")
    assert (fetched.status, fetched.failed_uids) == (0xA702, [one.sop_instance_uid])


def test_a_file_of_ours_that_fails_is_one_sub_operation(make_node: Callable[..., Node], tmp_path: Path) -> None:
    """The directory of temporary files is gone: what has to be decoded is not sent, the rest is."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    node = make_node(options={"jobs.workers": 0}).start(environment={"TMPDIR": str(temporary)})
    client = Client(node.address)
    [compressed] = [one for one in files.samples() if one.path.name == "JPEG2000.dcm"]
    plain = corpus.make_study(2)
    assert client.store(compressed, *plain) == [0] * 3
    shutil.rmtree(temporary)
    keys = {"SOPInstanceUID": [one.sop_instance_uid for one in (compressed, *plain)]}
    kinds = [(compressed.sop_class_uid, EXPLICIT), (CTImageStorage, EXPLICIT)]
    fetched = client.get("IMAGE", keys, kinds, model="COMPOSITE")
    assert fetched.status == 0xB000
    assert fetched.counters == {"remaining": None, "completed": 2, "failed": 1, "warning": 0}
    assert fetched.failed_uids == [compressed.sop_instance_uid]
    assert f"not sent sop_instance_uid={compressed.sop_instance_uid} status=0110 reason=" in node.output


def test_pixels_that_cannot_be_decoded_do_not_stop_the_others(client: Client, tmp_path: Path) -> None:
    """A broken J2K image among good ones: one failure, and the association goes on."""
    [good] = files.make_small(tmp_path, patient_id="GOOD")
    dataset = pydicom.dcmread(good.path)
    study = dataset.StudyInstanceUID
    broken = corpus.make_object(
        "1.2.840.10008.1.2.4.90",
        StudyInstanceUID=study,
        SOPClassUID=MRImageStorage,
        PatientID="GOOD",
        **{
            keyword: dataset[keyword].value
            for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit")
        },
        PixelRepresentation=0,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
    )
    assert client.store(broken, good) == [0, 0]
    fetched = client.get("STUDY", {"StudyInstanceUID": study}, [(MRImageStorage, EXPLICIT)])
    assert fetched.status == 0xB000
    assert fetched.failed_uids == [broken.sop_instance_uid]
    assert set(fetched.received) == {good.sop_instance_uid}


# -- C-CANCEL ---------------------------------------------------------------------------------------------------


def test_cancel_between_sub_operations(node: Node, tree: list[corpus.Object]) -> None:
    """The cancel goes out before the answer to the second sub-operation, so no third one begins."""
    model = StudyRootQueryRetrieveInformationModelGet
    received: list[str] = []

    def receive(event: evt.Event) -> int:
        received.append(event.request.AffectedSOPInstanceUID)
        if len(received) == 2:
            [context] = [one for one in event.assoc.accepted_contexts if one.abstract_syntax == model]
            event.assoc.send_c_cancel(77, context.context_id)
        return 0

    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, receive)],
        receives=[CTImageStorage],
    ) as association:
        identifier = identifier_of("STUDY", keys_of(tree[0], "StudyInstanceUID"))
        *_, (last, _) = association.send_c_get(identifier, model, msg_id=77)
        assert last.Status == 0xFE00
        assert last.NumberOfCompletedSuboperations == 2
        assert last.NumberOfRemainingSuboperations == 4
        assert len(received) == 2
        *_, (last, _) = association.send_c_get(identifier, model, msg_id=78)
        assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 6)


# -- Composite Instance Root Retrieve, Without Bulk Data -----------------------------------------------------------


def test_composite_instance_root_retrieve(node: Node, tree: list[corpus.Object]) -> None:
    received: dict[str, bytes] = {}

    def receive(event: evt.Event) -> int:
        received[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return 0

    model = CompositeInstanceRootRetrieveGet
    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, receive)],
        receives=[CTImageStorage],
    ) as association:
        keys = {"SOPInstanceUID": [tree[0].sop_instance_uid, tree[8].sop_instance_uid]}
        *_, (last, _) = association.send_c_get(identifier_of("IMAGE", keys), model)
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 2)
    assert received == {one.sop_instance_uid: one.encoded for one in (tree[0], tree[8])}


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.90"])
def test_retrieve_without_bulk_data(node: Node, client: Client, stored: str) -> None:
    """The header comes, the pixels do not, and everything else is as stored (PS3.4 Z.1.3)."""
    one = corpus.make_object(
        stored, SpecificCharacterSet="ISO_IR 192", PatientName="山田^太郎", KVP="120", Rows=5
    )
    assert client.store(one) == [0]
    received: list[Dataset] = []
    model = CompositeInstanceRetrieveWithoutBulkDataGet
    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, lambda event: received.append(event.dataset) or 0)],
        receives=[CTImageStorage],
    ) as association:
        *_, (last, _) = association.send_c_get(
            identifier_of("IMAGE", {"SOPInstanceUID": one.sop_instance_uid}), model
        )
    assert (last.Status, last.NumberOfCompletedSuboperations) == (0, 1)
    [dataset] = received
    expected = {element.tag: element.value for element in one.dataset if element.keyword != "PixelData"}
    assert {element.tag: element.value for element in dataset} == expected


def test_waveform_without_its_data(node: Node, client: Client) -> None:
    waveform = Dataset()
    waveform.NumberOfWaveformChannels, waveform.WaveformBitsAllocated = 1, 16
    waveform.add_new("WaveformData", "OW", bytes(100))
    one = corpus.make_object(SOPClassUID=TwelveLeadECGWaveformStorage, WaveformSequence=[waveform])
    assert client.store(one) == [0]
    received: list[Dataset] = []
    model = CompositeInstanceRetrieveWithoutBulkDataGet
    with associated(
        node.address,
        [model],
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, lambda event: received.append(event.dataset) or 0)],
        receives=[TwelveLeadECGWaveformStorage],
    ) as association:
        list(association.send_c_get(identifier_of("IMAGE", {"SOPInstanceUID": one.sop_instance_uid}), model))
    [item] = received[0].WaveformSequence
    assert item.NumberOfWaveformChannels == 1
    assert "WaveformData" not in item


def test_pynetdicom_takes_compressed_images_as_stored(node: Node, client: Client) -> None:
    [sample] = [one for one in files.samples() if one.path.name == "JPEG2000.dcm"]
    client.store(sample)
    received: list[tuple[str, bytes]] = []

    def receive(event: evt.Event) -> int:
        received.append((event.context.transfer_syntax, event.request.DataSet.getvalue()))
        return 0

    model = CompositeInstanceRootRetrieveGet
    contexts = [model, build_context(sample.sop_class_uid, [sample.transfer_syntax_uid])]
    with associated(
        node.address,
        contexts,
        calling_ae_title="GETSCU",
        handlers=[(evt.EVT_C_STORE, receive)],
        receives=[sample.sop_class_uid],
    ) as association:
        keys = {"SOPInstanceUID": sample.sop_instance_uid}
        *_, (last, _) = association.send_c_get(identifier_of("IMAGE", keys), model)
    assert last.Status == 0
    assert received == [(sample.transfer_syntax_uid, sample.data_set())]
