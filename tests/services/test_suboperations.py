"""The counts of sub-operations, at sizes that no test would transfer."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from medserver.dicom import status
from medserver.services.request import Audited
from medserver.services.suboperations import COUNT_MAX, FAILED_UIDS_MAX, BackgroundOperation, Suboperations, perform
from medserver.errors import AssociationAborted, DamagedObject
from medserver.log import Event
from medserver.scu.counts import Counts
from medserver.scu.exchange import decode_data_set
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

CT = "1.2.840.10008.5.1.4.1.1.2"
SENT = status.SUCCESS, ""
CONTEXT = SimpleNamespace(transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)


def request(cancelled_after: int = -1):
    """Return what `perform` needs of a request: whether it was cancelled, its context, and the counts."""

    class Asked:
        context = CONTEXT
        counts = Counts()
        audited = Audited()
        looks = 0

        @property
        def cancelled(self):
            self.looks += 1
            return self.looks - 1 == cancelled_after

    return Asked()


def instances(count: int):
    return (SimpleNamespace(sop_class_uid=CT, sop_instance_uid=f"1.2.{number}") for number in range(1, count + 1))


class Selected:
    """What is to be retrieved, and what of it was looked at."""

    def __init__(self, count: int, taken: list):
        self.count = count
        self.contexts = [(CT, EXPLICIT_VR_LITTLE_ENDIAN, count)]
        self._taken = taken

    def __iter__(self):
        return (self._taken.append(one) or one for one in instances(self.count))


def test_more_instances_than_can_be_counted():
    count = 70_000
    delivered = []
    responses = list(perform(request(), count, instances(count), lambda one: delivered.append(one) or SENT))
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
    *_, last = perform(request(), len(codes), instances(len(codes)), lambda one: (next(outcomes), ""))
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
    *_, last = perform(request(cancelled_after=3), 10, instances(10), lambda one: delivered.append(one) or SENT)
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
    asked = Selected(count, taken)
    [last] = BackgroundOperation(request(), asked, lambda operation: "nobody listens", lambda: None).responses()
    assert (last.code, last.comment) == (status.CANNOT_PERFORM_SUBOPERATIONS, "nobody listens")
    assert last.elements == {
        "NumberOfCompletedSuboperations": 0,
        "NumberOfFailedSuboperations": min(count, COUNT_MAX),
        "NumberOfWarningSuboperations": 0,
    }
    assert len(taken) <= FAILED_UIDS_MAX
    listed = decode_data_set(last.identifier, EXPLICIT_VR_LITTLE_ENDIAN)["FailedSOPInstanceUIDList"]
    assert listed.VM == min(count, FAILED_UIDS_MAX)


def test_what_is_left_when_the_destination_is_given_up_fails_without_being_tried(caplog):
    tried = []

    def perform_all(operation: BackgroundOperation) -> str:
        for instance in operation.wanted(instances(5)):
            tried.append(instance)
            operation.record(instance, 0xA700 if len(tried) == 2 else 0, "full")
            if len(tried) == 2:
                break
        return "it failed too often"

    asked = Selected(5, [])
    *_, last = BackgroundOperation(request(), asked, perform_all, lambda: None).responses()
    assert (last.code, last.comment) == (status.SUBOPERATIONS_WARNING, "it failed too often")
    assert last.elements["NumberOfCompletedSuboperations"] == 1
    listed = decode_data_set(last.identifier, EXPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
    assert listed == ["1.2.2", "1.2.3", "1.2.4", "1.2.5"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "not sent sop_instance_uid=1.2.2 status=A700 reason=full"
    ]


@pytest.mark.parametrize(
    "error", [DamagedObject("main:1.dcm is damaged"), OSError(errno.EMFILE, "too many open files", "/tmp")]
)
def test_an_error_of_ours_is_a_sub_operation_that_failed(error, caplog):
    def deliver(one):
        if one.sop_instance_uid == "1.2.2":
            raise error
        return (0xA700, "full") if one.sop_instance_uid == "1.2.3" else SENT

    asked = request()
    with caplog.at_level("INFO"):
        *_, last = perform(asked, 4, instances(4), deliver)
        asked.counts.log()
    assert last.code == status.SUBOPERATIONS_WARNING
    assert last.elements["NumberOfCompletedSuboperations"] == last.elements["NumberOfFailedSuboperations"] == 2
    ours, theirs, counts = caplog.messages
    assert ours == str(Event("not sent", sop_instance_uid="1.2.2", status="0110", reason=str(error)))
    assert theirs == "not sent sop_instance_uid=1.2.3 status=A700 reason=full"
    assert counts == 'counts sop_class="CT Image Storage" sent=2 failed=2'


def test_a_status_that_no_c_store_has_is_a_failure(caplog):
    asked = request()
    *_, last = perform(asked, 1, instances(1), lambda one: (status.PENDING, ""))
    asked.counts.log()
    assert last.code == status.CANNOT_PERFORM_SUBOPERATIONS
    assert caplog.messages == ["not sent sop_instance_uid=1.2.1 status=FF00"]


def test_an_association_that_ends_is_no_sub_operation():
    def deliver(one):
        raise AssociationAborted("gone")

    with pytest.raises(AssociationAborted):
        list(perform(request(), 2, instances(2), deliver))


def test_the_log_names_as_many_as_the_response(caplog):
    *_, last = perform(request(), FAILED_UIDS_MAX + 500, instances(FAILED_UIDS_MAX + 500), lambda one: (0xA700, ""))
    assert caplog.messages[0] == "not sent sop_instance_uid=1.2.1 status=A700"
    assert last.elements["NumberOfFailedSuboperations"] == len(caplog.messages) + 500 == FAILED_UIDS_MAX + 500
