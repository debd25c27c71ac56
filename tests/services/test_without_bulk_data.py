"""Composite Instance Retrieve Without Bulk Data: nothing is missing but what PS3.4 table Z.1-1 names."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, RTStructureSetStorage

from medserver.dicom import uids
from tests.services import corpus
from tests.services.client import Client, Retrieved
from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT
from tests.services.transcoding import read

DEFLATED = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
JPEG_2000 = "1.2.840.10008.1.2.4.90"
CONTOURS = 400
POINTS_TEXT_BYTES = 20_000


def fetch(client: Client, one: corpus.Object, *transfer_syntaxes: str) -> Retrieved:
    kinds = [(one.sop_class_uid, uid) for uid in transfer_syntaxes]
    keys = {"SOPInstanceUID": one.sop_instance_uid}
    return client.get("IMAGE", keys, kinds, model="WITHOUT_BULK_DATA")


def fetched(client: Client, one: corpus.Object, *transfer_syntaxes: str) -> Dataset:
    """Return what was received."""
    answers = fetch(client, one, *transfer_syntaxes)
    assert (answers.status, answers.counters["completed"]) == (0, 1), answers.responses
    [(transfer_syntax_uid, data_set)] = answers.received.values()
    assert transfer_syntax_uid in transfer_syntaxes
    return read(transfer_syntax_uid, data_set)


def without(dataset: Dataset, *keywords: str) -> Dataset:
    rest = Dataset()
    rest.update({element.tag: element for element in dataset if element.keyword not in keywords})
    return rest


def structure_set() -> Dataset:
    """Return a data set with 8 MB of contours, and something behind them."""
    points = DataElement("ContourData", "DS", "\\".join(["-123.4567"] * (POINTS_TEXT_BYTES // 10)))
    contours = []
    for number in range(CONTOURS):
        contour = Dataset()
        contour.ContourGeometricType, contour.ContourNumber = "POINT", number
        contour.add(points)
        contours.append(contour)
    region = Dataset()
    region.ContourSequence, region.ReferencedROINumber = contours, 1
    region["ContourSequence"].is_undefined_length = True  # as the node writes them
    for item in (region, *contours):
        item.is_undefined_length_sequence_item = True
    dataset = corpus.make_dataset(
        SOPClassUID=RTStructureSetStorage,
        Modality="RTSTRUCT",
        StructureSetLabel="LARGE",
        ROIContourSequence=[region],
        ApprovalStatus="APPROVED",
    )
    dataset["ROIContourSequence"].is_undefined_length = True
    return dataset


def test_large_header_comes_to_its_last_element(client: Client) -> None:
    one = corpus.encoded(structure_set())
    assert len(one.encoded) > 8_000_000
    assert client.store(one) == [0]
    [(_, data_set)] = fetch(client, one, EXPLICIT).received.values()
    assert data_set == one.encoded  # 800,000 numbers, of which pydicom would make objects


@pytest.mark.parametrize("stored", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, JPEG_2000])
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED, JPEG_2000])
def test_what_is_behind_the_pixels_comes(client: Client, stored: str, wanted: str) -> None:
    attributes = {} if stored == JPEG_2000 else {"PixelData": bytes(10_000)}
    dataset = corpus.make_dataset(Rows=5, KVP="120", **attributes)
    dataset.add_new(0x7FE10010, "LO", "OUR PRIVATE GROUP")
    dataset.add_new(0x7FE11001, "LO", "behind")
    one = corpus.encoded(dataset, stored)
    assert client.store(one) == [0]
    received = fetched(client, one, wanted)
    # Implicit VR does not tell the VR of a private element.
    assert received[0x7FE11001].value == (b"behind" if IMPLICIT in (stored, wanted) else "behind")
    received[0x7FE11001] = dataset[0x7FE11001]
    assert received == without(one.dataset, "PixelData")


BULK = {
    0x7FE00008: "OF",
    0x7FE00009: "OD",
    0x00287FE0: "UR",
    0x56000020: "OF",
    0x60003000: "OW",
    0x601E3000: "OW",
    0x50003000: "OW",
    0x5002200C: "OW",
    0x00420011: "OB",
}
KEPT = {0x60000010: "US", 0x50000005: "US", 0x60013000: "UN", 0x00420010: "ST"}


@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT])
def test_each_attribute_of_the_table_is_left_out_at_the_top_level_only(client: Client, wanted: str) -> None:
    def fill(dataset: Dataset) -> None:
        for tag, vr in (BULK | KEPT).items():
            value = {"US": 7, "ST": "text", "UR": "http://a/b"}.get(vr, bytes(16))
            dataset.add_new(tag, vr, value)

    item = Dataset()
    fill(item)
    waveform = Dataset()
    waveform.NumberOfWaveformChannels, waveform.WaveformBitsAllocated = 1, 16
    waveform.add_new("WaveformData", "OW", bytes(100))
    dataset = corpus.make_dataset(ReferencedImageSequence=[item], WaveformSequence=[waveform])
    fill(dataset)
    one = corpus.encoded(dataset)
    assert client.store(one) == [0]
    received = fetched(client, one, wanted)
    assert [tag for tag in BULK if tag in received] == []
    assert [tag for tag in KEPT if tag not in received] == []
    assert set(received.ReferencedImageSequence[0].keys()) == set(item.keys())
    assert set(received.WaveformSequence[0].keys()) == set(waveform.keys()) - {0x54001010}
    assert set(received.keys()) == set(dataset.keys()) - set(BULK)


def test_icon_keeps_its_pixels(client: Client) -> None:
    """PS3.4 Z.1.3: only the pixels of the top level are left out; those of the icon stay as they are."""
    icon = Dataset()
    icon.Rows, icon.Columns = 2, 2
    icon.add_new(0x7FE00010, "OB", encapsulate([b"no codestream at all"]))
    icon["PixelData"].is_undefined_length = True
    one = corpus.make_object(JPEG_2000, IconImageSequence=[icon])
    assert client.store(one) == [0]
    received = fetched(client, one, JPEG_2000)
    assert "PixelData" not in received
    assert received.IconImageSequence[0].PixelData == icon.PixelData
    # Nobody can decode it for who takes no JPEG 2000: then there is no success.
    failed = fetch(client, one, EXPLICIT)
    assert (failed.status, failed.failed_uids, failed.received) == (0xA702, [one.sop_instance_uid], {})


def cut(one: corpus.Object, data_set: bytes) -> corpus.Object:
    return corpus.Object(
        one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid, data_set, one.dataset
    )


@pytest.mark.parametrize("damage", ["in the pixels", "behind the pixels", "in a sequence"])
def test_what_cannot_be_read_to_its_end_is_a_failure(client: Client, damage: str) -> None:
    whole = corpus.make_object(Rows=5, PixelData=bytes(1000))
    study = {"StudyInstanceUID": whole.dataset.StudyInstanceUID}
    data_set = {
        "in the pixels": whole.encoded[:-10],
        "behind the pixels": whole.encoded + struct.pack("<HH2sH", 0x7FE1, 0x0010, b"LO", 40) + b"short",
        "in a sequence": whole.encoded[:-1012]
        + struct.pack("<HH2sHL", 0x4008, 0x0050, b"SQ", 0, 0xFFFFFFFF)
        + whole.encoded[-1012:],
    }[damage]
    damaged = cut(whole, data_set)
    good = corpus.make_object(Rows=6, PixelData=bytes(1000), **study)
    assert client.store(damaged, good) == [0, 0]
    keys = {"SOPInstanceUID": [damaged.sop_instance_uid, good.sop_instance_uid]}
    answers = client.get("IMAGE", keys, [(CTImageStorage, EXPLICIT)], model="WITHOUT_BULK_DATA")
    assert answers.status == 0xB000
    assert answers.counters == {"remaining": None, "completed": 1, "failed": 1, "warning": 0}
    assert answers.failed_uids == [damaged.sop_instance_uid]
    assert set(answers.received) == {good.sop_instance_uid}


@pytest.mark.parametrize("stored", [EXPLICIT, JPEG_2000, DEFLATED])
def test_deflated_is_deflated(client: Client, stored: str) -> None:
    """The bytes are a deflate stream, of even length (PS3.5 A.5), and inflate to the header."""
    one = corpus.make_object(stored, ImageComments="again and again." * 500)
    assert client.store(one) == [0]
    [(_, data_set)] = fetch(client, one, DEFLATED).received.values()
    assert len(data_set) % 2 == 0
    assert len(data_set) < 2000
    assert read(DEFLATED, data_set) == without(one.dataset, "PixelData")


def test_deflated_is_the_last_choice(client: Client) -> None:
    one = corpus.make_object(IMPLICIT, Rows=3)
    assert client.store(one) == [0]
    [(transfer_syntax_uid, _)] = fetch(client, one, DEFLATED, EXPLICIT).received.values()
    assert transfer_syntax_uid == EXPLICIT
