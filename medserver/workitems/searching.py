"""Work items are searched: by columns where there are some, else by a look into each (PS3.4 CC.2.8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medserver.dicom.conditions import AnyOf, Condition, SequenceMatch, SingleValue, UIDList
from medserver.dicom.matching import matches_item
from medserver.index import Workitem
from medserver.node import Node
from medserver.workitems.content import content_of, items, key_of, tag_of, value
from medserver.workitems.outcomes import IN_PROGRESS, SCHEDULED
from medserver.workitems.retrieving import attributes_of

if TYPE_CHECKING:
    from medserver.dicom.json_model import JSON

_COLUMNS = {
    "SOPInstanceUID": "sop_instance_uid",
    "ProcedureStepState": "state",
    "ScheduledProcedureStepPriority": "priority",
    "ProcedureStepLabel": "label",
    "WorklistLabel": "worklist_label",
    "PatientID": "patient_id",
}
_COLUMNS_OF_TYPE = {"CodeValue": "type_code", "CodingSchemeDesignator": "type_scheme"}


def search(node: Node, conditions: Sequence[Condition] = ()) -> Iterator[Workitem | None]:
    """Yield the items that fulfil all conditions, the oldest first, and None for each that was looked at in vain.

    It goes in pages: an item that changes meanwhile is found as it was or as it is.

    Parameters
    ----------
    conditions : sequence of Condition
        As `medserver.dicom.keys.parse_key` makes them.
    """
    among, last = _among(conditions), 0
    while page := node.index.workitems.page(last, among):
        for row in page:
            yield row if matches_item(conditions, Values(attributes_of(row))) else None
        last = page[-1].id


def studies_of_open_items(node: Node) -> set[str]:
    """Return the Study Instance UIDs of what items name that have not ended: their input is needed."""
    found: set[str] = set()
    last = 0
    while page := node.index.workitems.page(last, {"state": (SCHEDULED, IN_PROGRESS)}):
        for row in page:
            inputs = items(content_of(row.content), "InputInformationSequence")
            found.update(value(each, "StudyInstanceUID") for each in inputs)
        last = page[-1].id
    return found


def _among(conditions: Sequence[Condition]) -> dict[str, Sequence[str]]:
    """Return what the columns tell of conditions: at least the items that fulfil them fulfil this."""
    among: dict[str, Sequence[str]] = {}
    for condition in conditions:
        if isinstance(condition, SequenceMatch):
            if condition.keyword == "ScheduledWorkitemCodeSequence":  # it has one item (PS3.3 C.30.1)
                among |= {
                    _COLUMNS_OF_TYPE[one.keyword]: [key_of(one.value)]
                    for one in condition.conditions
                    if isinstance(one, SingleValue) and one.keyword in _COLUMNS_OF_TYPE
                }
            continue
        values = _values(condition)
        if values and condition.keyword in _COLUMNS:  # type: ignore[union-attr] - a combined range has no values
            among[_COLUMNS[condition.keyword]] = list(map(key_of, values))  # type: ignore[union-attr]
    return among


def _values(condition: Condition) -> Sequence[str]:
    """Return the values of which one has to be there; none where it is not as simple as that."""
    if isinstance(condition, UIDList):
        return condition.values
    if isinstance(condition, SingleValue):
        return [condition.value]
    if isinstance(condition, AnyOf) and all(isinstance(one, SingleValue) for one in condition.conditions):
        return [one.value for one in condition.conditions if isinstance(one, SingleValue)]
    return ()


class Values(Mapping[str, Any]):
    """The values of a data set in DICOM JSON as conditions are matched with them, by keyword.

    Parameters
    ----------
    content : Mapping
        The data set.
    """

    def __init__(self, content: JSON) -> None:
        self._content = content

    def __getitem__(self, keyword: str) -> Any:
        element = self._content[tag_of(keyword)]
        values = element.get("Value") or ()
        if element.get("vr") == "SQ":
            return [Values(item) for item in values]
        return [_text(one) for one in values if one is not None]

    def __iter__(self) -> Iterator[str]:
        raise TypeError("the keywords of a data set are not listed")

    def __len__(self) -> int:
        return len(self._content)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):  # a person's name
        groups = (str(value.get(name, "")) for name in ("Alphabetic", "Ideographic", "Phonetic"))
        return "=".join(groups).rstrip("=")
    return str(value)
