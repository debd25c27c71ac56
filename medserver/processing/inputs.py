"""The objects that a work item names, looked up in the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from medserver.archive import read_header
from medserver.destinations import standing_of
from medserver.dicom.conditions import SingleValue
from medserver.dicom.dataset_values import value_of
from medserver.dicom.json_model import JSON
from medserver.dicom.matching import Condition
from medserver.errors import (
    DamagedObject,
    IncompleteObjectSet,
    NoContextAccepted,
    ObjectNotReadable,
    UnusableParameters,
    WorkStopped,
)
from medserver.fetching import UIDS_PER_REQUEST, FollowUps, Source, identifier_of
from medserver.index import Query, StoredCopy
from medserver.index.derivations import DerivedInstance
from medserver.node import Node
from medserver.processing.parameters import check
from medserver.processing.requests import ProcessingRequest, Reference
from medserver.processing.types import ProcessingType
from medserver.workitems.content import data_set

INPUTS_MAX = 20_000
FRAMES_MAX = 10_000
"""So many frames of an instance are named at most, for results name them too, in a value of 64 KiB (PS3.5 7.1.2)."""

PATIENT = (
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDsSequence", "PatientBirthDate", "PatientSex",
    "SpecificCharacterSet",
)  # fmt: skip
"""What a work item says of the patient."""


@dataclass(frozen=True, slots=True)
class Input:
    """An object that goes in.

    Parameters
    ----------
    copy : StoredCopy
        As the index has it.
    series_instance_uid : str
        Its series.
    modality : str
        Of the series; empty if that was not looked up.
    frames : tuple of int
        The numbers of the frames that go in, ascending from 1, if these are not all that it has; else empty.
    """

    copy: StoredCopy
    series_instance_uid: str
    modality: str = ""
    frames: tuple[int, ...] = ()

    @property
    def instance(self) -> DerivedInstance:
        """Which instance it is."""
        copy = self.copy
        uids = (copy.sop_instance_uid, copy.sop_class_uid, copy.study_instance_uid)
        return DerivedInstance(*uids, self.series_instance_uid)


def find_inputs(node: Node, kind: ProcessingType, references: Iterable[Reference]) -> list[Input]:
    """Return the objects that are meant, each once.

    Raises
    ------
    IncompleteObjectSet
        One is not stored here, or is of another study or series than it is named with; a series or study has none, or
        none is named; or an instance does not have a frame that is named.
    UnusableParameters
        Some frames of an instance are meant, and the type takes whole instances.
    ObjectNotReadable, StoreFailure
        The header of an instance cannot be read of which frames are named.
    """
    found: dict[str, Input] = {}
    frames: dict[str, set[int]] = {}
    for reference in references:
        named = dict(reference.frames)
        for one in _of(node, reference):
            uid = one.copy.sop_instance_uid
            if uid in named and (uid in frames or uid not in found):
                frames.setdefault(uid, set()).update(named[uid])
            else:  # once all of its frames are meant they are
                frames.pop(uid, None)
            found.setdefault(uid, one)
        if len(found) > INPUTS_MAX:
            raise IncompleteObjectSet(f"more than {INPUTS_MAX} objects are named")
    if not found:
        raise IncompleteObjectSet("the work item names no objects")
    for uid, numbers in frames.items():
        found[uid] = of_frames(node, kind, found[uid], sorted(numbers))
    return list(found.values())


def of_frames(node: Node, kind: ProcessingType, one: Input, numbers: Sequence[int]) -> Input:
    """Return some frames of an object, or all of it if these are all.

    Parameters
    ----------
    numbers : sequence of int
        Their numbers, ascending from 1; at least one.

    Raises
    ------
    IncompleteObjectSet, UnusableParameters, ObjectNotReadable, StoreFailure
        As for `find_inputs`.
    """
    count = number_of_frames(node, one.copy)
    uid = one.copy.sop_instance_uid
    if numbers[-1] > count:
        raise IncompleteObjectSet(f"there is no frame {numbers[-1]} of instance {uid}: it has {count}")
    if len(numbers) == count:
        return one
    if len(numbers) > FRAMES_MAX:
        raise UnusableParameters(f"{len(numbers)} frames of {uid} are named, more than {FRAMES_MAX}")
    if not kind.takes_frames:
        some = f"{len(numbers)} of {count} frames of {uid}"
        raise UnusableParameters(f"{kind.name} takes whole instances, and not {some}")
    return replace(one, frames=tuple(numbers))


def number_of_frames(node: Node, copy: StoredCopy) -> int:
    """Return how many frames an object has; one, if it does not say.

    Raises
    ------
    ObjectNotReadable
        It is damaged.
    StoreFailure
        It cannot be read.
    """
    try:
        given = value_of(read_header(node, copy), "NumberOfFrames")
    except DamagedObject as error:
        raise ObjectNotReadable(f"instance {copy.sop_instance_uid}: {error}") from error
    return int(given) if isinstance(given, str) and given.isdecimal() and int(given) else 1


def missing(node: Node, reference: Reference) -> list[str]:
    """Return the SOP Instance UIDs that a reference names and that are not stored here."""
    uids = [sop_instance_uid for _, sop_instance_uid in reference.instances]
    found = node.index.instances(uids)
    return [uid for uid in uids if uid not in found]


def fetch_missing(
    node: Node,
    references: Iterable[Reference],
    unless: Callable[[], bool],
    follow_ups: FollowUps = lambda record: (),
    move_message_id: int = 0,
) -> None:
    """Fetch what is not stored here from where it can be had: the AE that a reference names, if it is another one.

    Parameters
    ----------
    unless : callable
        Tells whether nobody wants it any longer.
    follow_ups : callable
        What follows from each object that is fetched by C-GET.
    move_message_id : int
        The Message ID of a C-MOVE, see `fetching.Source`.

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
        source = Source(node, remote, standing_of(node, remote), follow_ups, move_message_id)
        sop_classes = {sop_class for sop_class, _ in reference.instances if sop_class}
        for some in batched(lacking, UIDS_PER_REQUEST) or [()]:
            if unless():
                raise WorkStopped("nobody wants it any longer")
            identifier = identifier_of(reference.study_instance_uid, reference.series_instance_uid, some)
            _fetch(source, identifier, sop_classes or None)


def _fetch(source: Source, identifier: Dataset, sop_classes: set[str] | None) -> None:
    """Fetch by C-GET; by C-MOVE from an AE that does not take that."""
    try:
        source.get(identifier, sop_classes)
    except NoContextAccepted:
        source.move(identifier)


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
    found = _named(node, uids)
    for uid in uids:
        if uid not in found:
            raise IncompleteObjectSet(f"instance {uid} is not stored here")
    strange = {uid for uid in uids if not _is_of(found[uid], reference)}
    if strange:
        raise IncompleteObjectSet(f"instance {min(strange)} is not of the study and series that are named with it")
    for uid in uids:
        yield found[uid]


def _named(node: Node, uids: Sequence[str]) -> dict[str, Input]:
    series = node.index.series_of(uids)
    return {uid: Input(copy, *series[uid]) for uid, copy in node.index.instances(uids).items() if uid in series}


def _is_of(one: Input, reference: Reference) -> bool:
    """Tell whether an object is of the study, and of the series, that are named; many requests name none."""
    is_of_study = reference.study_instance_uid in ("", one.copy.study_instance_uid)
    return is_of_study and reference.series_instance_uid in ("", one.series_instance_uid)


def _whole(node: Node, reference: Reference) -> Iterator[Input]:
    """Yield all objects of a series, or of each series of a study."""
    found = stored_inputs(node, _conditions(reference))
    if not found:
        what = reference.series_instance_uid or reference.study_instance_uid or "a study without a UID"
        raise IncompleteObjectSet(f"nothing of {what} is stored here")
    yield from found


def stored_inputs(node: Node, conditions: Sequence[Condition]) -> list[Input]:
    """Return the objects that are stored and fulfil conditions on what the index keeps, each with its series."""
    query = Query("IMAGE", tuple(conditions), ("SeriesInstanceUID", "Modality"), with_location=True)
    rows = list(node.index.find(query))
    return [
        Input(row["location"], str(row["SeriesInstanceUID"] or ""), str(row["Modality"] or ""))
        for row in rows
        if row.get("location")
    ]


def together(kind: ProcessingType, inputs: Iterable[Input]) -> list[list[Input]]:
    """Return what is processed together by a type: all that is of one series, or of one study.

    Of a type that takes one series at a time, series of modalities that it does not take are left out, unless there
    are no others.
    """
    by_series = kind.scope == "series"
    groups: dict[str, list[Input]] = {}
    for one in inputs:
        groups.setdefault(one.series_instance_uid if by_series else one.copy.study_instance_uid, []).append(one)
    taken = [group for group in groups.values() if group[0].modality in kind.modalities]
    return taken if by_series and kind.modalities and taken else list(groups.values())


def patient_of(node: Node, copy: StoredCopy) -> JSON:
    """Return the attributes of the patient of an object, as DICOM JSON.

    Raises
    ------
    StoreFailure
        The header cannot be read.
    """
    header = read_header(node, copy)
    found = {keyword: value_of(header, keyword) for keyword in PATIENT if keyword != "SpecificCharacterSet"}
    texts = {keyword: given for keyword, given in found.items() if isinstance(given, str) and given}
    return data_set(**{k: _person_name(v) if k == "PatientName" else v for k, v in texts.items()})


def _person_name(text: str) -> dict[str, str]:
    """Return a person name as DICOM JSON has it (PS3.18 F.2.2)."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in groups if group}


def _conditions(reference: Reference) -> list[SingleValue]:
    conditions = [SingleValue("StudyInstanceUID", reference.study_instance_uid)]
    if reference.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", reference.series_instance_uid))
    return conditions


def request_digest(kind: ProcessingType, request: ProcessingRequest, inputs: Iterable[Input]) -> str:
    """Return what tells the same request of the same objects: the same comes out of it. A SHA-256, hexadecimal."""
    objects = sorted((one.copy.sop_instance_uid, one.copy.digest, *one.frames) for one in inputs)
    values = check(kind.parameters, request.own_parameters)
    what = [kind.name, kind.version, values, request.outputs, objects]
    if kind.command is not None:
        what.append(kind.command.content())
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
