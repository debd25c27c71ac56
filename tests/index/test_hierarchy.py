"""Patients, studies and series: what is one, and what is a conflict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from medserver.index import Index, open_index
from medserver.index.database.opening import open_backend
from medserver.index.database.writer import Collision
from medserver.index.objects import additions
from medserver.index.objects.conflicts import Conflicts
from medserver.index.objects.hierarchy import Hierarchy
from tests.index.samples import find, record


def patients(index: Index) -> list[tuple[str | None, str | None]]:
    return find(index, "PATIENT", "PatientID", "PatientName")


@pytest.mark.parametrize(
    "difference",
    [
        {"patient_name": "Roe^Jane"},
        {"patient_birth_date": "19710101"},
        {"patient_sex": "F"},
        {"patient_name": "Doe^John=山田^次郎"},
    ],
)
def test_a_second_person_under_an_identifier_is_kept_apart(index: Index, difference: dict[str, str]) -> None:
    first = {
        "patient_id": "X",
        "patient_name": "Doe^John=山田^太郎",
        "patient_birth_date": "19700101",
        "patient_sex": "M",
    }
    second = first | difference
    assert index.add(record(study=1, **first)).conflicts == ()
    assert index.add(record(study=2, **second)).conflicts == ("patient",)
    # Later instances, of old and new studies, go to the person that they name.
    assert index.add(record(study=2, number=2, **second)).conflicts == ()
    assert index.add(record(study=3, **second)).conflicts == ()
    assert index.add(record(study=4, **first)).conflicts == ()
    assert index.counts().patients == 2
    keyword, value = {
        "patient_name": ("PatientName", second["patient_name"]),
        "patient_birth_date": ("PatientBirthDate", "19710101"),
        "patient_sex": ("PatientSex", "F"),
    }[next(iter(difference))]
    assert find(index, "STUDY", "StudyInstanceUID", **{keyword: value}) == ["1.2.2", "1.2.3"]


def test_a_conflict_tells_both_sides(index: Index) -> None:
    index.add(record(study=1, patient_id="X", patient_name="Doe^John", patient_sex="M"))
    index.add(record(study=2, patient_id="X", patient_name="Roe^Jane", calling_ae_title="MR2"))
    [conflict] = index.conflicts()
    assert (conflict.kind, conflict.subject) == ("patient", "X")
    assert conflict.present == {"patient_id": "X", "patient_name": "Doe^John", "patient_sex": "M"}
    assert conflict.arrived == {"patient_id": "X", "patient_name": "Roe^Jane"}
    assert (conflict.sop_instance_uid, conflict.calling_ae_title) == ("1.2.2.1.1", "MR2")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Doe^John", "DOE^JOHN"),
        ("Doe^John", "Doe^John^^^"),
        ("Doe^John", ""),
        ("", "Doe^John"),
        ("Müller^Hans", "MULLER^HANS"),
        ("Yamada^Taro", "Yamada^Taro=山田^太郎"),
    ],
)
def test_spellings_of_one_name_are_one_person(index: Index, first: str, second: str) -> None:
    index.add(record(study=1, patient_id="X", patient_name=first))
    assert index.add(record(study=2, patient_id="X", patient_name=second)).conflicts == ()
    assert patients(index) == [("X", first or second)]


def test_what_is_empty_is_learnt_and_then_counts(index: Index) -> None:
    index.add(record(study=1, patient_id="X", patient_birth_date=""))
    index.add(record(study=2, patient_id="X", patient_name="Doe^John1", patient_birth_date="1970.01.01"))
    assert find(index, "PATIENT", "PatientBirthDate", PatientBirthDate="19700101") == ["1970.01.01"]
    later = record(study=3, patient_id="X", patient_name="Doe^John1", patient_birth_date="19800101")
    assert index.add(later).conflicts == ("patient",)


def test_studies_and_series_learn_too(index: Index) -> None:
    index.add(record(number=1))
    index.add(record(number=2, accession_number="A1", series_number="7", study_date="20260131"))
    index.add(record(number=3, accession_number="A2"))
    assert find(index, "SERIES", "AccessionNumber", "SeriesNumber", StudyDate="20260131") == [("A1", "7")]


def test_issuers_make_different_patients(index: Index) -> None:
    index.add(record(study=1, patient_id="X", issuer_of_patient_id="A"))
    added = index.add(record(study=2, patient_id="X", issuer_of_patient_id="B"))
    assert added.conflicts == ()
    assert index.counts().patients == 2


def test_each_study_without_identifier_has_a_patient_of_its_own(index: Index) -> None:
    names = ["Doe^John", "Roe^Jane", "", "Doe^John", ""]
    for _ in range(2):  # what comes again makes nobody new
        for study, name in enumerate(names):
            for number in (1, 2):
                added = index.add(record(study=study, number=number, patient_id=None, patient_name=name))
                assert added.conflicts == ()
    assert Counter(patients(index)) == Counter((None, name or None) for name in names)
    assert index.counts().conflicts == 0
    assert [len(find(index, "STUDY", "StudyInstanceUID", PatientName=name)) for name in ("Doe*", "Roe*")] == [2, 1]


def test_a_patient_without_identifier_is_told_of_by_his_own_study_only(index: Index) -> None:
    index.add(record(study=1, patient_id=None, patient_name=""))
    index.add(record(study=2, patient_id=None, patient_name=""))
    assert index.add(record(study=1, number=2, patient_id=None, patient_name="Doe^John")).conflicts == ()
    assert patients(index) == [(None, "Doe^John"), (None, None)]
    assert index.add(record(study=1, number=3, patient_id=None, patient_name="Roe^Jane")).conflicts == ("study",)
    assert index.add(record(study=2, number=2, patient_id="X", patient_name="")).conflicts == ("study",)


def test_patients_without_identifier_of_an_earlier_version_are_divided(index_url: str, tmp_path: Path) -> None:
    """Two of one name were one, and the others were conflicts."""
    with open_index(index_url, base=tmp_path) as index:
        for study in range(1, 5):
            index.add(record(study=study, patient_id=None, patient_name="Doe^John"))
        index.add(record(study=5, patient_id="X"))
    database = open_backend(index_url, tmp_path).database
    with database.connection_context():
        for statement in (
            "UPDATE studies SET patient = (SELECT MIN(id) FROM patients WHERE patient_id = '') "
            "WHERE study_instance_uid IN ('1.2.2', '1.2.3')",
            "DELETE FROM patients WHERE NOT EXISTS (SELECT 1 FROM studies WHERE studies.patient = patients.id)",
            "INSERT INTO conflicts (fingerprint, kind, subject, present, arrived, sop_instance_uid, found_at) "
            "VALUES ('f', 'patient', '', '{}', '{}', '1.2.2.1.1', '2026-01-01T00:00:00.000000Z')",
            "DELETE FROM schema_migrations WHERE name >= '0015' AND name < '0016'",
        ):
            database.execute_sql(statement)
    with open_index(index_url, base=tmp_path) as index:
        assert (index.counts().patients, index.counts().conflicts) == (5, 0)
        assert len(find(index, "STUDY", "StudyInstanceUID", PatientName="Doe^John")) == 4
        assert index.add(record(study=2, number=2, patient_id=None, patient_name="Doe^John")).conflicts == ()
        assert index.counts().patients == 5


def test_a_study_stays_with_its_first_patient(index: Index) -> None:
    index.add(record(study=1, patient_id="X", patient_name="Doe^John"))
    arrived = record(study=1, series=2, patient_id="Y", patient_name="Roe^Jane")
    assert index.add(arrived).conflicts == ("study",)
    assert find(index, "SERIES", "SeriesInstanceUID", PatientID="X") == ["1.2.1.1", "1.2.1.2"]
    assert patients(index) == [("X", "Doe^John")]
    [conflict] = index.conflicts()
    assert (conflict.kind, conflict.subject) == ("study", "1.2.1")
    assert (conflict.present["patient_id"], conflict.arrived["patient_id"]) == ("X", "Y")


def test_a_decision_about_a_conflict_is_kept(index: Index) -> None:
    index.add(record(patient_id="X"))
    index.add(record(series=2, patient_id="Y"))
    [conflict] = index.conflicts()
    assert index.unresolved_conflicts(conflict.found_at) == (1, 1)
    assert index.unresolved_conflicts(conflict.found_at + timedelta(seconds=1)) == (1, 0)
    assert index.resolve_conflict(conflict.number, "mtra", "seen")
    assert not index.resolve_conflict(conflict.number, "other", "again")
    index.add(record(series=3, patient_id="Y"))  # the same conflict, from another series
    [resolved] = index.conflicts()
    assert resolved == index.conflict(conflict.number)
    assert (resolved.resolved_by, resolved.resolution) == ("mtra", "seen")
    assert index.unresolved_conflicts(conflict.found_at) == (0, 0)


def test_a_conflict_is_recorded_once(index: Index) -> None:
    index.add(record(study=1, patient_id="X"))
    kinds = [index.add(record(series=series, patient_id="Y")).conflicts for series in (2, 3, 4)]
    assert kinds == [("study",), (), ()]
    assert index.counts().conflicts == 1


def test_a_missing_issuer_is_no_other_patient_of_a_known_study(index: Index) -> None:
    index.add(record(series=1, issuer_of_patient_id="HOSPITAL"))
    assert index.add(record(series=2)).conflicts == ()


def test_a_series_uid_in_two_studies_makes_two_series(index: Index) -> None:
    index.add(record(study=1, series_instance_uid="1.9", patient_id="X", patient_name="A"))
    second = record(study=2, series_instance_uid="1.9", patient_id="X", patient_name="A")
    assert index.add(second).conflicts == ("series",)
    assert find(index, "SERIES", "StudyInstanceUID", SeriesInstanceUID="1.9") == ["1.2.1", "1.2.2"]
    [conflict] = index.conflicts()
    assert (conflict.kind, conflict.subject) == ("series", "1.9")
    assert conflict.present == {"study_instance_uid": "1.2.1"}
    assert conflict.arrived == {"study_instance_uid": "1.2.2"}


class Interrupted:
    """A connection on which another process is quicker behind the first statement about some rows."""

    def __init__(self, connection: Any, about: str, quicker: Callable[[], object]) -> None:
        self._connection, self._about, self._quicker = connection, about, quicker

    def execute(self, statement: str, parameters: tuple = ()) -> Any:
        cursor = self._connection.execute(statement, parameters)
        if self._about in statement and (quicker := self._quicker):
            self._quicker = None
            quicker()
        return cursor


def test_a_person_whom_another_process_adds_meanwhile_is_not_added_twice(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    """On PostgreSQL each statement sees what was committed before it."""
    with open_index(new_database(), base=tmp_path) as index:
        backend = index.backend
        addition = additions.prepare(record(1, patient_id="P", patient_name="Doe^John"))

        def add_other() -> None:
            index.add(record(2, patient_id="P", patient_name="Doe^John"))

        connection = backend.connect(writing=True)
        backend.begin(connection)
        hierarchy = Hierarchy(backend, Conflicts(backend))
        interrupted = Interrupted(connection, 'FROM "patients"', add_other)
        with pytest.raises(Collision):  # the transaction is repeated then
            hierarchy.series(interrupted, addition.above, addition.witness)
        backend.rollback(connection)
        connection.close()
        assert find(index, "PATIENT", "PatientName") == ["Doe^John"]
