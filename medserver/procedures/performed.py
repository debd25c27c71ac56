"""Modality Performed Procedure Step: created, changed while in progress, and final afterwards (PS3.4 F.7)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver import trail
from medserver.archive.follow_ups import step_route_job
from medserver.archive.performed_steps import write_step
from medserver.audit import AuditRow, events
from medserver.dicom.json_model import JSON, data_set_from_json
from medserver.dicom.uids import is_valid_uid
from medserver.errors import (
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
from medserver.trail.acting import actor_here
from medserver.trail.subjects import subject_of_step

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

REQUIRED_IN_THE_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence")
"""What must be there, with a value, when it is completed or discontinued (PS3.4 table F.7.2-1, final state)."""

REQUIRED_OF_A_SERIES = ("SeriesInstanceUID", "ProtocolName")
"""What each item of the Performed Series Sequence must have then; images it may have none (note 2 of that table)."""

FIXED = frozenset({
    "ScheduledStepAttributesSequence", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate",
    "PatientSex", "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName", "PerformedLocation",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "Modality", "StudyID",
    "SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet",
})  # fmt: skip
"""What is not changed once it was said (PS3.4 table F.7.2-1)."""

PERFORMED_SERIES_SEQUENCE = "00400340"

FIXED_TAGS = {f"{tag_for_keyword(keyword):08X}": keyword for keyword in FIXED}
"""As DICOM JSON names them (PS3.18 F.2.2)."""


def create(node: Node, sop_instance_uid: str, attribute_list: JSON, calling_ae_title: str) -> None:
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
    if _value(attribute_list, "PerformedProcedureStepStatus") != IN_PROGRESS:
        raise InvalidAttributeValue(f"a step begins with the status {IN_PROGRESS}")
    studies = _uids(attribute_list, "ScheduledStepAttributesSequence", "StudyInstanceUID")
    if not all(map(is_valid_uid, studies)):
        raise MissingAttributeValue("StudyInstanceUID of ScheduledStepAttributesSequence")
    if not node.index.performed_steps.add(
        sop_instance_uid, IN_PROGRESS, _text(attribute_list), calling_ae_title, studies,
        _told(node, sop_instance_uid, "C", attribute_list),
    ):  # fmt: skip
        raise DuplicateInstance("there is a performed procedure step of this UID")
    _write(node, sop_instance_uid)


def modify(node: Node, sop_instance_uid: str, modification_list: JSON) -> list[str]:
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
    if not modification_list:
        raise MissingAttribute("there is no Modification List")

    def change(step: PerformedStep) -> Change:
        if step.state != IN_PROGRESS:
            raise NoLongerUpdatable("Performed Procedure Step Object may no longer be updated")  # PS3.4 F.7.2.2.4
        ignored.clear()
        content = json.loads(step.content)
        for tag, element in modification_list.items():
            if tag not in FIXED_TAGS:
                content[tag] = element
            elif content.get(tag) != element:
                ignored.append(FIXED_TAGS[tag])
        state = _value(content, "PerformedProcedureStepStatus")
        if state not in (IN_PROGRESS, *FINAL):
            raise InvalidAttributeValue("PerformedProcedureStepStatus")
        if state in FINAL:
            _require(content, REQUIRED_IN_THE_END)
            for series in _items(content, "PerformedSeriesSequence"):
                _require(series, REQUIRED_OF_A_SERIES, " of PerformedSeriesSequence")
        follow_ups = [step_route_job(sop_instance_uid)] if state in FINAL else []
        follow_ups += _told(node, sop_instance_uid, "U", content)
        series = _uids(content, "PerformedSeriesSequence", "SeriesInstanceUID")
        return Change(state, _text(content), follow_ups, list(filter(is_valid_uid, series)))

    if not node.index.performed_steps.change(sop_instance_uid, change):
        raise NoSuchInstance("there is no performed procedure step of this UID")
    _write(node, sop_instance_uid)
    return [keyword for keyword in ignored if keyword != "SpecificCharacterSet"]


def _told(node: Node, sop_instance_uid: str, action: str, content: JSON) -> list[AuditRow]:
    """Return what the audit trail tells of a step that is created or changed."""
    patient, studies = subject_of_step(sop_instance_uid, content)
    return trail.rows(node, [events.procedure_record(actor_here(node), action, patient, studies)])


def retrieve(node: Node, sop_instance_uid: str, tags: Iterable[int] = ()) -> JSON:
    """Return the attributes of a step, or some of them (N-GET, PS3.4 F.8.2.1).

    Raises
    ------
    NoSuchInstance
        There is none of this UID.
    """
    step = node.index.performed_steps.get(sop_instance_uid)
    if step is None:
        raise NoSuchInstance("there is no performed procedure step of this UID")
    content, wanted = attributes_of(step), {f"{tag:08X}" for tag in tags}
    return {tag: element for tag, element in content.items() if tag in wanted} if wanted else content


def attributes_of(step: PerformedStep) -> dict[str, Any]:
    """Return the attributes of a step."""
    return json.loads(step.content)


def decoded(step: PerformedStep) -> Dataset:
    """Return the attributes of a step but for its series, which may name very many instances."""
    content = attributes_of(step)
    content.pop(PERFORMED_SERIES_SEQUENCE, None)
    return data_set_from_json(content)


def named_instances(step: PerformedStep) -> Iterator[str]:
    """Yield the SOP Instance UIDs of what a step says that it has made."""
    for series in _items(attributes_of(step), "PerformedSeriesSequence"):
        for sequence in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
            yield from _uids(series, sequence, "ReferencedSOPInstanceUID")


def _write(node: Node, sop_instance_uid: str) -> None:
    """Write a step to the volumes as it is in the index, for one that is made anew."""
    step = node.index.performed_steps.get(sop_instance_uid)
    assert step is not None  # they are never deleted
    write_step(node, step)


def _text(content: JSON) -> str:
    return json.dumps(content, separators=(",", ":"))


def _element(content: JSON, keyword: str) -> JSON | None:
    return content.get(f"{tag_for_keyword(keyword):08X}")


def _value(content: JSON, keyword: str) -> str:
    """Return the first value of an attribute, empty if there is none."""
    element = _element(content, keyword) or {}
    return str((element.get("Value") or [""])[0] or "")


def _uids(content: JSON, sequence: str, keyword: str) -> list[str]:
    """Return a UID of each item of a sequence, empty where an item has none."""
    return [_value(item, keyword) for item in _items(content, sequence)]


def _items(content: JSON, sequence: str) -> Sequence[JSON]:
    """Return the items of a sequence; none if a peer has sent it as something else."""
    element = _element(content, sequence) or {}
    return element.get("Value") or () if element.get("vr") == "SQ" else ()


def _require(content: JSON, keywords: Iterable[str], place: str = "") -> None:
    for keyword in keywords:
        element = _element(content, keyword)
        if element is None:
            raise MissingAttribute(keyword + place)
        values = _items(content, keyword) if keyword.endswith("Sequence") else element.get("Value") or ()
        if not any(values):
            raise MissingAttributeValue(keyword + place)
