"""Modality Performed Procedure Step: created, changed while in progress, and final afterwards (PS3.4 F.7)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pydicom.dataset import Dataset

from medserver.archive.follow_ups import step_route_job
from medserver.archive.performed_steps import write_step
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import is_valid_uid
from medserver.errors import (
    CannotUnderstand,
    DuplicateInstance,
    InvalidAttributeValue,
    InvalidObjectInstance,
    MissingAttribute,
    MissingAttributeValue,
    NoLongerUpdatable,
    NoSuchInstance,
)
from medserver.index import Change, PerformedStep
from medserver.node import Node

IN_PROGRESS, COMPLETED, DISCONTINUED = "IN PROGRESS", "COMPLETED", "DISCONTINUED"
FINAL = (COMPLETED, DISCONTINUED)

REQUIRED = (
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
"""What must be there, with a value, when a step is created: type 1 in PS3.4 table F.7.2-1."""

REQUIRED_IN_THE_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
"""What must be there, with a value, when it is completed or discontinued (PS3.4 table F.7.2-1, final state)."""

FIXED = frozenset({
    "ScheduledStepAttributesSequence", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex", "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName", "PerformedLocation",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "Modality", "StudyID",
    "SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet",
})  # fmt: skip
"""What is not changed once it was said (PS3.4 table F.7.2-1)."""


def create(node: Node, sop_instance_uid: str, attribute_list: Dataset, calling_ae_title: str) -> None:
    """Create a step (N-CREATE, PS3.4 F.7.2.1).

    Raises
    ------
    InvalidObjectInstance
        The SOP Instance UID is not a UID.
    MissingAttribute, MissingAttributeValue, InvalidAttributeValue
        An attribute is not there or empty that must have a value, or the step is not in progress.
    DuplicateInstance
        There is a step of this UID.
    StoreFailure
        It cannot be written to any volume.
    """
    if not is_valid_uid(sop_instance_uid):
        raise InvalidObjectInstance("the SOP Instance UID is not a valid UID")
    _require(attribute_list, REQUIRED)
    if attribute_list.PerformedProcedureStepStatus != IN_PROGRESS:
        raise InvalidAttributeValue(f"a step begins with the status {IN_PROGRESS}")
    items = attribute_list.ScheduledStepAttributesSequence
    studies = [str(item.get("StudyInstanceUID") or "") for item in items]
    if not all(map(is_valid_uid, studies)):
        raise MissingAttributeValue("StudyInstanceUID of ScheduledStepAttributesSequence")
    if not node.index.performed_steps.add(
        sop_instance_uid, IN_PROGRESS, _encoded(attribute_list), calling_ae_title, studies
    ):
        raise DuplicateInstance("there is a performed procedure step of this UID")
    _write(node, sop_instance_uid)


def modify(node: Node, sop_instance_uid: str, modification_list: Dataset) -> list[str]:
    """Change a step that is in progress (N-SET, PS3.4 F.7.2.2).

    Returns
    -------
    list of str
        The keywords of attributes that were not changed, since they are fixed.

    Raises
    ------
    NoSuchInstance
        There is none of this UID.
    NoLongerUpdatable
        It is completed or discontinued.
    InvalidAttributeValue, MissingAttribute, MissingAttributeValue
        It cannot have such a status, or not without something that is missing.
    StoreFailure
        It cannot be written to any volume.
    """
    ignored: list[str] = []

    def change(step: PerformedStep) -> Change:
        if step.state != IN_PROGRESS:
            raise NoLongerUpdatable(f"the performed procedure step is {step.state}")
        ignored.clear()
        content = decoded(step)
        for element in modification_list:
            if element.keyword in FIXED:
                if content.get(element.keyword) != element.value:
                    ignored.append(element.keyword)
            else:
                content[element.tag] = element
        state = str(content.get("PerformedProcedureStepStatus") or "")
        if state not in (IN_PROGRESS, *FINAL):
            raise InvalidAttributeValue("PerformedProcedureStepStatus")
        if state in FINAL:
            _require(content, REQUIRED_IN_THE_END)
        follow_ups = (step_route_job(sop_instance_uid),) if state in FINAL else ()
        return Change(state, _encoded(content), follow_ups, _series(content))

    if not node.index.performed_steps.change(sop_instance_uid, change):
        raise NoSuchInstance("there is no performed procedure step of this UID")
    _write(node, sop_instance_uid)
    return [keyword for keyword in ignored if keyword != "SpecificCharacterSet"]


def retrieve(node: Node, sop_instance_uid: str, tags: Iterable[int] = ()) -> Dataset:
    """Return the attributes of a step, or some of them (N-GET, PS3.4 F.8.2.1).

    Raises
    ------
    NoSuchInstance
        There is none of this UID.
    """
    step = node.index.performed_steps.get(sop_instance_uid)
    if step is None:
        raise NoSuchInstance("there is no performed procedure step of this UID")
    content, wanted = decoded(step), set(tags)
    if not wanted:
        return content
    found = Dataset()
    for tag in wanted:
        if tag in content:
            found.add(content[tag])
    return found


def decoded(step: PerformedStep) -> Dataset:
    """Return the attributes of a step."""
    return Dataset.from_json(step.content)


def _write(node: Node, sop_instance_uid: str) -> None:
    """Write a step to the volumes as it is in the index, for one that is made anew."""
    step = node.index.performed_steps.get(sop_instance_uid)
    assert step is not None  # they are never deleted
    write_step(node, step)


def _series(content: Dataset) -> list[str]:
    """Return the series that a step names."""
    named = (str(item.get("SeriesInstanceUID") or "") for item in content.get("PerformedSeriesSequence") or ())
    return [uid for uid in named if is_valid_uid(uid)]


def _encoded(dataset: Dataset) -> str:
    try:
        return json.dumps(dataset.to_json_dict(), separators=(",", ":"))
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand("the attributes cannot be read") from error


def _require(dataset: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if keyword not in dataset:
            raise MissingAttribute(keyword)
        if dataset[keyword].is_empty:
            raise MissingAttributeValue(keyword)
