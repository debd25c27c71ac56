"""Reception: what arrives is checked, durable and entered, or nothing of it is kept."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pydicom
import pytest

from medserver import archive, errors
from medserver.dicom.conditions import SingleValue
from tests.archive.conftest import receive, stored_paths, unfinished
from tests.failures import Failures
from tests.peers.files import Sample, make_small

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


@pytest.fixture
def sample(tmp_path) -> Sample:
    return make_small(tmp_path / "made")[0]


def stored_instances(node, sop_instance_uid=None):
    return list(
        node.index.select([SingleValue("SOPInstanceUID", sop_instance_uid)] if sop_instance_uid else [])
    )


def content(node, instance) -> bytes:
    with archive.open_data_set(node, instance) as file:
        return file.read()


def assert_nothing_kept(node):
    assert stored_paths(node) == []
    assert unfinished(node) == []
    assert node.index.counts().instances == 0
    assert list(archive.check(node)) == []


def test_file_is_readable_by_others(node, sample):
    receive(node, sample)
    [path] = stored_paths(node)
    read = pydicom.dcmread(Path(node.primary_volume.root) / path)
    assert read == pydicom.dcmread(sample.path)
    assert read.file_meta.MediaStorageSOPInstanceUID == sample.sop_instance_uid
    assert read.file_meta.SourceApplicationEntityTitle == "CT1"


def test_leaving_without_commit_keeps_nothing(node, sample):
    with archive.receive(
        node,
        sop_class_uid=sample.sop_class_uid,
        sop_instance_uid=sample.sop_instance_uid,
        transfer_syntax_uid=sample.transfer_syntax_uid,
        calling_ae_title="CT1",
    ) as reception:
        reception.write(sample.data_set()[:5000])
        assert len(unfinished(node)) == 1
    assert_nothing_kept(node)


def test_peer_that_dies_keeps_nothing(node, sample):
    with (
        pytest.raises(ConnectionError),
        archive.receive(
            node,
            sop_class_uid=sample.sop_class_uid,
            sop_instance_uid=sample.sop_instance_uid,
            transfer_syntax_uid=sample.transfer_syntax_uid,
            calling_ae_title="CT1",
        ) as reception,
    ):
        reception.write(sample.data_set()[:5000])
        raise ConnectionError
    assert_nothing_kept(node)


def test_invalid_uids_are_refused_before_anything_is_written(node, sample):
    with Failures() as failures:
        for uid in ("", "../x", "..", "1.2.3\n", "1." + "2" * 64, "abc", "1.2.3 "):
            for name in ("sop_instance_uid", "sop_class_uid"):
                with failures.of(f"{name} {uid!r}"), pytest.raises(errors.InvalidObjectInstance):
                    receive(node, sample, **{name: uid})
    assert_nothing_kept(node)


def test_what_has_a_uid_with_leading_zeros_is_in_an_index_made_anew(node, sample):
    dataset, data_set = pydicom.dcmread(sample.path), sample.data_set()
    for uid in (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, sample.sop_instance_uid):
        data_set = replaced(data_set, uid, f"{uid[:-3]}.00")
    assert receive(node, sample, data_set, sop_instance_uid=f"{sample.sop_instance_uid[:-3]}.00")
    before = stored_instances(node)
    archive.rebuild(node)
    assert stored_instances(node) == before and list(archive.check(node)) == []


def test_unknown_transfer_syntax_is_refused(node, sample):
    with pytest.raises(errors.TransferSyntaxNotSupported):
        receive(node, sample, transfer_syntax_uid="1.2.3.4")
    assert_nothing_kept(node)


def replaced(data_set: bytes, old: str, new: str) -> bytes:
    """Exchange a UID for one of the same encoded length."""
    encoded = old.encode() + b"\0" * (len(old) % 2)
    assert encoded in data_set
    return data_set.replace(encoded, new.encode().ljust(len(encoded), b"\0"))


def test_data_set_of_another_instance_is_refused(node, sample):
    with pytest.raises(errors.DataSetMismatch, match="SOP Instance"):
        receive(node, sample, sop_instance_uid="1.2.3")
    with pytest.raises(errors.DataSetMismatch, match="SOP Class"):
        receive(node, sample, sop_class_uid="1.2.840.10008.5.1.4.1.1.2")
    assert_nothing_kept(node)


def test_instance_without_valid_study_and_series_is_refused(node, sample):
    with Failures() as failures:
        for keyword, name in (("StudyInstanceUID", "Study Instance UID"), ("SeriesInstanceUID", "Series Instance UID")):
            uid = str(pydicom.dcmread(sample.path)[keyword].value)
            for value in ("", "1.2.a", "x/../../y", ".."):
                with failures.of(f"{name} {value!r}"), pytest.raises(errors.DataSetMismatch, match=name):
                    receive(node, sample, replaced(sample.data_set(), uid, value))
    assert_nothing_kept(node)


def test_padding_of_uids_is_not_significant(node, sample):
    for padding in (b" ", b"\0"):
        uid = sample.sop_instance_uid
        longer = replaced(sample.data_set(), uid, uid[:-2])
        assert receive(node, sample, longer.replace(b"\0\0", padding * 2, 1), sop_instance_uid=uid[:-2])


def test_garbage_cannot_be_understood(node, sample):
    with Failures() as failures:
        for data_set in (b"", b"\0", b"garbage" * 1000, b"\xff" * 70_000, b"GET / HTTP/1.1\r\n\r\n"):
            for uid in (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED):
                with failures.of(f"{data_set[:10]} in {uid}"), pytest.raises(errors.CannotUnderstand):
                    receive(node, sample, data_set, transfer_syntax_uid=uid)
    assert_nothing_kept(node)


@pytest.mark.parametrize("announced", [IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_data_set_in_another_transfer_syntax_is_a_mismatch(node, sample, announced):
    with pytest.raises(errors.DataSetMismatch, match="not in"):
        receive(node, sample, transfer_syntax_uid=announced)
    assert_nothing_kept(node)


def test_damage_behind_the_identifying_attributes_does_not_matter(node, sample):
    data_set = sample.data_set()
    cut = data_set[:-5000]
    assert receive(node, sample, cut) == "stored"
    [instance] = stored_instances(node)
    assert content(node, instance) == cut
    assert archive.read_header(node, instance).PatientID == "PHANTOM-2"


def test_identifying_attributes_behind_a_long_private_group(node, sample):
    data_set = sample.data_set()
    place = data_set.index(b"\x10\x00\x10\x00PN")  # Patient's Name, before Study Instance UID
    for size in (200_000, 2_000_000, 20_000_000):
        private = (
            b"\x09\x00\x10\x00LO\x04\x00TEST"
            + b"\x09\x00\x01\x10OB\0\0"
            + size.to_bytes(4, "little")
            + bytes(size)
        )
        uid = f"{sample.sop_instance_uid[:-9]}{size:09}"
        longer = replaced(data_set[:place], sample.sop_instance_uid, uid) + private + data_set[place:]
        assert receive(node, sample, longer, sop_instance_uid=uid) == "stored"
        assert content(node, stored_instances(node, uid)[0]) == longer


def test_deflated_data_set_that_would_inflate_without_end(node, sample):
    def deflated(raw: bytes) -> bytes:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return deflater.compress(raw) + deflater.flush()

    data_set = sample.data_set() + bytes(50_000_000)
    assert receive(node, sample, deflated(data_set), transfer_syntax_uid=DEFLATED) == "stored"


def test_size_limit(open_archive, sample):
    node = open_archive("limits.object_size_max_bytes=4096")
    with pytest.raises(errors.OutOfResources):
        receive(node, sample)
    assert_nothing_kept(node)


def changed_pixels(sample: Sample) -> bytes:
    data_set = bytearray(sample.data_set())
    data_set[-1] ^= 1
    return bytes(data_set)


def test_same_bytes_again_are_success_and_stored_once(node, sample):
    assert receive(node, sample) == "stored"
    before = stored_paths(node)
    assert receive(node, sample, calling_ae_title="CT2") == "same"
    assert stored_paths(node) == before
    assert list(archive.check(node, digests=True)) == []


@pytest.mark.parametrize(
    ("duplicates", "outcome", "first_stays"), [("keep", "kept", True), ("replace", "replaced", False)]
)
def test_other_bytes_under_the_same_uid_are_never_lost(
    open_archive, sample, duplicates, outcome, first_stays
):
    node = open_archive(f"store.duplicates={duplicates}")
    first, second = sample.data_set(), changed_pixels(sample)
    receive(node, sample, first)
    assert receive(node, sample, second) == outcome
    [instance] = stored_instances(node)
    [aside] = node.index.duplicates()
    found = (content(node, instance), content(node, aside))
    assert found == ((first, second) if first_stays else (second, first))
    assert receive(node, sample, second) == receive(node, sample, first) == "same"
    assert len(stored_paths(node)) == 2
    assert list(archive.check(node, digests=True)) == []


def test_other_bytes_under_the_same_uid_are_refused(open_archive, sample):
    node = open_archive("store.duplicates=reject")
    receive(node, sample)
    with pytest.raises(errors.DuplicateInstance):
        receive(node, sample, changed_pixels(sample))
    assert content(node, stored_instances(node)[0]) == sample.data_set()
    assert len(stored_paths(node)) == 1
    assert unfinished(node) == []


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 1000)])
def test_sending_again_heals_a_damaged_instance(node, sample, damage):
    receive(node, sample)
    damage(Path(node.primary_volume.root) / stored_paths(node)[0])
    assert receive(node, sample) == "same"
    assert content(node, stored_instances(node)[0]) == sample.data_set()
    assert node.index.counts().instances == 1
