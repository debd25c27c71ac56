"""What a work item must have: the attributes of PS3.4 table CC.2.5-3, with their types.

A row is an attribute, an indented one belongs to the items of the sequence above it. The columns are the type in an
N-CREATE and in an N-SET, as the SCU has to give it (``-``: it must not), and the requirement of the final state
(PS3.4 table CC.2.5-1):

=====  ====================================================================
R      needed to become COMPLETED or CANCELED
RC     needed for both where its condition holds
P      needed to become COMPLETED
X      needed to become CANCELED
O      never needed
=====  ====================================================================

Of the conditions those are checked that the item itself tells: a human performer who is named has a name and a code.
Attributes that are of Type 3 and never needed (as those of patient and visit) are not listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medserver.dicom.json_model import JSON
from medserver.workitems.content import has_value, items
from medserver.workitems.outcomes import CANCELED, COMPLETED

_TABLE = """
TransactionUID                                          2   1C  O
SpecificCharacterSet                                    1C  1C  RC
SOPClassUID                                             -   -   R
SOPInstanceUID                                          -   -   R
ScheduledProcedureStepPriority                          1   3   R
ScheduledProcedureStepModificationDateTime              -   -   R
ProcedureStepLabel                                      1   3   O
WorklistLabel                                           2   3   O
ScheduledProcessingParametersSequence                   2   3   O
ScheduledStationNameCodeSequence                        2   3   O
ScheduledStationClassCodeSequence                       2   3   O
ScheduledStationGeographicLocationCodeSequence          2   3   O
ScheduledHumanPerformersSequence                        2C  3   O
ScheduledProcedureStepStartDateTime                     1   3   R
ExpectedCompletionDateTime                              3   3   O
ScheduledProcedureStepExpirationDateTime                3   3   O
ScheduledWorkitemCodeSequence                           2   3   O
CommentsOnTheScheduledProcedureStep                     2   3   O
InputReadinessState                                     1   3   R
InputInformationSequence                                2   3   O
StudyInstanceUID                                        1C  3   O
OutputDestinationSequence                               3   3   O
PatientName                                             2   -   O
PatientID                                               1C  -   O
IssuerOfPatientID                                       2   -   O
IssuerOfPatientIDQualifiersSequence                     2   -   O
OtherPatientIDsSequence                                 2   3   O
PatientBirthDate                                        2   -   O
PatientSex                                              2   -   O
AdmissionID                                             2   -   O
IssuerOfAdmissionIDSequence                             2   -   O
AdmittingDiagnosesDescription                           2   -   O
AdmittingDiagnosesCodeSequence                          2   -   O
ReferencedRequestSequence                               2   -   O
ReplacedProcedureStepSequence                           1C  -   O
ProcedureStepState                                      1   -   R
ProcedureStepProgressInformationSequence                2   3   X
    ProcedureStepProgress                               -   3   O
    ProcedureStepProgressDescription                    -   3   O
    ProcedureStepProgressParametersSequence             -   3   O
    ProcedureStepCommunicationsURISequence              -   3   O
    ProcedureStepCancellationDateTime                   -   3   X
    ReasonForCancellation                               -   3   O
    ProcedureStepDiscontinuationReasonCodeSequence      -   3   X
UnifiedProcedureStepPerformedProcedureSequence          2   3   P
    ActualHumanPerformersSequence                       -   3   RC
        HumanPerformerCodeSequence                      -   3   RC
        HumanPerformerName                              -   3   RC
        HumanPerformerOrganization                      -   3   O
    PerformedStationNameCodeSequence                    -   3   P
    PerformedStationClassCodeSequence                   -   3   O
    PerformedStationGeographicLocationCodeSequence      -   3   O
    PerformedProcedureStepStartDateTime                 -   3   P
    PerformedProcedureStepDescription                   -   3   O
    CommentsOnThePerformedProcedureStep                 -   3   O
    PerformedWorkitemCodeSequence                       -   3   P
    PerformedProcessingParametersSequence               -   3   O
    PerformedProcedureStepEndDateTime                   -   3   P
    OutputInformationSequence                           -   2   P
"""

_INDENT = 4


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table.

    Parameters
    ----------
    path : tuple of str
        Its keyword, behind those of the sequences that it is in.
    create, modify : str
        Its type in an N-CREATE and in an N-SET; ``-`` if the SCU must not give it.
    final : str
        The code of the final state.
    """

    path: tuple[str, ...]
    create: str
    modify: str
    final: str

    @property
    def keyword(self) -> str:
        """The attribute itself."""
        return self.path[-1]


def _read(text: str) -> Iterator[Attribute]:
    path: list[str] = []
    for line in text.strip().splitlines():
        keyword, create, modify, final = line.split()
        depth = (len(line) - len(line.lstrip())) // _INDENT
        path = [*path[:depth], keyword]
        yield Attribute(tuple(path), create, modify, final)


ATTRIBUTES = tuple(_read(_TABLE))
"""Every row."""

TOP = {row.keyword: row for row in ATTRIBUTES if len(row.path) == 1}
"""The attributes of the item itself, by keyword."""

REQUIRED = tuple(keyword for keyword, row in TOP.items() if row.create == "1")
"""What must have a value when an item is created, and may not lose it."""

EMPTY_AT_FIRST = frozenset(row.path[0] for row in ATTRIBUTES if len(row.path) > 1)
"""Sequences that have no item when it is created."""

OF_TYPE_2 = tuple(keyword for keyword, row in TOP.items() if row.create == "2" and keyword != "TransactionUID")
"""What must be there, if need be without a value."""

FIXED = tuple(keyword for keyword, row in TOP.items() if row.modify == "-")
"""What no N-SET changes."""

_NEEDED = {COMPLETED: ("R", "P"), CANCELED: ("R", "X")}

_OF_THE_ROW = ("SOPClassUID", "SOPInstanceUID", "ProcedureStepState", "TransactionUID")
"""What every item has, outside of its content."""


def missing_for(content: JSON, state: str) -> list[str]:
    """Return what an item lacks to become final (PS3.4 CC.2.5.1.1), keywords with their sequences."""
    return [
        ".".join(row.path)
        for row in ATTRIBUTES
        if row.keyword not in _OF_THE_ROW and not _is_met(content, row, state)
    ]


def _is_met(content: JSON, row: Attribute, state: str) -> bool:
    *sequences, keyword = row.path
    holders = [content]
    for sequence in sequences:
        holders = [item for holder in holders for item in items(holder, sequence)]
    if row.final in _NEEDED[state]:
        return bool(holders) and all(has_value(holder, keyword) for holder in holders)
    # A human performer who is named is named with a code and a name; the sequence is not there if there is none.
    is_named = row.final == "RC" and len(row.path) > 2
    return not is_named or all(has_value(holder, keyword) for holder in holders)
