"""Search (QIDO-RS, PS3.18 10.6, 8.3.4): the parameters of a request as the identifier of a query, and its matches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, UNIQUE_KEYS, at_level, attribute
from medserver.dicom.data_sets import write_data_set
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.representations import BINARY_NUMBERS, FLOAT_VRS
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import BadRequest
from medserver.node import Node
from medserver.queries.key import Key
from medserver.queries.matches import matches
from medserver.queries.model import STUDY_ROOT
from medserver.queries.plan import make_plan
from medserver.web import dicom_json

RESULTS_MAX = 1000
"""How many matches an answer holds at most; more are told of, and fetched with `offset`."""

PARAMETERS_MAX = 200
_RELATIONAL = bytes((1, 1))
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER = re.compile(r"[0-9]{1,9}")

_OTHERS = frozenset({"accept", "charset", "multiplevaluematching", "emptyvaluematching"})
"""Parameters that are no attributes, and change nothing here."""

_OF_STUDIES = (
    "StudyDate", "StudyTime", "AccessionNumber", "InstanceAvailability", "ModalitiesInStudy", "ReferringPhysicianName",
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID",
    "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
)  # fmt: skip
_OF_SERIES = (
    "Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber",
    "NumberOfSeriesRelatedInstances", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "RequestAttributesSequence",
)  # fmt: skip
_OF_INSTANCES = (
    "SOPClassUID", "SOPInstanceUID", "InstanceAvailability", "InstanceNumber", "Rows",
    "Columns", "BitsAllocated", "NumberOfFrames",
)  # fmt: skip

ALWAYS: Mapping[str, tuple[str, ...]] = {"STUDY": _OF_STUDIES, "SERIES": _OF_SERIES, "IMAGE": _OF_INSTANCES}
"""What every match of a level holds (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""


@dataclass
class Search:
    """What a search asks for, and what of it is passed over.

    Parameters
    ----------
    level : str
        What one match is about: STUDY, SERIES or IMAGE.
    identifier : Dataset
        The keys, as those of a C-FIND.
    limit, offset : int
        How many matches, behind how many.
    warnings : list of str
        What is told beside the matches.
    """

    level: str
    identifier: Dataset = field(default_factory=Dataset)
    limit: int = RESULTS_MAX
    offset: int = 0
    warnings: list[str] = field(default_factory=list)


def search_of(level: str, path: Mapping[str, str], parameters: Sequence[tuple[str, str]]) -> Search:
    """Read a search.

    Parameters
    ----------
    level : str
        The level of the resource.
    path : mapping of str to str
        The UIDs in the path, by keyword: of the study and the series in which is searched.
    parameters : sequence of (name, value)
        Those of the query, decoded, in their order.

    Raises
    ------
    BadRequest
        A parameter that is understood has a value that is not.
    """
    if len(parameters) > PARAMETERS_MAX:
        raise BadRequest(f"more than {PARAMETERS_MAX} parameters")
    search = Search(level)
    above = [other for other in LEVELS[1 : LEVELS.index(level)] if UNIQUE_KEYS[other] not in path]
    for each in (level, *above):  # of what the path does not name (PS3.18 10.6.3.3.2, 10.6.3.3.3)
        _include(search, ALWAYS[each])
    for name, value in parameters:
        read_parameter(search, name, value)
    for keyword, uid in path.items():
        _put(search.identifier, [keyword], uid)
    search.identifier.QueryRetrieveLevel = level
    return search


def found(node: Node, search: Search, base: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the matches as DICOM JSON, and whether there are more.

    Parameters
    ----------
    base : str
        The URL of the service, of which the Retrieve URLs are.

    Raises
    ------
    BadRequest
        A value is not one of its attribute.
    IndexFailure
        The database fails.
    """
    plan = make_plan(search.identifier, STUDY_ROOT, _RELATIONAL)
    keys = [key for key in plan.keys if _is_told(key, search.level)]
    own = [UNIQUE_KEYS[level] for level in LEVELS[1 : LEVELS.index(search.level) + 1]]
    rows = (values for values in matches(plan, node, newest_first=True) if values is not None)
    page = list(islice(rows, search.offset, search.offset + search.limit + 1))
    answers = []
    for values in page[: search.limit]:
        values["InstanceAvailability"] = "ONLINE"
        answer = dicom_json.match(keys, values)
        answer["00081190"] = {"vr": "UR", "Value": [retrieve_url(base, [values[keyword] for keyword in own])]}
        answers.append(dict(sorted(answer.items())))
    return answers, len(page) > search.limit


def retrieve_url(base: str, uids: Sequence[str]) -> str:
    """Return where a study, series or instance is retrieved, from the UIDs of it and what it is in."""
    return base + "".join(f"/{name}/{uid}" for name, uid in zip(("studies", "series", "instances"), uids, strict=False))


def _is_told(key: Key, level: str) -> bool:
    """Tell whether a match holds a key: not what belongs to a lower level (PS3.18 10.6.3.3.1)."""
    known = attribute(key.keyword) if key.keyword else None
    return known is None or known.level == EVERY_LEVEL or LEVELS.index(known.level) <= LEVELS.index(level)


def read_parameter(search: Search, name: str, value: str) -> None:
    """Read a parameter into a search.

    Raises
    ------
    BadRequest
        It is understood, and has a value that is not.
    """
    small = name.lower()
    if small == "includefield":
        _include_field(search, value)
    elif small in ("limit", "offset"):
        if _NUMBER.fullmatch(value) is None:
            raise BadRequest(f"{small} is not a number")
        number = int(value)
        setattr(search, small, min(number, RESULTS_MAX) if small == "limit" else number)
    elif small == "fuzzymatching":
        if value.lower() == "true":
            search.warnings.append(
                "The fuzzymatching parameter is not supported. Only literal matching has been performed."
            )
    elif small not in _OTHERS:
        path = _path(name)
        if path is None:
            search.warnings.append(f"The parameter {_shown(name)} is not supported, and was passed over.")
        else:
            _put(search.identifier, path, value)


def _include_field(search: Search, value: str) -> None:
    for word in filter(None, (part.strip() for part in value.split(","))):
        path = _path(word)
        if word.lower() == "all":
            _include(search, (row.keyword for row in at_level(search.level)))
        elif path is None:
            search.warnings.append(f"includefield {_shown(word)} is not known, and was passed over.")
        elif _belongs_to(path[0], search.level):
            _include(search, [path[0]])


def _belongs_to(keyword: str, level: str) -> bool:
    known = attribute(keyword)
    return known is None or known.level == EVERY_LEVEL or LEVELS.index(known.level) <= LEVELS.index(level)


def _include(search: Search, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if keyword not in search.identifier:
            _put(search.identifier, [keyword], "")


def _path(name: str) -> list[str] | None:
    """Return the keywords that a name of tags or keywords leads along; None if one is not known."""
    keywords = []
    for part in name.split("."):
        tag = int(part, 16) if _TAG.fullmatch(part) else tag_for_keyword(part)
        keyword = "" if tag is None else keyword_for_tag(tag)
        if not keyword:
            return None
        keywords.append(keyword)
    return keywords


def _put(dataset: Dataset, path: Sequence[str], value: str) -> None:
    """Put a key into an identifier, where a path of keywords leads: through the one item of each sequence.

    Raises
    ------
    BadRequest
        The value is not one of its attribute, or the path leads through what is no sequence.
    """
    keyword, *rest = path
    tag = Tag(tag_for_keyword(keyword))
    vr = dictionary_VR(tag).split(" or ")[0]
    if rest or vr == "SQ":
        if vr != "SQ":
            raise BadRequest(f"{keyword} is not a sequence")
        if keyword not in dataset:
            dataset.add_new(tag, "SQ", [Dataset()] if rest else [])
        if rest:
            if not dataset[keyword].value:
                dataset[keyword].value = [Dataset()]
            _put(dataset[keyword].value[0], rest, value)
        return
    if vr == "UI":
        value = value.replace(",", "\\")
    try:
        dataset.add_new(tag, vr, _typed(vr, value))
        write_data_set(Dataset({tag: dataset[tag]}), EXPLICIT_VR_LITTLE_ENDIAN)
    except PYDICOM_ERRORS:
        raise BadRequest(f"the value of {keyword} is not one of VR {vr}") from None


def _typed(vr: str, value: str) -> Any:
    if vr not in BINARY_NUMBERS:
        return value
    return None if not value else float(value) if vr in FLOAT_VRS else int(value)


def _shown(text: str) -> str:
    """Return what may stand in a header field of a text from outside."""
    return "".join(letter for letter in text[:64] if letter.isascii() and (letter.isalnum() or letter in "._-"))
