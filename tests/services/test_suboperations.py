"""The counts of sub-operations, at sizes that no test would transfer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medserver.dicom import status
from medserver.services.suboperations import COUNT_MAX, FAILED_UIDS_MAX, Suboperations, perform, refuse
from medserver.scu.exchange import decode_data_set
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

CONTEXT = SimpleNamespace(transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)


def request(cancelled_after: int = -1):
    """Return what `perform` needs of a request: whether it was cancelled, and its context."""

    class Asked:
        context = CONTEXT
        looks = 0

        @property
        def cancelled(self):
            self.looks += 1
            return self.looks - 1 == cancelled_after

    return Asked()


def instances(count: int):
    return (SimpleNamespace(sop_instance_uid=f"1.2.{number}") for number in range(1, count + 1))


def test_more_instances_than_can_be_counted():
    count = 70_000
    delivered = []
    responses = list(perform(request(), count, instances(count), lambda one: delivered.append(one) or status.SUCCESS))
    assert len(delivered) == count
    assert responses[0].elements["NumberOfRemainingSuboperations"] == COUNT_MAX
    last = responses[-1]
    assert last.code == status.SUCCESS
    assert last.elements == {
        "NumberOfCompletedSuboperations": COUNT_MAX,
        "NumberOfFailedSuboperations": 0,
        "NumberOfWarningSuboperations": 0,
    }


@pytest.mark.parametrize(
    ("codes", "code", "failed"),
    [
        ([], status.SUCCESS, 0),
        ([0x0000, 0x0000], status.SUCCESS, 0),
        ([0x0000, 0xA700], status.SUBOPERATIONS_WARNING, 1),
        ([0xB000, 0x0000], status.SUBOPERATIONS_WARNING, 0),
        ([0xB000, 0xC000], status.SUBOPERATIONS_WARNING, 1),
        ([0xA700, 0x0110], status.CANNOT_PERFORM_SUBOPERATIONS, 2),
    ],
)
def test_the_last_status_tells_what_became_of_all(codes, code, failed):
    outcomes = iter(codes)
    *_, last = perform(request(), len(codes), instances(len(codes)), lambda one: next(outcomes))
    assert last.code == code
    assert last.elements["NumberOfFailedSuboperations"] == failed
    assert sum(last.elements.values()) == len(codes)
    if failed:
        identifier = decode_data_set(last.identifier, EXPLICIT_VR_LITTLE_ENDIAN)
        listed = identifier["FailedSOPInstanceUIDList"]
        assert listed.VM == failed
    else:
        assert last.identifier is None


def test_a_cancel_leaves_the_rest_and_says_how_many():
    delivered = []
    *_, last = perform(request(cancelled_after=3), 10, instances(10), lambda one: delivered.append(one) or 0)
    assert last.code == status.CANCEL
    assert len(delivered) == 3
    assert last.elements["NumberOfRemainingSuboperations"] == 7
    assert last.elements["NumberOfCompletedSuboperations"] == 3


def test_the_list_of_failed_instances_fits_into_its_element():
    suboperations = Suboperations(FAILED_UIDS_MAX + 500)
    for number in range(FAILED_UIDS_MAX + 500):
        suboperations.record(f"1.2.1{number:059}", 0xA700)
    last = suboperations.finished(request())
    listed = decode_data_set(last.identifier, EXPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
    assert len(listed) == FAILED_UIDS_MAX


@pytest.mark.parametrize("count", [2, FAILED_UIDS_MAX + 500, 70_000])
def test_all_fail_without_being_tried(count):
    taken = []
    asked = (taken.append(one) or one for one in instances(count))
    last = refuse(request(), count, asked, "nobody listens")
    assert (last.code, last.comment) == (status.CANNOT_PERFORM_SUBOPERATIONS, "nobody listens")
    assert last.elements == {
        "NumberOfCompletedSuboperations": 0,
        "NumberOfFailedSuboperations": min(count, COUNT_MAX),
        "NumberOfWarningSuboperations": 0,
    }
    assert len(taken) <= FAILED_UIDS_MAX
    listed = decode_data_set(last.identifier, EXPLICIT_VR_LITTLE_ENDIAN)["FailedSOPInstanceUIDList"]
    assert listed.VM == min(count, FAILED_UIDS_MAX)
