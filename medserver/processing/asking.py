"""Somebody at this node asks for a processing, ``medserver processing run``; rules ask in `requesting`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from medserver.dicom.conditions import SingleValue
from medserver.dicom.frame_lists import FrameKeys
from medserver.dicom.uids import new_uid
from medserver.errors import BadUsage, NoSuchInstance, UnknownRemote
from medserver.node import Node
from medserver.processing.inputs import Input, number_of_frames, of_frames, patient_of, stored_inputs, together
from medserver.processing.outputs import references_to
from medserver.processing.requests import Reference, attribute_list_of, checked_type, request_for
from medserver.processing.types import ProcessingType
from medserver.workitems.creating import create

_UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def ask(
    node: Node,
    types: Sequence[str],
    parameters: Mapping[str, str],
    uids: Iterable[str],
    destinations: Iterable[str] = (),
    priority: str = "MEDIUM",
    frames: FrameKeys | None = None,
) -> list[str]:
    """Create work items of which this archive performs the processing.

    Parameters
    ----------
    types : sequence of str
        Their names, each applied to what the one before has made.
    parameters : Mapping of str to str
        As for `request_for`.
    uids : iterable of str
        Of studies, series or instances that are stored here. Of a study that is what was received, without results.
    destinations : iterable of str
        Who gets the results: names of entries, or AE titles.
    priority : str
        ``HIGH``, ``MEDIUM`` or ``LOW``.
    frames : FrameKeys, optional
        Only these frames, of the one instance that is named; those that it does not have are left out.

    Returns
    -------
    list of str
        The UIDs of the items: one for each study, or for each series, if the type takes one at a time.

    Raises
    ------
    UnknownProcessingType, UnusableParameters
        A type is not known, or a parameter cannot be used.
    UnknownRemote
        There is no such AE to which anything could be sent.
    NoSuchInstance
        Nothing of a UID is stored.
    BadUsage, NoSuchFrames
        Frames are asked for of a study or series, or none of them is there.
    ObjectNotReadable, StoreFailure
        A header cannot be read.
    """
    config = node.config.current
    kind = checked_type(request_for(types, parameters, config=config), config)
    ae_titles = [_ae_title(node, name) for name in destinations]
    own = node.config.current.node.ae_title
    made = []
    for group in together(kind, _inputs(node, uids) if frames is None else [_frames_of(node, kind, uids, frames)]):
        references = _references(group, own)
        request = request_for(types, parameters, references, ae_titles, config)
        patient = patient_of(node, group[0].copy)
        attributes = attribute_list_of(request, node.clock(), priority=priority, patient=patient, config=config)
        made.append(create(node, new_uid(), attributes, own).sop_instance_uid)
    return made


def _inputs(node: Node, uids: Iterable[str]) -> list[Input]:
    """Return what is meant by UIDs, each instance once."""
    found: dict[str, Input] = {}
    for uid in uids:
        for one in _of(node, uid):
            found.setdefault(one.copy.sop_instance_uid, one)
    return list(found.values())


def _references(inputs: Sequence[Input], ae_title: str) -> Iterator[Reference]:
    frames = {one.copy.sop_instance_uid: one.frames for one in inputs if one.frames}
    for reference in references_to([one.instance for one in inputs], ae_title):
        named = tuple((uid, frames[uid]) for _, uid in reference.instances if uid in frames)
        yield replace(reference, frames=named)


def _frames_of(node: Node, kind: ProcessingType, uids: Iterable[str], frames: FrameKeys) -> Input:
    """Return frames of the instance that is meant by its UID."""
    [uid] = uids
    [*found] = _of(node, uid)
    if len(found) != 1 or found[0].copy.sop_instance_uid != uid:
        raise BadUsage(f"frames are of one instance, and {uid} is a study or series")
    numbers = frames.numbers(number_of_frames(node, found[0].copy))
    return of_frames(node, kind, found[0], numbers)


def _of(node: Node, uid: str) -> Iterator[Input]:
    for keyword in _UID_KEYWORDS:
        if found := stored_inputs(node, [SingleValue(keyword, uid)]):
            yield from _not_made_here(node, found) if keyword == "StudyInstanceUID" else found
            return
    raise NoSuchInstance(f"there is no study, series or instance {uid}")


def _not_made_here(node: Node, inputs: list[Input]) -> list[Input]:
    """Return what of a study was received: results stand in the same study, and are named by their series."""
    made = {
        series
        for series in {one.series_instance_uid for one in inputs}
        for derivation in node.index.derivations.of(series)
        if any(one.series_instance_uid == series for one in derivation.outputs)
    }
    return [one for one in inputs if one.series_instance_uid not in made] or inputs


def _ae_title(node: Node, name: str) -> str:
    """Return the AE title of an entry, by its name or title."""
    config = node.config.current
    remote = config.remote_by_name(name)
    if remote is None or not remote.is_destination:
        remote = config.destination(name)
    if remote is None:
        raise UnknownRemote(f"there is no AE {name} with an address to which results could be sent")
    return remote.ae_title
