"""Each common query begins with an index, whether SQLite has statistics or not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medserver.index import Index, open_index
from medserver.index.database.models import MODELS
from medserver.index.find.query import Matching, compiled
from tests.conftest import MakeDirectory
from tests.index.samples import conditions, record

STUDIES = 400

QUERIES = {
    "patient by identifier": ("PATIENT", {"PatientID": "P7"}, "patients"),
    "study by patient": ("STUDY", {"PatientID": "P7"}, "patients"),
    "study by UID": ("STUDY", {"StudyInstanceUID": "1.2.7"}, "studies"),
    "study by several UIDs": ("STUDY", {"StudyInstanceUID": "1.2.7\\1.2.8"}, "studies"),
    "study by accession number": ("STUDY", {"AccessionNumber": "A7"}, "studies"),
    "study by beginning of accession number": ("STUDY", {"AccessionNumber": "A7*"}, "studies"),
    "patient by name": ("PATIENT", {"PatientName": "doe^john7"}, "patients"),
    "patient by beginning of name": ("PATIENT", {"PatientName": "doe^john7*"}, "patients"),
    "study by beginning of name": ("STUDY", {"PatientName": "doe^john7*"}, "patients"),
    "study by beginning of name, ideographic": ("STUDY", {"PatientName": "=山*"}, "patients"),
    "study by date": ("STUDY", {"StudyDate": "20260105"}, "studies"),
    "study by range of dates": ("STUDY", {"StudyDate": "20260105-20260106"}, "studies"),
    "study by open range of dates": ("STUDY", {"StudyDate": "20260128-"}, "studies"),
    "study by modality": ("STUDY", {"ModalitiesInStudy": "XA"}, "series"),
    "study by several modalities": ("STUDY", {"ModalitiesInStudy": "XA\\MG"}, "series"),
    "study by modality of a series": ("STUDY", {"Modality": "XA"}, "series"),
    "patient by modality": ("PATIENT", {"ModalitiesInStudy": "XA"}, "series"),
    "study by UID of a series": ("STUDY", {"SeriesInstanceUID": "1.2.7.1"}, "series"),
    "study by UID of an instance": ("STUDY", {"SOPInstanceUID": "1.2.7.1.1"}, "instances"),
    "study by date and modality": ("STUDY", {"StudyDate": "20260105", "ModalitiesInStudy": "XA"}, "studies"),
    "study by patient and modality": ("STUDY", {"PatientID": "P7", "ModalitiesInStudy": "CT"}, "patients"),
    "series by study": ("SERIES", {"StudyInstanceUID": "1.2.7"}, "studies"),
    "series by UID": ("SERIES", {"SeriesInstanceUID": "1.2.7.1"}, "series"),
    "series by modality": ("SERIES", {"Modality": "XA"}, "series"),
    "image by series": ("IMAGE", {"StudyInstanceUID": "1.2.7", "SeriesInstanceUID": "1.2.7.1"}, "series"),
    "image by UID": ("IMAGE", {"SOPInstanceUID": "1.2.7.1.1"}, "instances"),
}  # fmt: skip


def fill(index: Index) -> None:
    """Make studies of many patients, most of them CT."""
    for number in range(STUDIES):
        index.add(
            record(
                study=number,
                modality="XA" if number % 50 == 7 else "CT",
                accession_number=f"A{number}",
                study_date=f"202601{number % 28 + 1:02}",
            )
        )


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
def filled(request: pytest.FixtureRequest, make_directory: MakeDirectory) -> Index:
    base: Path = make_directory("plans")
    with open_index("sqlite:///index.db", base=base) as index:
        fill(index)
        if request.param == "with statistics":
            index.optimise()
            connection = index.backend.connect()
            assert connection.execute("SELECT COUNT(*) FROM sqlite_stat1").fetchone()[0] > 5
            connection.close()
        yield index


def plan(index: Index, level: str, keys: dict[str, str]) -> list[str]:
    """Return the steps of SQLite's plan for a query, with tables by their names."""
    query = Matching(index.backend, level, conditions(**keys)).rows(MODELS[level].id)
    statement, parameters = compiled(index.backend, query)
    names = dict(re.findall(r'"(\w+)" AS "(\w+)"', statement))
    aliases = {alias: table for table, alias in names.items()}
    with index.backend.searching(index.backend.connections()).lent() as connection:
        steps = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, parameters)]
    return [
        re.sub(r"^(SEARCH|SCAN) (\w+)", lambda found: f"{found[1]} {aliases.get(found[2], found[2])}", step)
        for step in steps
    ]


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_begins_with_an_index(filled: Index, name: str) -> None:
    level, keys, table = QUERIES[name]
    steps = plan(filled, level, keys)
    assert not [step for step in steps if step.startswith("SCAN") and "json_each" not in step], steps
    searched = [step for step in steps if step.startswith("SEARCH")]
    assert any(re.match(rf"SEARCH {table} .*USING .*(INDEX|KEY)", step) for step in searched), steps


def test_the_detector_sees_a_scan(filled: Index) -> None:
    assert any(step.startswith("SCAN") for step in plan(filled, "STUDY", {"StudyDescription": "X"}))
