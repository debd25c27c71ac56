"""What a work item asks for that is to be printed, as a record: written into its attributes, and read from them.

Format information are items of the Scheduled Processing Parameters Sequence, with the names of `format.PARAMETERS`;
images are items of the Input Information Sequence, with where they can be fetched. Its priority is that of the films.

References
----------
PS3.3 C.30.2, PS3.4 CC.2.5
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.dicom.json_model import JSON
from medserver.printing.format import PARAMETERS, FilmFormat, format_of
from medserver.processing.requests import (
    LABEL_LENGTH_MAX,
    Reference,
    parameters_in,
    reference_in,
    reference_item,
)
from medserver.workitems.content import code, code_of, data_set, items, moment
from medserver.workitems.follow_ups import OUR_SCHEME, PRINT

PRINTER = "printer"


@dataclass(frozen=True, slots=True)
class PrintRequest:
    """What is to be printed, and how.

    Parameters
    ----------
    format : FilmFormat
        How.
    references : tuple of Reference
        What, and where it can be fetched.
    """

    format: FilmFormat
    references: tuple[Reference, ...] = ()


def request_of(content: JSON) -> PrintRequest:
    """Read what a work item asks for.

    A Scheduled Station Name Code names the printer, if no parameter does: by its name, or its AE title.

    Raises
    ------
    UnusableParameters
        Its format information, or the numbers of frames, cannot be understood.
    """
    given = dict(parameters_in(content))
    stations = [code_of(each)[0] for each in items(content, "ScheduledStationNameCodeSequence")]
    references = map(reference_in, items(content, "InputInformationSequence"))
    wanted = format_of(given)
    if not wanted.printer and stations:
        given[PRINTER] = stations[0]
        wanted = format_of(given)
    return PrintRequest(wanted, tuple(references))


def attribute_list_of(
    given: Mapping[str, object],
    references: Iterable[Reference],
    now: datetime,
    *,
    priority: str = "MEDIUM",
    patient: JSON | None = None,
) -> dict[str, Any]:
    """Return the attributes with which a work item is created that asks for a print (PS3.4 table CC.2.5-3).

    Parameters
    ----------
    given : Mapping
        Format information, by the names of `format.PARAMETERS`.
    references : iterable of Reference
        What is to be printed.
    now : datetime
        When it is to begin.
    priority : str
        HIGH, MEDIUM or LOW.
    patient : Mapping, optional
        The attributes of the patient, as DICOM JSON.

    Raises
    ------
    UnusableParameters
        The format information cannot be understood.
    """
    format_of(given)
    named = list(references)
    content = data_set(
        ScheduledProcedureStepPriority=priority,
        ProcedureStepLabel=PRINT[2],
        ScheduledProcedureStepStartDateTime=moment(now),
        InputReadinessState="READY",
        ProcedureStepState="SCHEDULED",
        ScheduledWorkitemCodeSequence=[code(*PRINT)],
        ScheduledProcessingParametersSequence=list(_parameter_items(given)),
        InputInformationSequence=[reference_item(each) for each in named],
    )
    studies = {each.study_instance_uid for each in named}
    if len(studies) == 1:
        content |= data_set(StudyInstanceUID=studies.pop())
    return content | dict(patient or {})


def _parameter_items(given: Mapping[str, object]) -> Iterator[dict[str, Any]]:
    """Yield content items (PS3.3 10.2): numbers as such with their unit, all else as text."""
    known = {parameter.name: parameter for parameter in PARAMETERS}
    for name, values in given.items():
        parameter = known[name]
        concept = code(name, OUR_SCHEME, parameter.meaning[:LABEL_LENGTH_MAX])
        if parameter.kind in ("number", "integer"):
            read = parameter.read(values)
            yield data_set(
                ValueType="NUMERIC",
                ConceptNameCodeSequence=[concept],
                NumericValue=list(read) if isinstance(read, tuple) else [read],
                MeasurementUnitsCodeSequence=[code(parameter.unit, "UCUM", parameter.unit)],
            )
        else:
            yield data_set(ValueType="TEXT", ConceptNameCodeSequence=[concept], TextValue=str(values))
