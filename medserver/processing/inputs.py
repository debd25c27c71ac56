"""The objects that a work item names, looked up in the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from medserver.destinations import standing_of
from medserver.dicom.conditions import SingleValue, UIDList
from medserver.errors import IncompleteObjectSet, WorkStopped
from medserver.fetching import UIDS_PER_REQUEST, Source, identifier_of
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
        One is not stored here, or is of another study or series than it is named with; a series or study has none, or
        none is named.
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


def fetch_missing(node: Node, references: Iterable[Reference], unless: Callable[[], bool]) -> None:
    """Fetch what is not stored here from where it can be had: the AE that a reference names, if it is another one.

    Parameters
    ----------
    unless : callable
        Tells whether nobody wants it any longer.

    Raises
    ------
    IncompleteObjectSet
        The AE is not in the configuration, with an address and a port.
    RemoteError, RequestError
        It cannot be reached, or does not do what is asked.
    WorkStopped
        Nobody wants it any longer.
    """
    for reference in references:
        if not reference.retrieve_ae_title or reference.retrieve_ae_title == node.config.current.node.ae_title:
            continue
        lacking = missing(node, reference)
        if not lacking and (reference.instances or _is_stored(node, reference)):
            continue
        remote = node.config.current.destination(reference.retrieve_ae_title)
        if remote is None:
            raise IncompleteObjectSet(f"no entry has the Retrieve AE Title {reference.retrieve_ae_title}")
        source = Source(node, remote, standing_of(node, remote))
        sop_classes = {sop_class for sop_class, _ in reference.instances if sop_class}
        for some in batched(lacking, UIDS_PER_REQUEST) or [()]:
            if unless():
                raise WorkStopped("nobody wants it any longer")
            identifier = identifier_of(reference.study_instance_uid, reference.series_instance_uid, some)
            source.get(identifier, sop_classes or None)


def batched(uids: Sequence[str], count: int) -> list[Sequence[str]]:
    """Return pages of so many at most."""
    return [uids[start : start + count] for start in range(0, len(uids), count)]


def _is_stored(node: Node, reference: Reference) -> bool:
    return bool(node.index.select(_conditions(reference)).count)


def _of(node: Node, reference: Reference) -> Iterator[Input]:
    if not reference.instances:
        yield from _whole(node, reference)
        return
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    found = node.index.instances(uids)
    for uid in uids:
        if uid not in found:
            raise IncompleteObjectSet(f"instance {uid} is not stored here")
    strange = set(uids) - _members(node, reference, uids)
    if strange:
        raise IncompleteObjectSet(f"instance {min(strange)} is not of the study and series that are named with it")
    for uid in uids:
        yield Input(found[uid], reference.series_instance_uid)


def _members(node: Node, reference: Reference, uids: Sequence[str]) -> set[str]:
    """Return which of some instances are of the study, and of the series, that are named with them."""
    named = (each for each in _conditions(reference) if each.value)  # many requests name no study or no series
    conditions = [*named, UIDList("SOPInstanceUID", tuple(uids))]
    return {copy.sop_instance_uid for copy in node.index.select(conditions)}


def _whole(node: Node, reference: Reference) -> Iterator[Input]:
    """Yield all objects of a series, or of each series of a study."""
    selection = node.index.select(_conditions(reference))
    if not selection.count:
        what = reference.series_instance_uid or reference.study_instance_uid or "a study without a UID"
        raise IncompleteObjectSet(f"nothing of {what} is stored here")
    for copy in selection:
        yield Input(copy, reference.series_instance_uid)


def _conditions(reference: Reference) -> list[SingleValue]:
    conditions = [SingleValue("StudyInstanceUID", reference.study_instance_uid)]
    if reference.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", reference.series_instance_uid))
    return conditions


def request_digest(kind: ProcessingType, request: ProcessingRequest, inputs: Iterable[Input]) -> str:
    """Return what tells the same request of the same objects: the same comes out of it. A SHA-256, hexadecimal."""
    objects = sorted((one.copy.sop_instance_uid, one.copy.digest) for one in inputs)
    values = check(kind.parameters, request.own_parameters)
    what = [kind.name, kind.version, values, request.outputs, objects]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
