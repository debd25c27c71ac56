"""Others are told what can be retrieved here: Instance Availability Notification (PS3.4 R), the job ``notify``.

A batch for one AE becomes one notification for each study in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medserver.delivery.entries import Entry, select, without_destination
from medserver.destinations import destination_of, exchanged, session_with
from medserver.dicom import status, uids
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome
from medserver.node import Node
from medserver.scu.normalized import create_instance, proposal
from medserver.wire.association import Association

SOP_CLASS_UID = uids.INSTANCE_AVAILABILITY_NOTIFICATION


def notify(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Tell the AE `batch.destination` of a batch of instances."""
    remote = destination_of(node, batch)
    if remote is None:
        yield from without_destination(node.config.current, batch)
        return
    entries, others = select(node, batch)
    yield from others
    if not entries:
        return
    with session_with(node, remote, [proposal(SOP_CLASS_UID)]) as session:
        for study, of_study in _by_study(entries).items():
            tell = partial(_tell, notification(node, study, of_study))
            yield from exchanged(node, session, [entry.job for entry in of_study], tell)


def _tell(dataset: Dataset, association: Association) -> str:
    """Send a notification; return why it was refused, empty if it was not."""
    response = create_instance(association, SOP_CLASS_UID, uids.new_uid(), dataset)
    return "" if status.is_performed(response.code) else status.describe(response.code, response.comment)


def notification(node: Node, study_instance_uid: str, entries: Iterable[Entry]) -> Dataset:
    """Return what is said of instances of a study: they are online at this node (PS3.4 table R.3.2-1).

    Nothing else may be said, such as who the patient is.
    """
    series: dict[str, list[Dataset]] = {}
    for entry in entries:
        item = Dataset()
        item.ReferencedSOPClassUID = entry.instance.sop_class_uid
        item.ReferencedSOPInstanceUID = entry.instance.sop_instance_uid
        item.InstanceAvailability = "ONLINE"
        item.RetrieveAETitle = node.config.current.node.ae_title
        series.setdefault(entry.delivery.series_instance_uid, []).append(item)
    dataset = Dataset()
    dataset.ReferencedPerformedProcedureStepSequence = Sequence(_steps(node, study_instance_uid))
    dataset.StudyInstanceUID = study_instance_uid
    dataset.ReferencedSeriesSequence = Sequence(_series(uid, items) for uid, items in series.items())
    return dataset


def _series(series_instance_uid: str, items: list[Dataset]) -> Dataset:
    dataset = Dataset()
    dataset.SeriesInstanceUID = series_instance_uid
    dataset.ReferencedSOPSequence = Sequence(items)
    return dataset


def _steps(node: Node, study_instance_uid: str) -> Iterator[Dataset]:
    """Yield the performed procedure steps that are known here of a study."""
    for step in node.index.performed_steps.of_study(study_instance_uid):
        item = Dataset()
        item.ReferencedSOPClassUID = uids.MODALITY_PERFORMED_PROCEDURE_STEP
        item.ReferencedSOPInstanceUID = step.sop_instance_uid
        item.PerformedWorkitemCodeSequence = Sequence()
        yield item


def _by_study(entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    studies: dict[str, list[Entry]] = {}
    for entry in entries:
        studies.setdefault(entry.instance.study_instance_uid, []).append(entry)
    return studies
