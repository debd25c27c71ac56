"""Files of a C-GET: what a peer may name them, and what stays when it stops."""

from __future__ import annotations

import os

import pydicom
import pytest

from medserver.dicom import status
from medserver.dicom.uids import transfer_syntax
from medserver.errors import AssociationAborted
from medserver.scu.acceptance import SYNTAXES, SYNTAXES_PER_CONTEXT_MAX, divided, storage_groups
from medserver.scu.received import ReceivedFiles
from medserver.wire.association import AcceptedContext
from medserver.wire.message import Message
from medserver.wire.requestor import CONTEXTS_MAX

CONTEXT = AcceptedContext(1, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", False, True)
DATA_SET = b"\x10\x00\x20\x00LO\x02\x00P1" * 1000


def _message(uid: str, fragments: list[bytes], sop_class_uid: str = CONTEXT.abstract_syntax) -> Message:
    pending = iter([memoryview(one) for one in fragments])

    def read_fragment():
        return next(pending, None)

    command_set = {
        "AffectedSOPInstanceUID": uid,
        "AffectedSOPClassUID": sop_class_uid,
        "CommandDataSetType": 1,
    }
    return Message(1, command_set, read_fragment)


def test_instance_becomes_a_file(tmp_path):
    sizes = []
    files = ReceivedFiles(tmp_path, "SENDER", 10**6, sizes.append)
    assert files.receive(CONTEXT, _message("1.2.3", [DATA_SET[:5000], DATA_SET[5000:]])) == status.SUCCESS
    (path,) = tmp_path.iterdir()
    assert path.name == "1.2.3.dcm"
    assert path.read_bytes().endswith(DATA_SET)
    assert pydicom.dcmread(path).file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert sizes == [len(DATA_SET)] and files.sop_instance_uids == {"1.2.3"}


@pytest.mark.parametrize(
    "uid", ["../evil", "/tmp/evil", "", ".", "..", "1.2\0.3", "1" * 65, "1.2.3\n", "1/2"]
)
def test_names_that_peers_may_not_choose(tmp_path, uid):
    directory = tmp_path / "got"
    directory.mkdir()
    files = ReceivedFiles(directory, "SENDER", 10**6)
    assert files.receive(CONTEXT, _message(uid, [DATA_SET])) == status.INVALID_OBJECT_INSTANCE
    assert [path.name for path in tmp_path.rglob("*")] == ["got"]


def test_what_cannot_be_written_is_told_with_the_reason(tmp_path):
    files = ReceivedFiles(tmp_path / "gone", "SENDER", 10**6)
    with pytest.raises(FileNotFoundError):
        files.receive(CONTEXT, _message("1.2.3", [DATA_SET]))
    assert files.problems == {"1.2.3": "No such file or directory"}


def test_other_class_too_long_and_broken_off_leave_nothing(tmp_path):
    files = ReceivedFiles(tmp_path, "SENDER", 100)
    assert files.receive(CONTEXT, _message("1.2.3", [DATA_SET], "1.2")) == status.DATA_SET_MISMATCH
    assert files.receive(CONTEXT, _message("1.2.3", [DATA_SET])) == status.OUT_OF_RESOURCES

    def breaks_off():
        raise AssociationAborted("the peer is gone")

    command_set = _message("1.2.3", []).command_set
    with pytest.raises(AssociationAborted):
        files.receive(CONTEXT, Message(1, command_set, breaks_off))
    assert os.listdir(tmp_path) == [] and files.sop_instance_uids == set()


def test_instance_that_comes_again_replaces_its_file(tmp_path):
    files = ReceivedFiles(tmp_path, "SENDER", 10**6)
    for data_set in (DATA_SET, DATA_SET[:12]):
        assert files.receive(CONTEXT, _message("1.2.3", [data_set])) == status.SUCCESS
    (path,) = tmp_path.iterdir()
    assert pydicom.dcmread(path).PatientID == "P1" and path.read_bytes().count(b"P1") == 1


@pytest.mark.parametrize(
    "classes", [None, ["1.2"], [f"1.2.{number}" for number in range(1, 40)], ["1.2", "1.3"] * 50]
)
def test_contexts_fit_into_associations(classes):
    groups = storage_groups(classes)
    for group in groups:
        assert len(group) < CONTEXTS_MAX
        assert all(
            proposal.as_scp and 0 < len(proposal.transfer_syntaxes) <= SYNTAXES_PER_CONTEXT_MAX
            for proposal in group
        )
    proposed = {proposal.abstract_syntax for group in groups for proposal in group}
    assert proposed >= set(classes or ["1.2.840.10008.5.1.4.1.1.2"])


def test_no_transfer_syntax_is_in_two_contexts():
    for count in range(1, len(SYNTAXES) + 1):
        contexts = divided(count)
        together = [syntax for syntaxes in contexts for syntax in syntaxes]
        assert len(contexts) == count and len(set(together)) == len(together), count
        for syntaxes in contexts[int(count == 1) :]:
            assert len({transfer_syntax(uid).native for uid in syntaxes}) == 1, count
