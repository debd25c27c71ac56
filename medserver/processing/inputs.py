"""The objects that a work item names, looked up in the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from medserver.dicom.conditions import SingleValue
from medserver.errors import IncompleteObjectSet
from medserver.index import StoredCopy
from medserver.index.derivations import DerivedInstance
from medserver.node import Node
from medserver.processing.parameters import check
from medserver.processing.requests import ProcessingRequest, Reference
from medserver.processing.types import ProcessingType

INPUTS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Input:
    """An object that goes in.

    Parameters
    ----------
    copy : StoredCopy
        As the index has it.
    series_instance_uid : str
        Its series.
    """

    copy: StoredCopy
    series_instance_uid: str

    @property
    def instance(self) -> DerivedInstance:
        """Which instance it is."""
        copy = self.copy
        uids = (copy.sop_instance_uid, copy.sop_class_uid, copy.study_instance_uid)
        return DerivedInstance(*uids, self.series_instance_uid)


def find_inputs(node: Node, references: Iterable[Reference]) -> list[Input]:
    """Return the objects that are meant, each once.

    Raises
    ------
    IncompleteObjectSet
        One is not stored here, a series or study has none, or none is named.
    """
    found: dict[str, Input] = {}
    for reference in references:
        for one in _of(node, reference):
            found.setdefault(one.copy.sop_instance_uid, one)
        if len(found) > INPUTS_MAX:
            raise IncompleteObjectSet(f"more than {INPUTS_MAX} objects are named")
    if not found:
        raise IncompleteObjectSet("the work item names no objects")
    return list(found.values())


def missing(node: Node, reference: Reference) -> list[str]:
    """Return the SOP Instance UIDs that a reference names and that are not stored here."""
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    found = node.index.instances(uids)
    return [uid for uid in uids if uid not in found]


def _of(node: Node, reference: Reference) -> Iterator[Input]:
    if not reference.instances:
        yield from _whole(node, reference)
        return
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    found = node.index.instances(uids)
    for uid in uids:
        if uid not in found:
            raise IncompleteObjectSet(f"instance {uid} is not stored here")
        yield Input(found[uid], reference.series_instance_uid)


def _whole(node: Node, reference: Reference) -> Iterator[Input]:
    """Yield all objects of a series, or of each series of a study."""
    conditions = [SingleValue("StudyInstanceUID", reference.study_instance_uid)]
    if reference.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", reference.series_instance_uid))
    selection = node.index.select(conditions)
    if not selection.count:
        what = reference.series_instance_uid or reference.study_instance_uid or "a study without a UID"
        raise IncompleteObjectSet(f"nothing of {what} is stored here")
    for copy in selection:
        yield Input(copy, reference.series_instance_uid)


def request_digest(kind: ProcessingType, request: ProcessingRequest, inputs: Iterable[Input]) -> str:
    """Return what tells the same request of the same objects: the same comes out of it. A SHA-256, hexadecimal."""
    objects = sorted((one.copy.sop_instance_uid, one.copy.digest) for one in inputs)
    values = check(kind.parameters, request.own_parameters)
    what = [kind.name, kind.version, values, request.outputs, objects]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
