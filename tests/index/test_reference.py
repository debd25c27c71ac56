"""For random archives and conditions the answers of the index are those of `medserver.dicom.matching`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from medserver.dicom.attributes import ATTRIBUTES, LEVELS, UNIQUE_KEYS, Attribute, attribute
from medserver.dicom.matching import CombinedRange, Condition, combine_date_times, matches, parse_key
from medserver.errors import IdentifierMismatch
from medserver.index import Index, InstanceRecord, Query
from medserver.index.find.computed import COMPUTED
from tests.index.samples import CT, EXPLICIT, IMPLICIT, MR, forget, record

Row = dict[str, Any]

TEXTS = [
    "A",
    "AB",
    "ABC",
    "a",
    "A%",
    "A_B",
    "A[B]",
    "%",
    "_",
    "A B",
    "Ä",
    "山田",
    "A'B",
    'A"B',
    "\U0010ffff",
    "\ud7ff",
]
NAMES = [
    "Müller^Hans", "MULLER^HANS", "Doe^John", "doe^jane", "Doe", "Yamada^Taro=山田^太郎=やまだ^たろう",
    "=山田^次郎",
    "D%e", "D_e^[x]", "O'Neil^A  B", "Ærø",
]  # fmt: skip
DATES = ["20260131", "20260201", "2026.01.31", "19991231", "nonsense", "20260130"]
TIMES = ["1012", "101259.5", "10", "235959.999999", "10:12:30", "later"]
NUMBERS = ["1", "01", "+1", "2", "10", "-3", "x"]
PATTERNS = [
    "A*",
    "*B",
    "A?",
    "?",
    "*A*",
    "A*B*",
    "%*",
    "*_*",
    "[*",
    "A[?]",
    "山*",
    "Ä*",
    "\U0010ffff*",
    "\ud7ff*",
    "*B]",
]
NAME_PATTERNS = [
    "mul*", "MÜLLER^HANS", "doe*", "doe^*", "*^j*", "?oe", "yamada*=山田*", "=山*", "==や*", "山田^太郎",
    "d%*", "d_e*", "*[x]",
    "o'neil^a b", "=*=", "æ*",
]  # fmt: skip
RANGES = ["20260131", "20260101-20260131", "20260131-", "-20260131", "19000101-20990101"]
TIME_RANGES = ["1012", "10-11", "1012-", "-1012", "10", "101259.5-101259.5"]

# Attributes that identify, and those that must agree among the instances of a patient.
KEYS = {
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "IssuerOfPatientID",
}


def value_strategy(row: Attribute) -> st.SearchStrategy[str | None]:
    """Values of an attribute as they are received."""
    if row.vr == "SQ":
        item = st.fixed_dictionaries(
            {
                "ScheduledProcedureStepID": st.sampled_from(TEXTS),
                "RequestedProcedureID": st.sampled_from(TEXTS),
            }
        )
        return st.lists(item, min_size=1, max_size=2).map(to_json)
    samples = {"PN": NAMES, "DA": DATES, "TM": TIMES, "IS": NUMBERS, "DS": [*NUMBERS, "1.0", "1e0", "0.50"]}
    samples |= {"US": ["1", "2", "512"], "UI": ["1.2.3", "1.2.4"], "AS": ["030Y", "031Y"]}
    single = st.sampled_from(samples.get(row.vr, TEXTS))
    if row.multi_valued:
        return st.lists(single, min_size=1, max_size=3).map("\\".join)
    if row.vr == "LT":
        return st.sampled_from([*TEXTS, "A\\B", " A", "A "])
    return single


def to_json(items: list[dict[str, str]]) -> str:
    """Write items as DICOM JSON."""
    tags = {"ScheduledProcedureStepID": "00400009", "RequestedProcedureID": "00401001"}
    return json.dumps(
        [{tags[key]: {"vr": "SH", "Value": [value]} for key, value in item.items()} for item in items]
    )


def from_json(text: str) -> list[dict[str, str]]:
    """Read what `to_json` wrote."""
    names = {"00400009": "ScheduledProcedureStepID", "00401001": "RequestedProcedureID"}
    return [{names[tag]: element["Value"][0] for tag, element in item.items()} for item in json.loads(text)]


@st.composite
def key_strategy(draw: st.DrawFn, row: Attribute) -> Any:
    """Values of a matching key."""
    if row.vr == "SQ":
        return [
            {
                draw(st.sampled_from(["ScheduledProcedureStepID", "RequestedProcedureID"])): draw(
                    st.sampled_from([*TEXTS, *PATTERNS])
                )
            }
        ]
    if row.keyword == "SOPClassesInStudy" or row.keyword == "SOPClassUID":
        return draw(st.sampled_from([CT, MR, f"{CT}\\{MR}", "1.2"]))
    if row.keyword == "AvailableTransferSyntaxUID":
        return draw(st.sampled_from([EXPLICIT, f"{EXPLICIT}\\{IMPLICIT}", "1.2"]))
    if row.vr == "UI":
        return draw(
            st.sampled_from(
                ["1.2.1", "1.2.1.1", "1.2.1.1.1", "1.2.3", "1.2.1\\1.2.2\\1.2.1.2", "1.2.3\\1.2.4"]
            )
        )
    pools = {
        "PN": [*NAMES, *NAME_PATTERNS, "doe*\\mul*"],
        "DA": RANGES,
        "TM": TIME_RANGES,
        "IS": NUMBERS,
        "DS": [*NUMBERS, "1.00", "0.5"],
        "US": ["512", "1"],
    }
    return draw(st.sampled_from(pools.get(row.vr, [*TEXTS, *PATTERNS, "A\\B*", "P1", "P*"])))


STORED = {
    level: [row for row in ATTRIBUTES if row.level == level and row.column and row.keyword not in KEYS]
    for level in LEVELS
}
MATCHED = [row for row in ATTRIBUTES if row.level in LEVELS and (row.column or row.keyword in COMPUTED)]


@st.composite
def values_of(draw: st.DrawFn, level: str) -> Row:
    """Some attributes of one entity."""
    rows = draw(st.lists(st.sampled_from(STORED[level]), max_size=8, unique=True))
    return {row.column: draw(value_strategy(row)) for row in rows}


@st.composite
def archives(draw: st.DrawFn) -> list[InstanceRecord]:
    """Up to two patients with two studies of two series of two instances."""
    records = []
    study_number = 0
    for patient_number in range(1, draw(st.integers(1, 2)) + 1):
        patient = draw(values_of("PATIENT")) | {"patient_id": f"P{patient_number}"}
        for _ in range(draw(st.integers(1, 2))):
            study_number += 1
            study = patient | draw(values_of("STUDY"))
            for series_number in range(1, draw(st.integers(1, 2)) + 1):
                series = study | {"modality": None} | draw(values_of("SERIES"))
                for number in range(1, draw(st.integers(1, 2)) + 1):
                    changes = (
                        {"patient_name": None} | series | {"instance_number": None} | draw(values_of("IMAGE"))
                    )
                    records.append(
                        record(
                            study_number,
                            series_number,
                            number,
                            sop_class_uid=draw(st.sampled_from([CT, MR])),
                            transfer_syntax_uid=draw(st.sampled_from([EXPLICIT, IMPLICIT])),
                            **changes,
                        )
                    )
    return records


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, tuple[Condition, ...]]:
    """A level and up to three conditions at any level."""
    level = draw(st.sampled_from(LEVELS))
    rows = draw(st.lists(st.sampled_from(MATCHED), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        prefix = draw(st.sampled_from(["Study", "Series", "Content", "PatientBirth"]))
        rows += [row for name in ("Date", "Time") if (row := attribute(prefix + name))]
    parsed: list[Condition] = []
    for row in dict.fromkeys(rows):
        if row.computed and LEVELS.index(row.level) > LEVELS.index(level):
            continue
        try:
            condition = parse_key(row.keyword, row.vr, draw(key_strategy(row)))
        except IdentifierMismatch:
            continue
        if condition is not None:
            parsed.append(condition)
    return level, combine_date_times(parsed) if draw(st.booleans()) else tuple(parsed)


class Model:
    """The archive as a list of rows, one an instance, with everything that can be asked of it."""

    def __init__(self, records: list[InstanceRecord]) -> None:
        self.rows: list[Row] = []
        for item in records:
            row = {"SOPClassUID": item.sop_class_uid, "SOPInstanceUID": item.sop_instance_uid}
            row["AvailableTransferSyntaxUID"] = item.transfer_syntax_uid
            for column, value in item.values.items():
                keyword = next(known.keyword for known in ATTRIBUTES if known.column == column)
                row[keyword] = from_json(value) if value and keyword == "RequestAttributesSequence" else value
            self.rows.append(row)
        for row in self.rows:
            self._compute(row)

    def _compute(self, row: Row) -> None:
        patient = [other for other in self.rows if other["PatientID"] == row["PatientID"]]
        study = [other for other in patient if other["StudyInstanceUID"] == row["StudyInstanceUID"]]
        series = [other for other in study if other["SeriesInstanceUID"] == row["SeriesInstanceUID"]]
        row["NumberOfPatientRelatedInstances"] = len(patient)
        row["NumberOfPatientRelatedStudies"] = len({other["StudyInstanceUID"] for other in patient})
        row["NumberOfPatientRelatedSeries"] = len({other["SeriesInstanceUID"] for other in patient})
        row["NumberOfStudyRelatedInstances"] = len(study)
        row["NumberOfStudyRelatedSeries"] = len({other["SeriesInstanceUID"] for other in study})
        row["NumberOfSeriesRelatedInstances"] = len(series)
        row["ModalitiesInStudy"] = sorted({other["Modality"] for other in study if other.get("Modality")})
        row["SOPClassesInStudy"] = sorted({other["SOPClassUID"] for other in study})

    def find(self, level: str, conditions: tuple[Condition, ...]) -> set[str]:
        """Return the unique keys of the entities that match."""
        found = (row for row in self.rows if all(fulfilled(condition, row) for condition in conditions))
        return {row[UNIQUE_KEYS[level]] for row in found}


def fulfilled(condition: Condition, row: Row) -> bool:
    """Ask the reference."""
    if isinstance(condition, CombinedRange):
        return matches(condition, (row.get(condition.date_keyword), row.get(condition.time_keyword)))
    return matches(condition, row.get(condition.keyword))


@pytest.fixture
def refill(index: Index) -> Iterator[Callable[[list[InstanceRecord]], None]]:
    """A function that replaces everything in the index."""

    def refill_with(records: list[InstanceRecord]) -> None:
        for location in list(index.locations()):
            forget(index, location.volume, location.path)
        assert index.counts().patients == 0
        for item in records:
            assert index.add(item).outcome == "stored"

    yield refill_with


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(records=archives(), asked=st.lists(queries(), min_size=8, max_size=20))
def test_answers_are_those_of_the_reference(
    index: Index,
    refill: Callable[[list[InstanceRecord]], None],
    records: list[InstanceRecord],
    asked: list[tuple[str, tuple[Condition, ...]]],
) -> None:
    assume(records)
    refill(records)
    model = Model(records)
    for level, conditions in asked:
        key = UNIQUE_KEYS[level]
        answered = [answer[key] for answer in index.find(Query(level, conditions, (key,)))]
        expected = model.find(level, conditions)
        assert len(answered) == len(set(answered)), conditions
        assert set(answered) == expected, (level, conditions)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=archives(), data=st.data())
def test_selections_are_those_of_the_reference(
    index: Index,
    refill: Callable[[list[InstanceRecord]], None],
    records: list[InstanceRecord],
    data: st.DataObject,
) -> None:
    refill(records)
    model = Model(records)
    for _ in range(5):
        _, conditions = data.draw(queries())
        selected = index.select(conditions)
        uids = [stored.sop_instance_uid for stored in selected]
        assert len(uids) == selected.count == len(set(uids))
        assert set(uids) == model.find("IMAGE", conditions)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=archives(), level=st.sampled_from(LEVELS))
def test_values_come_back_as_they_were_sent(
    index: Index, refill: Callable[[list[InstanceRecord]], None], records: list[InstanceRecord], level: str
) -> None:
    refill(records)
    model = Model(records)
    kept = [row for row in MATCHED if LEVELS.index(row.level) <= LEVELS.index(level) and row.vr != "SQ"]
    unique = UNIQUE_KEYS[level]
    for answer in index.find(Query(level, (), tuple(row.keyword for row in kept))):
        [sent, *_] = [row for row in model.rows if row[unique] == answer[unique]]
        for row in kept:
            value = answer[row.keyword]
            expected = sent.get(row.keyword)
            if row.column and row.multi_valued:
                expected = expected.split("\\") if expected else None
            elif row.column and expected:
                expected = expected.rstrip() if row.vr == "LT" else expected.strip()
            assert value == (expected or None if row.column else expected), row.keyword
