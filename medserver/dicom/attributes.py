"""The attributes that the index keeps, and what each is to a query.

One row an attribute: its level in the Query/Retrieve information model, whether it is a unique, required or
optional key there (PS3.4 C.6.1.1), and the column that holds it. The index, C-FIND, the reader of received
headers and the conformance statement all read this table. Tags, VRs and multiplicities are those of the data
dictionary (PS3.6), and stand here so that who only looks into the index need not import pydicom.

How a key is matched is in `matching`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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


# Tag, VR and VM (PS3.6 6), keyword, and flags: U or R for the key type (else optional), i for indexed, c for computed.
_TABLE: Mapping[str, str] = MappingProxyType({
    "PATIENT": """
        00100010 PN 1   PatientName                       Ri
        00100020 LO 1   PatientID                         Ui
        00100021 LO 1   IssuerOfPatientID
        00100030 DA 1   PatientBirthDate                  i
        00100032 TM 1   PatientBirthTime
        00100040 CS 1   PatientSex
        00101000 LO 1-n OtherPatientIDs
        00101001 PN 1-n OtherPatientNames
        00102160 SH 1   EthnicGroup
        00104000 LT 1   PatientComments
        00201200 IS 1   NumberOfPatientRelatedStudies     c
        00201202 IS 1   NumberOfPatientRelatedSeries      c
        00201204 IS 1   NumberOfPatientRelatedInstances   c
    """,
    "STUDY": """
        0020000D UI 1   StudyInstanceUID                  Ui
        00080020 DA 1   StudyDate                         Ri
        00080030 TM 1   StudyTime                         R
        00080050 SH 1   AccessionNumber                   Ri
        00200010 SH 1   StudyID                           Ri
        00081030 LO 1   StudyDescription
        00080090 PN 1   ReferringPhysicianName            i
        00081060 PN 1-n NameOfPhysiciansReadingStudy
        00081080 LO 1-n AdmittingDiagnosesDescription
        00101010 AS 1   PatientAge
        00101020 DS 1   PatientSize
        00101030 DS 1   PatientWeight
        00102180 SH 1   Occupation
        001021B0 LT 1   AdditionalPatientHistory
        00080061 CS 1-n ModalitiesInStudy                 c
        00080062 UI 1-n SOPClassesInStudy                 c
        00201206 IS 1   NumberOfStudyRelatedSeries        c
        00201208 IS 1   NumberOfStudyRelatedInstances     c
    """,
    "SERIES": """
        0020000E UI 1   SeriesInstanceUID                 Ui
        00080060 CS 1   Modality                          Ri
        00200011 IS 1   SeriesNumber                      R
        00080021 DA 1   SeriesDate
        00080031 TM 1   SeriesTime
        0008103E LO 1   SeriesDescription
        00180015 CS 1   BodyPartExamined
        00181030 LO 1   ProtocolName
        00185100 CS 1   PatientPosition
        00200060 CS 1   Laterality
        00081050 PN 1-n PerformingPhysicianName
        00081070 PN 1-n OperatorsName
        00080080 LO 1   InstitutionName
        00081040 LO 1   InstitutionalDepartmentName
        00081010 SH 1   StationName
        00080070 LO 1   Manufacturer
        00081090 LO 1   ManufacturerModelName
        00181000 LO 1   DeviceSerialNumber
        00200052 UI 1   FrameOfReferenceUID               i
        00400244 DA 1   PerformedProcedureStepStartDate   i
        00400245 TM 1   PerformedProcedureStepStartTime
        00400253 SH 1   PerformedProcedureStepID
        00400275 SQ 1   RequestAttributesSequence
        00201209 IS 1   NumberOfSeriesRelatedInstances    c
    """,
    "IMAGE": """
        00080018 UI 1   SOPInstanceUID                    Ui
        00080016 UI 1   SOPClassUID
        00200013 IS 1   InstanceNumber                    R
        00200012 IS 1   AcquisitionNumber
        00080022 DA 1   AcquisitionDate
        00080032 TM 1   AcquisitionTime
        00080023 DA 1   ContentDate
        00080033 TM 1   ContentTime
        00080008 CS 2-n ImageType
        00280010 US 1   Rows
        00280011 US 1   Columns
        00280100 US 1   BitsAllocated
        00280008 IS 1   NumberOfFrames
        00280004 CS 1   PhotometricInterpretation
        00083002 UI 1-n AvailableTransferSyntaxUID        c
    """,
    EVERY_LEVEL: """
        00080054 AE 1-n RetrieveAETitle                   c
        00080056 CS 1   InstanceAvailability              c
    """,
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


def _make(level: str, tag: str, vr: str, vm: str, keyword: str, flags: str = "") -> Attribute:
    computed = "c" in flags
    return Attribute(
        keyword=keyword,
        tag=int(tag, 16),
        vr=vr,
        level=level,
        key_type=next((letter for letter in "UR" if letter in flags), "O"),
        column=None if computed else column_name(keyword),
        multi_valued=vm != "1" and vr != "SQ",
        indexed="i" in flags,
        computed=computed,
    )


ATTRIBUTES: tuple[Attribute, ...] = tuple(
    _make(level, *line.split()) for level, lines in _TABLE.items() for line in lines.strip().splitlines()
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
    from pydicom.datadict import dictionary_VR, tag_for_keyword  # takes a while, and is seldom needed

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
