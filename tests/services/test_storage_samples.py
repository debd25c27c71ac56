"""Every valid file of pydicom is stored, found at every level, and fetched back bit-identical."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pydicom
import pytest
from medserver.dicom.attributes import LEVELS, UNIQUE_KEYS, at_level
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample, samples
from tests.peers.node import Node
from tests.services.client import Client
from tests.services.conftest import ReceiverFactory
from tests.services.corpus import kinds_of
from tests.services.peer import ALL_TRANSFER_SYNTAXES


def layers() -> Iterator[list[Sample]]:
    """Yield all samples in groups in which no SOP Instance UID occurs twice."""
    rest = list(samples())
    while rest:
        layer = files.distinct(rest)
        rest = [sample for sample in rest if sample not in layer]
        yield layer


@cache
def header(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def bytes_of(instances: Iterable[Sample]) -> dict[str, tuple[str, bytes]]:
    return {one.sop_instance_uid: (one.transfer_syntax_uid, one.sent()) for one in instances}


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    # Some instances occur in several transfer syntaxes: each is what is fetched once it has been stored.
    return start_node(options={"store.duplicates": "replace"})


@pytest.fixture(scope="module")
def other_node(start_node: Callable[..., Node]) -> Node:
    """Give a node that has no sample but those that the tests with this fixture store."""
    return start_node(options={"store.duplicates": "replace"})


def received(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return the data sets that an SCP of DCMTK keeps, by SOP Instance UID."""
    return {str(header(path).SOPInstanceUID): files.data_set_bytes(path) for path in paths}


def check_found(client: Client, sample: Sample) -> None:
    """Find a sample by the unique keys, from the top down."""
    dataset = header(sample.path)
    with client.querying("PATIENT" if dataset.get("PatientID") else "STUDY") as ask:
        keys: dict[str, object] = {}
        for level in LEVELS[0 if dataset.get("PatientID") else 1 :]:
            keyword = UNIQUE_KEYS[level]
            answers = ask(level, keys | {keyword: ""})
            assert answers.status == 0
            assert str(dataset[keyword].value).strip() in answers.values(keyword), (sample.path.name, level)
            keys[keyword] = str(dataset[keyword].value).strip()
        found = ask("IMAGE", keys | {"SOPClassUID": "", "AvailableTransferSyntaxUID": ""})
    [identifier] = found.identifiers
    assert identifier.SOPClassUID == sample.sop_class_uid
    assert identifier.AvailableTransferSyntaxUID == sample.transfer_syntax_uid


def test_every_sample_is_stored_found_and_fetched(
    node: Node, client: Client, start_receiver: ReceiverFactory
) -> None:
    contexts = {sample.sop_class_uid: ALL_TRANSFER_SYNTAXES for sample in samples()}
    for number, layer in enumerate(layers()):
        assert client.store(*layer) == [0] * len(layer)
        for sample in layer:
            check_found(client, sample)
        uids = [sample.sop_instance_uid for sample in layer]

        fetched = client.get("IMAGE", {"SOPInstanceUID": uids}, kinds_of(layer), model="COMPOSITE")
        assert fetched.status == 0
        assert fetched.counters == {"remaining": None, "completed": len(uids), "failed": 0, "warning": 0}
        assert fetched.received == bytes_of(layer)

        receiver = start_receiver(f"RECEIVER{number}", contexts)
        moved = client.move(receiver.address.ae_title, "IMAGE", {"SOPInstanceUID": uids}, model="COMPOSITE")
        assert (moved.status, moved.counters["completed"]) == (0, len(uids))
        assert receiver.received == bytes_of(layer)


def keys_of(dataset: Dataset, level: str) -> dict[str, object]:
    """Return every attribute of a level that the index keeps and the data set has a value for, as a key."""
    keys: dict[str, object] = {}
    for attribute in at_level(level):
        element = dataset.get(attribute.keyword) if not attribute.computed else None
        values = element if isinstance(element, (MultiValue, list)) else [element]
        first = values[0] if values else None
        if attribute.vr == "IS" and not str(first).lstrip("+-").isdigit():
            continue  # such as an Instance Number of 1A, which pydicom puts into no key
        if attribute.vr != "SQ" and first not in (None, "") and not set(str(first)) & set("*?"):
            keys[attribute.keyword] = first
    return keys


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_sample_is_found_by_every_key(start_node: Callable[..., Node]) -> None:
    """At each level by all attributes at once; what an entity is called, the first instance of it says."""
    client = Client(start_node().address)
    stored = [sample for sample in files.distinct(samples()) if header(sample.path).get("PatientID")]
    assert client.store(*stored) == [0] * len(stored)
    seen: set[str] = set()
    checked = 0
    with client.querying("PATIENT") as ask:
        for sample in stored:
            dataset = header(sample.path)
            above: dict[str, object] = {}
            for level in LEVELS:
                unique = UNIQUE_KEYS[level]
                value = str(dataset[unique].value)
                keys = keys_of(dataset, level) if value not in seen else {unique: value}
                found = ask(level, {"SpecificCharacterSet": "ISO_IR 192"} | above | keys)
                assert (found.status, found.values(unique)) == (0, [value]), (sample.path.name, level, keys)
                seen.add(value)
                checked += len(keys)
                above[unique] = value
    assert checked > 1500


def test_a_folder_sent_with_storescu_comes_back_by_getscu_and_movescu(
    start_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """storescu encodes anew: what the node must have received is what a storescp receives."""
    node = start_node()
    folder = tmp_path / "sent"
    folder.mkdir()
    chosen = [one for one in files.distinct(samples()) if one.transfer_syntax_uid == "1.2.840.10008.1.2.1"]
    chosen = [one for one in chosen if header(one.path).get("PatientID")]
    for number, sample in enumerate(chosen):
        (folder / f"{number:03}.dcm").write_bytes(sample.path.read_bytes())
    destination = dcmtk.start_storescp("DESTINATION")
    with monkeypatch.context() as quick:
        quick.setenv("TCP_NODELAY", "1")  # else the two of them wait 90 ms for each other with each instance
        reference = dcmtk.start_storescp("REFERENCE")
        dcmtk.store(reference.address, folder, options=["--required"], debug=False).check()
    dcmtk.store(node.address, folder, options=["--required"], debug=False).check()
    sent = received(reference.files())
    assert len(sent) == len(chosen)

    node.add_remote(destination.address, allow=())
    for patient_id in dict.fromkeys(str(header(one.path).PatientID) for one in chosen):
        keys = {"PatientID": patient_id}
        dcmtk.get(node.address, tmp_path / "got", "PATIENT", keys, model="PATIENT", debug=False).check()
        dcmtk.move(node.address, "DESTINATION", "PATIENT", keys, model="PATIENT", debug=False).check()
    assert received((tmp_path / "got").iterdir()) == sent
    assert received(destination.files()) == sent


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("JPEG2000.dcm", "--propose-j2k-lossy"),
        ("SC_rgb_rle.dcm", "--propose-rle"),
        ("SC_rgb_jpeg_gdcm.dcm", "--propose-lossless"),
        ("SC_rgb_small_odd_jpeg.dcm", "--propose-jpeg8"),
        ("MR_small_jpeg_ls_lossless.dcm", "--propose-jls-lossless"),
        ("image_dfl.dcm", "--propose-deflated"),
        ("ExplVR_BigEnd.dcm", "--propose-big"),
        ("rtplan.dcm", "--propose-implicit"),
    ],
)
def test_storescu_in_each_family_of_transfer_syntaxes(
    other_node: Node, dcmtk: Dcmtk, name: str, option: str
) -> None:
    [sample] = [one for one in samples() if one.path.name == name]
    answer = dcmtk.store(other_node.address, sample.path, options=[option]).check()
    assert answer.status == 0
    kind = (sample.sop_class_uid, sample.transfer_syntax_uid)
    keys = {"SOPInstanceUID": sample.sop_instance_uid}
    fetched = Client(other_node.address).get("IMAGE", keys, [kind], model="COMPOSITE")
    [(transfer_syntax_uid, _)] = fetched.received.values()
    assert transfer_syntax_uid == sample.transfer_syntax_uid
