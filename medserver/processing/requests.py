"""What a work item asks for, as a record: written into its attributes, and read from them (PS3.3 C.30.2, PS3.4 CC).

Whoever writes a work item, a rule, the command line or a remote AE, writes the same attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from medserver.config import Config
from medserver.dicom.json_model import JSON
from medserver.errors import UnusableParameters
from medserver.processing.parameters import Values, check
from medserver.processing.types import ProcessingType, find_type
from medserver.workitems.content import (
    code,
    code_of,
    data_set,
    element,
    first_item,
    items,
    moment,
    tag_of,
    value,
)
from medserver.workitems.follow_ups import OUR_SCHEME

OUTPUTS, THEN, INFORM = "outputs", "then", "inform"
"""Parameters of every type: which of its outputs are wanted, from 1 (``10-20,25``); the types that are applied to what
it makes, with commas between them; and whether sender and receivers are told (``no``: they are not). Parameters of
those types have their names before them (``reformat.orientation``)."""

COMMON: Mapping[str, str] = {
    OUTPUTS: "Numbers of the outputs that are wanted, from 1",
    THEN: "Types that are applied to what this one makes",
    INFORM: "Whether sender and receivers are told before",
}
"""Their meanings."""

LABEL_LENGTH_MAX = 64
OUTPUTS_MAX = 100_000

_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
FRAME_NUMBER = re.compile(r"\+?[0-9]{1,11}")
"""An IS (PS3.5 6.2) that is not negative."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Objects of one series that are to be processed, or were made.

    Parameters
    ----------
    study_instance_uid, series_instance_uid : str
        Their study and series; without a series all of the study are meant.
    instances : tuple of (str, str)
        SOP Class UID and SOP Instance UID of each; empty: all that the series has.
    retrieve_ae_title : str
        Where they can be fetched from; empty if nobody said.
    frames : tuple of (str, tuple of int)
        SOP Instance UID and numbers of frames, ascending from 1, of each instance of which not all frames are meant.
    """

    study_instance_uid: str
    series_instance_uid: str = ""
    instances: tuple[tuple[str, str], ...] = ()
    retrieve_ae_title: str = ""
    frames: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessingRequest:
    """What is to be done with what, and who gets the results.

    Parameters
    ----------
    type_name : str
        The type.
    parameters : Mapping of str to (value or tuple of values)
        Those that were given, unchecked, without `OUTPUTS` and `THEN`; with those of later types.
    inputs : tuple of Reference
        The objects.
    destinations : tuple of str
        AE titles.
    then : tuple of str
        The types that are applied afterwards, in this order.
    outputs : tuple of int or None
        The numbers of the outputs that are wanted, from 1; None: all.
    informs : bool
        Whether sender and receivers are told before anything is done.
    """

    type_name: str
    parameters: Mapping[str, Values] = field(default_factory=dict)
    inputs: tuple[Reference, ...] = ()
    destinations: tuple[str, ...] = ()
    then: tuple[str, ...] = ()
    outputs: tuple[int, ...] | None = None
    informs: bool = True

    @property
    def own_parameters(self) -> dict[str, Values]:
        """The parameters of the type itself: those without a type before their name, and its own."""
        prefix = f"{self.type_name}."
        own = {name: given for name, given in self.parameters.items() if "." not in name}
        return own | {n.removeprefix(prefix): given for n, given in self.parameters.items() if n.startswith(prefix)}

    def following(self, made: Iterable[Reference]) -> ProcessingRequest | None:
        """Return what is asked for of what was made; None if this was the last type.

        Parameters without a type before their name are of the first type only.
        """
        if not self.then:
            return None
        later = {name: given for name, given in self.parameters.items() if name.partition(".")[0] in self.then}
        return ProcessingRequest(
            self.then[0], later, tuple(made), self.destinations, self.then[1:], informs=self.informs
        )


def request_for(
    types: Sequence[str],
    given: Mapping[str, str],
    inputs: Iterable[Reference] = (),
    destinations: Iterable[str] = (),
    config: Config | None = None,
) -> ProcessingRequest:
    """Return what people ask for, in ``config.ini`` or at the command line; unchecked, see `checked_type`.

    Parameters
    ----------
    types : sequence of str
        Their names, in the order in which they are applied; at least one.
    given : Mapping of str to str
        Name -> text of each parameter, and of `OUTPUTS`. A name without a type before it is of the first type that has
        such a parameter.
    inputs : iterable of Reference
        What is processed.
    destinations : iterable of str
        AE titles.
    config : Config, optional
        Whose types there are too.

    Raises
    ------
    UnknownProcessingType
        There is no such type.
    UnusableParameters
        The numbers of outputs cannot be understood.
    """
    texts = dict(given)
    outputs = texts.pop(OUTPUTS, None)
    later = {name: {each.name for each in find_type(name, config).parameters} for name in types[1:]}
    own = {each.name for each in find_type(types[0], config).parameters}
    parameters: dict[str, Values] = {}
    for name, text in texts.items():
        owner = None if "." in name or name in own else next((each for each in types[1:] if name in later[each]), None)
        parameters[f"{owner}.{name}" if owner else name] = text
    return ProcessingRequest(
        types[0],
        parameters,
        tuple(inputs),
        tuple(dict.fromkeys(destinations)),
        tuple(types[1:]),
        None if outputs is None else parse_outputs(outputs),
    )


def checked_type(request: ProcessingRequest, config: Config | None = None) -> ProcessingType:
    """Return the type of a request, of which all types and parameters are known.

    Parameters
    ----------
    request : ProcessingRequest
        What is asked for.
    config : Config, optional
        Whose types there are too.

    Raises
    ------
    UnknownProcessingType, UnusableParameters
        One is not.
    """
    kind = find_type(request.type_name, config)
    check(kind.parameters, request.own_parameters)
    if request.outputs is not None and not kind.is_partial:
        raise UnusableParameters(f"{kind.name} makes all of its outputs, or none")
    later = request
    while later.then:
        later = later.following(()) or later
        check(find_type(later.type_name, config).parameters, later.own_parameters)
    types = {request.type_name, *request.then}
    strange = [name for name in request.parameters if "." in name and name.split(".")[0] not in types]
    if strange:
        raise UnusableParameters(f"{strange[0]}: {strange[0].split('.')[0]} is none of {', '.join(sorted(types))}")
    return kind


def parse_outputs(text: str) -> tuple[int, ...]:
    """Read numbers of outputs: ``10-20,25``.

    Raises
    ------
    UnusableParameters
        They are none.
    """
    numbers: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= OUTPUTS_MAX:
            raise UnusableParameters(f"{OUTPUTS}: {part[:32]!r} is no number from 1, and no range of them")
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def outputs_in_words(numbers: Sequence[int]) -> str:
    """Return numbers of outputs as `parse_outputs` reads them."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


# Writing


def attribute_list_of(
    request: ProcessingRequest,
    now: datetime,
    *,
    priority: str = "MEDIUM",
    patient: JSON | None = None,
    config: Config | None = None,
) -> dict[str, Any]:
    """Return the attributes with which a work item is created (PS3.4 table CC.2.5-3).

    Parameters
    ----------
    request : ProcessingRequest
        What is asked for.
    now : datetime
        When it is to begin.
    priority : str
        ``HIGH``, ``MEDIUM`` or ``LOW``.
    patient : Mapping, optional
        The attributes of the patient, as DICOM JSON.
    config : Config, optional
        Whose types there are too.

    Raises
    ------
    UnknownProcessingType
        There is no such type.
    """
    kind = find_type(request.type_name, config)
    content = data_set(
        ScheduledProcedureStepPriority=priority,
        ProcedureStepLabel=kind.meaning[:LABEL_LENGTH_MAX],
        ScheduledProcedureStepStartDateTime=moment(now),
        InputReadinessState="READY",
        ProcedureStepState="SCHEDULED",
        ScheduledWorkitemCodeSequence=[code(kind.name, OUR_SCHEME, kind.meaning)],
        ScheduledProcessingParametersSequence=list(_parameter_items(request, kind)),
        InputInformationSequence=[reference_item(each) for each in request.inputs],
    )
    studies = {each.study_instance_uid for each in request.inputs}
    if len(studies) == 1:
        content |= data_set(StudyInstanceUID=studies.pop())
    if request.destinations:
        content |= data_set(OutputDestinationSequence=[_destination_item(each) for each in request.destinations])
    return content | dict(patient or {})


def reference_item(reference: Reference) -> dict[str, Any]:
    """Return the item of an Input or Output Information Sequence (PS3.3 table 10-3b)."""
    frames = dict(reference.frames)
    referenced = [
        data_set(ReferencedSOPClassUID=sop_class_uid, ReferencedSOPInstanceUID=sop_instance_uid)
        | (data_set(ReferencedFrameNumber=frames[sop_instance_uid]) if sop_instance_uid in frames else {})
        for sop_class_uid, sop_instance_uid in reference.instances
    ]
    item = data_set(
        TypeOfInstances="DICOM",
        StudyInstanceUID=reference.study_instance_uid,
        ReferencedSOPSequence=referenced,
    )
    if reference.series_instance_uid:
        item |= data_set(SeriesInstanceUID=reference.series_instance_uid)
    if reference.retrieve_ae_title:
        retrieval = data_set(RetrieveAETitle=reference.retrieve_ae_title)
        item |= data_set(DICOMRetrievalSequence=[retrieval])
    return item


def _destination_item(ae_title: str) -> dict[str, Any]:
    return data_set(DICOMStorageSequence=[data_set(DestinationAE=ae_title)])


def _parameter_items(request: ProcessingRequest, kind: ProcessingType) -> Iterator[dict[str, Any]]:
    """Yield the items of Scheduled Processing Parameters Sequence: content items (PS3.3 10.2)."""
    units = {parameter.name: parameter.unit for parameter in kind.parameters}
    meanings = {parameter.name: parameter.meaning for parameter in kind.parameters} | COMMON
    given = dict(request.parameters)
    if request.outputs is not None:
        given[OUTPUTS] = outputs_in_words(request.outputs)
    if not request.informs:
        given[INFORM] = "no"
    if request.then:
        given[THEN] = ",".join(request.then)
    for name, values in given.items():
        concept = code(name, OUR_SCHEME, meanings.get(name, name)[:LABEL_LENGTH_MAX])
        several = values if isinstance(values, tuple) else (values,)
        if all(isinstance(each, (int, float)) for each in several):
            unit = units.get(name, "1")
            yield data_set(
                ValueType="NUMERIC",
                ConceptNameCodeSequence=[concept],
                NumericValue=list(several),
                MeasurementUnitsCodeSequence=[code(unit, "UCUM", unit)],
            )
        else:
            yield data_set(
                ValueType="TEXT", ConceptNameCodeSequence=[concept], TextValue=",".join(map(str, several))
            )


# Reading


def request_of(content: JSON) -> ProcessingRequest:
    """Read what a work item asks for.

    Raises
    ------
    UnusableParameters
        Its parameters, or the numbers of outputs, cannot be understood.
    """
    type_name, _ = code_of(first_item(content, "ScheduledWorkitemCodeSequence"))
    given = dict(parameters_in(content))
    outputs, then, informs = given.pop(OUTPUTS, None), given.pop(THEN, ""), given.pop(INFORM, "yes")
    if informs not in ("yes", "no"):
        raise UnusableParameters(f"{INFORM} is yes or no")
    return ProcessingRequest(
        type_name,
        given,
        tuple(map(reference_in, items(content, "InputInformationSequence"))),
        tuple(dict.fromkeys(_destinations_in(content))),
        tuple(filter(None, (name.strip() for name in str(then).split(",")))),
        None if outputs is None else parse_outputs(_as_text(outputs)),
        informs == "yes",
    )


def reference_in(item: JSON) -> Reference:
    """Read the item of an Input or Output Information Sequence.

    Raises
    ------
    UnusableParameters
        It names frames of an instance that there cannot be.
    """
    referenced = items(item, "ReferencedSOPSequence")
    return Reference(
        value(item, "StudyInstanceUID"),
        value(item, "SeriesInstanceUID"),
        tuple(
            (value(each, "ReferencedSOPClassUID"), value(each, "ReferencedSOPInstanceUID")) for each in referenced
        ),
        value(first_item(item, "DICOMRetrievalSequence"), "RetrieveAETitle"),
        _frames_in(referenced),
    )


def _frames_in(referenced: Iterable[JSON]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the frames that are named of each instance of which not all are meant.

    Where an instance is named several times, what is meant is all that is named; a number stands for its frame however
    often, and wherever, it stands.
    """
    found: dict[str, set[int]] = {}
    whole: set[str] = set()
    for each in referenced:
        uid = value(each, "ReferencedSOPInstanceUID")
        if numbers := set(_frame_numbers(each)):
            found.setdefault(uid, set()).update(numbers)
        else:
            whole.add(uid)
    return tuple((uid, tuple(sorted(numbers))) for uid, numbers in found.items() if uid not in whole)


def _frame_numbers(item: JSON) -> Iterator[int]:
    """Yield the numbers of frames that an item of a Referenced SOP Sequence has (PS3.3 table 10-3)."""
    for given in (item.get(tag_of("ReferencedFrameNumber")) or {}).get("Value") or ():
        text = "" if given is None else str(given).strip()
        if not text:
            continue
        if not FRAME_NUMBER.fullmatch(text) or not int(text):
            raise UnusableParameters(f"Referenced Frame Number: {text[:32]!r} is no number from 1")
        yield int(text)


def parameters_in(content: JSON) -> Iterator[tuple[str, Values]]:
    """Yield name and value of each parameter.

    Raises
    ------
    UnusableParameters
        One has no name of ours, or no value.
    """
    for item in items(content, "ScheduledProcessingParametersSequence"):
        name, scheme = code_of(first_item(item, "ConceptNameCodeSequence"))
        if scheme != OUR_SCHEME or not name:
            raise UnusableParameters(f"the parameter {name[:32]!r} is not of the scheme {OUR_SCHEME}")
        yield name, _value_in(item, name)


def _value_in(item: JSON, name: str) -> Values:
    kind = value(item, "ValueType")
    if kind == "NUMERIC":
        numbers = tuple((item.get(tag_of("NumericValue")) or {}).get("Value") or ())
        if numbers and all(isinstance(each, (int, float)) for each in numbers):
            return numbers[0] if len(numbers) == 1 else numbers
    elif kind == "TEXT":
        return value(item, "TextValue")
    elif kind == "CODE":
        return code_of(first_item(item, "ConceptCodeSequence"))[0]
    raise UnusableParameters(f"{name[:32]}: a parameter has the Value Type NUMERIC, TEXT or CODE, and a value")


def _as_text(values: Values) -> str:
    return ",".join(map(str, values)) if isinstance(values, tuple) else str(values)


def _destinations_in(content: JSON) -> Iterator[str]:
    """Yield the AE titles of the Output Destination Sequence (PS3.3 C.30.2)."""
    for item in items(content, "OutputDestinationSequence"):
        for storage in items(item, "DICOMStorageSequence"):
            ae_title = value(storage, "DestinationAE")
            if ae_title:
                yield ae_title


def output_information(made: Iterable[Reference]) -> dict[str, Any]:
    """Return what the item of the performed procedure says of what was made."""
    return {tag_of("OutputInformationSequence"): element("OutputInformationSequence", *map(reference_item, made))}
