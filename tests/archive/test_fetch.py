"""Reading what is stored, and noticing when it is not what was stored."""

from __future__ import annotations

import dataclasses
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medserver import archive, errors
from medserver.archive import fetch
from medserver.store import DirectoryVolume
from tests.archive.conftest import receive, stored_paths
from tests.peers.files import Sample, make_small


@pytest.fixture
def sample(tmp_path) -> Sample:
    return make_small(tmp_path / "made")[0]


@pytest.fixture
def instance(node, sample):
    receive(node, sample)
    return next(iter(node.index.select([])))


def file_of(node) -> Path:
    return Path(node.primary_volume.root) / stored_paths(node)[0]


def test_data_set_is_read_from_its_first_byte_to_its_last(node, sample, instance):
    buffer = bytearray(instance.size_bytes + 1)
    with archive.open_data_set(node, instance) as file:
        assert file.readinto(buffer) == instance.size_bytes
        assert file.readinto(buffer) == 0
    assert bytes(buffer[:-1]) == sample.data_set()


@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "meta", "empty"])
def test_damage_is_noticed_before_a_byte_is_given(node, instance, damage):
    path = file_of(node)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = {"cut": whole[:-1], "longer": whole + b"\0", "meta": b"\1" + whole[1:], "empty": b""}
        path.write_bytes(changed[damage])
    for read in (archive.open_data_set, archive.read_header):
        with pytest.raises(errors.DamagedObject):
            read(node, instance)


def test_volume_that_is_not_configured_any_more(node, instance):
    gone = dataclasses.replace(node, volumes={"other": node.primary_volume})
    with pytest.raises(errors.StoreFailure):
        archive.open_data_set(gone, instance)


def test_parts_are_read_of_what_was_stored(node, sample, instance, monkeypatch):
    with archive.open_parts(node, instance) as file:
        assert file.read(10) == sample.data_set()[:10]
    monkeypatch.setattr(fetch, "READ_AT_ONCE_MAX_BYTES", 0)
    with archive.open_parts(node, instance) as file:
        file.seek(instance.size_bytes - 10, os.SEEK_CUR)
        assert file.read(20) == sample.data_set()[-10:]


@pytest.mark.parametrize(
    ("at_once", "compared_first", "age", "is_noticed"),
    [
        (2**20, 2**26, timedelta(), True),  # small: read into memory and compared
        (0, 2**26, timedelta(), True),  # compared as a whole before
        (0, 0, fetch.VERIFIED_FOR, True),  # not verified for long
        (0, 0, timedelta(), False),  # large, and written just now: only its length is looked at
    ],
)
def test_damage_is_noticed_before_parts_are_given(
    node, instance, monkeypatch, at_once, compared_first, age, is_noticed
):
    monkeypatch.setattr(fetch, "READ_AT_ONCE_MAX_BYTES", at_once)
    monkeypatch.setattr(fetch, "COMPARED_FIRST_MAX_BYTES", compared_first)
    later = dataclasses.replace(node, clock=lambda: datetime.now(UTC) + age)
    path = file_of(node)
    whole = bytearray(path.read_bytes())
    whole[-10] ^= 1
    path.write_bytes(whole)
    if is_noticed:
        with pytest.raises(errors.DamagedObject):
            archive.open_parts(later, instance)
    else:
        archive.open_parts(later, instance).close()
    path.write_bytes(whole[:-1])
    with pytest.raises(errors.DamagedObject):
        archive.open_parts(later, instance)


def encoded(dataset: Dataset, uid: str) -> bytes:
    buffer = io.BytesIO()
    implicit = uid == ImplicitVRLittleEndian
    pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=True)
    return buffer.getvalue()


def image(**attributes) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.PatientID = "1.2.4", "1.2.5", "1"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def received(node, data_set: bytes, uid: str):
    with archive.receive(
        node,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=uid,
        calling_ae_title="SC",
    ) as reception:
        reception.write(data_set)
        reception.commit()
    return next(iter(node.index.select([])))


@pytest.mark.parametrize("uid", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(("size", "found"), [(100_000, True), (3_000_000, True), (5_000_000, False)])
def test_header_is_read_as_far_as_needed_and_no_further(node, uid, size, found):
    dataset = image(ImageComments="behind", EncapsulatedDocument=bytes(size), Rows=512)
    dataset.add_new(0x5FFF0010, "LO", "PRIVATE")
    header = archive.read_header(node, received(node, encoded(dataset, uid), uid))
    assert (header.PatientID, header.ImageComments, header.Rows) == ("1", "behind", 512)
    assert ("EncapsulatedDocument" in header) is found


def test_read_stops_at_pixel_data(node, tmp_path):
    dataset = image(Rows=1)
    dataset.add_new(0x7FE00010, "OW", bytes(50_000_000))
    instance = received(node, encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)

    class Counting(io.FileIO):
        taken = 0

        def read(self, size=-1):
            block = super().read(size)
            Counting.taken += len(block)
            return block

    class CountingVolume(DirectoryVolume):
        def open(self, path):
            with super().open(path) as file:
                return Counting(os.dup(file.fileno()))

    counting = dataclasses.replace(node, volumes={"main": CountingVolume("main", node.primary_volume.root)})
    header = archive.read_header(counting, instance)
    assert header.Rows == 1
    assert Counting.taken <= 66_000


def nested(depth: int) -> bytes:
    """Return a sequence of undefined length that holds itself so many times."""
    start = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return start * depth + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth


@pytest.mark.parametrize(("depth", "found"), [(3, True), (60, True), (70, False), (50_000, False)])
def test_nesting_is_limited(node, depth, found):
    data_set = encoded(image(Rows=1), ExplicitVRLittleEndian) + nested(depth)
    header = archive.read_header(node, received(node, data_set, ExplicitVRLittleEndian))
    assert header.Rows == 1
    assert ("RequestAttributesSequence" in header) is found


def test_damage_in_the_header_ends_it(node):
    data_set = encoded(image(Rows=1), ExplicitVRLittleEndian) + b"\x28\x00\x11\x00US\xff\xff"
    header = archive.read_header(node, received(node, data_set, ExplicitVRLittleEndian))
    assert header.Rows == 1
    assert "Columns" not in header


def test_sequences_and_character_sets_are_decoded(node):
    item = Dataset()
    item.ScheduledProcedureStepID = "Größe"
    dataset = image(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    dataset.RequestAttributesSequence = Sequence([item])
    header = archive.read_header(
        node, received(node, encoded(dataset, ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    )
    assert header.PatientName == "Müller^Jörg"
    assert header.RequestAttributesSequence[0].ScheduledProcedureStepID == "Größe"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert (
        pydicom.dcmread(io.BytesIO(encoded(header, ImplicitVRLittleEndian)), force=True).PatientName
        == "Müller^Jörg"
    )
