"""The attributes that the index keeps, and what each is to a query.

One row an attribute: its level in the Query/Retrieve information model, whether it is a unique, required or
optional key there (PS3.4 C.6.1.1), and the column that holds it. The index, C-FIND, the reader of received
headers and the conformance statement all read this table. VR, tag and multiplicity come from the data
dictionary (PS3.6).

How a key is matched is in `matching`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
"""The values of Query/Retrieve Level (0008,0052), from the top down."""

EVERY_LEVEL = "*"
"""The level of the attributes that an answer may hold at any level."""

UNIQUE_KEYS: Mapping[str, str] = MappingProxyType({
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
})
"""Query/Retrieve Level -> keyword of its unique key."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """What the node knows of one attribute.

    Parameters
    ----------
    keyword : str
        The keyword of PS3.6, for instance ``PatientID``.
    tag : int
        Group and element as one number, ``0x00100020``.
    vr : str
        The Value Representation.
    level : str
        One of `LEVELS`, or `EVERY_LEVEL`.
    key_type : str
        ``U``, ``R`` or ``O``: unique, required or optional key of the Patient Root model. In the Study Root
        model the unique key of the patient is one more required key of the study (PS3.4 C.6.2.1).
    column : str or None
        The column of the index that holds the value; None if the value is computed.
    multi_valued : bool
        Whether it may have several values; a column holds them joined by backslashes.
    indexed : bool
        Whether the column is to have a database index, because people search by it.
    computed : bool
        Whether the value is worked out for each answer, and not read from a received header.
    """

    keyword: str
    tag: int
    vr: str
    level: str
    key_type: str
    column: str | None
    multi_valued: bool
    indexed: bool
    computed: bool


# keyword:flags - U or R for the key type (else optional), i for indexed, c for computed.
_TABLE: Mapping[str, str] = MappingProxyType({
    "PATIENT": """
        PatientName:Ri PatientID:Ui IssuerOfPatientID PatientBirthDate:i PatientBirthTime PatientSex
        OtherPatientIDs OtherPatientNames EthnicGroup PatientComments
        NumberOfPatientRelatedStudies:c NumberOfPatientRelatedSeries:c NumberOfPatientRelatedInstances:c
    """,
    "STUDY": """
        StudyInstanceUID:Ui StudyDate:Ri StudyTime:R AccessionNumber:Ri StudyID:Ri StudyDescription
        ReferringPhysicianName:i NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription
        PatientAge PatientSize PatientWeight Occupation AdditionalPatientHistory
        ModalitiesInStudy:c SOPClassesInStudy:c NumberOfStudyRelatedSeries:c NumberOfStudyRelatedInstances:c
    """,
    "SERIES": """
        SeriesInstanceUID:Ui Modality:Ri SeriesNumber:R SeriesDate SeriesTime SeriesDescription
        BodyPartExamined ProtocolName PatientPosition Laterality PerformingPhysicianName OperatorsName
        InstitutionName InstitutionalDepartmentName StationName Manufacturer ManufacturerModelName
        DeviceSerialNumber FrameOfReferenceUID:i PerformedProcedureStepStartDate:i
        PerformedProcedureStepStartTime PerformedProcedureStepID RequestAttributesSequence
        NumberOfSeriesRelatedInstances:c
    """,
    "IMAGE": """
        SOPInstanceUID:Ui SOPClassUID InstanceNumber:R AcquisitionNumber AcquisitionDate AcquisitionTime
        ContentDate ContentTime ImageType Rows Columns BitsAllocated NumberOfFrames
        PhotometricInterpretation AvailableTransferSyntaxUID:c
    """,
    EVERY_LEVEL: "RetrieveAETitle:c InstanceAvailability:c",
})

# Between a lower-case letter and a capital, and before the last capital of a run that begins a word;
# not inside a plural such as the IDs of OtherPatientIDs.
_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s(?:[A-Z]|$))")


def column_name(keyword: str) -> str:
    """Spell a keyword in snake_case.

    Parameters
    ----------
    keyword : str
        A keyword of PS3.6.

    Returns
    -------
    str
        For instance ``sop_instance_uid`` for ``SOPInstanceUID``.
    """
    return _WORD_BOUNDARY.sub("_", keyword).lower()


def _make(keyword: str, level: str, flags: str) -> Attribute:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    computed = "c" in flags
    return Attribute(
        keyword=keyword,
        tag=int(tag),
        vr=dictionary_VR(tag),
        level=level,
        key_type=next((letter for letter in "UR" if letter in flags), "O"),
        column=None if computed else column_name(keyword),
        multi_valued=dictionary_VM(tag) != "1" and dictionary_VR(tag) != "SQ",
        indexed="i" in flags,
        computed=computed,
    )


ATTRIBUTES: tuple[Attribute, ...] = tuple(
    _make(keyword, level, flags)
    for level, entries in _TABLE.items()
    for keyword, _, flags in (entry.partition(":") for entry in entries.split())
)
"""Every attribute that the node matches or returns from the index, level by level from the top down."""

_BY_KEYWORD: Mapping[str, Attribute] = MappingProxyType({row.keyword: row for row in ATTRIBUTES})
_SPECIFIC_CHARACTER_SET = 0x00080005

WANTED_TAGS: frozenset[int] = frozenset(
    {row.tag for row in ATTRIBUTES if not row.computed} | {_SPECIFIC_CHARACTER_SET}
)
"""The tags to read from a received header: every stored attribute, and what is needed to decode their
text."""


def attribute(keyword: str) -> Attribute | None:
    """Return the row of an attribute.

    Parameters
    ----------
    keyword : str
        A keyword of PS3.6.

    Returns
    -------
    Attribute or None
        None for an attribute that the index does not keep.
    """
    return _BY_KEYWORD.get(keyword)


def value_representation(keyword: str) -> str:
    """Return the VR of an attribute, whether the index keeps it or not.

    Parameters
    ----------
    keyword : str
        A keyword of PS3.6.

    Returns
    -------
    str
        ``UN`` for a keyword that PS3.6 does not have.
    """
    if (row := _BY_KEYWORD.get(keyword)) is not None:
        return row.vr
    tag = tag_for_keyword(keyword)
    return "UN" if tag is None else dictionary_VR(tag)


def at_level(level: str) -> tuple[Attribute, ...]:
    """Return the attributes of one level.

    Parameters
    ----------
    level : str
        One of `LEVELS`, or `EVERY_LEVEL`.

    Returns
    -------
    tuple of Attribute
        In the order of the table. Those of `EVERY_LEVEL` are not among those of a named level.
    """
    return tuple(row for row in ATTRIBUTES if row.level == level)
