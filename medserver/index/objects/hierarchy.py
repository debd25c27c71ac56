"""Finding or making the patient, study and series that an instance belongs to.

Nothing is merged silently: who may be another person gets a patient of his own, a study stays with its
first patient, a series belongs to one study, and each time a conflict is recorded. A study without Patient ID
has a patient of its own: that is no conflict, and two such studies are never one patient's. Empty values are
filled in when a later instance knows them; other values stay as the first instance told them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

from peewee import Model, ModelSelect, Node, Query, fn

from medserver.errors import IndexFailure
from medserver.index.database.backend import Backend
from medserver.index.database.columns import IDENTIFYING, LEVEL_COLUMNS, common_row, newly_known
from medserver.index.database.memory import Memory
from medserver.index.database.models import MODELS, Patients, Series, Studies
from medserver.index.database.statements import PARAMETER, insertion, spelled, statement
from medserver.index.database.writer import Collision
from medserver.index.objects import conflicts
from medserver.index.objects.conflicts import Conflicts
from medserver.index.objects.identity import Person

_REMEMBERED_MAX = 1024
_PATIENT, _STUDY, _SERIES = (LEVEL_COLUMNS[level] for level in ("PATIENT", "STUDY", "SERIES"))
_STUDY_UID = _STUDY.index("study_instance_uid")
_SERIES_UID = _SERIES.index("series_instance_uid")
_TELLING = (
    "patient_name_alphabetic",
    "patient_name_ideographic",
    "patient_name_phonetic",
    "patient_birth_date_normal",
    "patient_sex",
)
_SHOWN = (*IDENTIFYING, "patient_name", "patient_birth_date", "patient_sex")

Values = tuple[str | None, ...]
Row = tuple[str | float | None, ...]


class Above(NamedTuple):
    """The values that an instance shares with its series, from `medserver.index.database.columns.level_values`."""

    patient: Values
    study: Values
    series: Values


class Hierarchy:
    """The rows above the instances.

    It remembers the series of recent instances.

    Parameters
    ----------
    backend : Backend
        The database.
    known_conflicts : Conflicts
        Where conflicts are recorded.
    """

    def __init__(self, backend: Backend, known_conflicts: Conflicts) -> None:
        self._conflicts = known_conflicts
        self._remembered: Memory[Above, int] = Memory(_REMEMBERED_MAX)
        self._backend = backend

    @statement
    def _known_patient(self) -> Query:
        return _select("PATIENT").where(Patients.id == PARAMETER)

    @statement
    def _patients_of_key(self) -> Query:
        every = Patients.alias()
        last = every.select(fn.MAX(every.distinction)).where(_has_key(every))
        first = Patients.select(last, *(getattr(Patients, name) for name in _SHOWN)).where(_has_key(Patients))
        return first.order_by(Patients.distinction).limit(1)

    @statement
    def _person(self) -> Query:
        same = _select("PATIENT").where(reduce(and_, map(_may_be, _TELLING), _has_key(Patients)))
        return same.order_by(Patients.distinction).limit(1)

    @statement
    def _known_study(self) -> Query:
        columns = (Studies.id, Studies.patient, *(getattr(Studies, name) for name in _STUDY))
        return Studies.select(*columns).where(Studies.study_instance_uid == PARAMETER)

    @statement
    def _known_series(self) -> Query:
        return _select("SERIES").where((Series.study == PARAMETER) & (Series.series_instance_uid == PARAMETER))

    @statement
    def _study_of_series(self) -> Query:
        found = Series.select(Studies.study_instance_uid).join(Studies).where(Series.series_instance_uid == PARAMETER)
        return found.order_by(Series.id).limit(1)

    @statement
    def _insert_patient(self) -> Query:
        return self._insertion("PATIENT", "distinction")

    @statement
    def _insert_study(self) -> Query:
        return self._insertion("STUDY", "patient")

    @statement
    def _insert_series(self) -> Query:
        return self._insertion("SERIES", "study")

    def _insertion(self, level: str, *more: str) -> Query:
        """Build the INSERT of one row of a level; it inserts nothing if another process has made the row."""
        row = insertion(MODELS[level], (*more, *LEVEL_COLUMNS[level])).on_conflict(action="NOTHING")
        return self._backend.telling(row, MODELS[level].id)

    def committed(self) -> None:
        """Remember what the transaction found or made."""
        self._remembered.committed()

    def forget(self) -> None:
        """Forget everything: a transaction failed, or rows were deleted."""
        self._remembered.forget()

    def known_series(self, above: Above) -> int | None:
        """Return the series of instances with these values, if it is remembered.

        It may have been deleted by another transaction; inserting an instance fails then, and `forget` is called.
        """
        return self._remembered.get(above)

    def series(
        self, connection: Any, above: Above, witness: tuple[str, str | None, str]
    ) -> tuple[int, tuple[str, ...]]:
        """Find or make the rows above an instance.

        Parameters
        ----------
        connection
            A connection in a transaction.
        above : Above
            The values of the instance.
        witness : tuple
            See `Conflicts.record`.

        Returns
        -------
        int
            The series.
        tuple of str
            The kinds of conflict that were recorded.

        Raises
        ------
        IndexFailure
            If there is no Study or Series Instance UID.
        Collision
            If another process made one of the rows at the same time.
        """
        revealed: list[str] = []
        study, study_uid = self._study(connection, above, witness, revealed)
        series = self._series(connection, study, study_uid, above.series, witness, revealed)
        self._remembered.note(above, series)
        return series, tuple(revealed)

    # Patients

    def _patient(self, connection: Any, row: Row, witness: tuple, revealed: list[str]) -> int:
        """Find or make the patient of a new study."""
        values = dict(zip(_PATIENT, row))
        key = (values["patient_id"], values["issuer_of_patient_id"])
        # First who else has the identifier: a person whom another process adds from here on takes the same distinction.
        others = connection.execute(self._patients_of_key, key + key).fetchall()
        # Nothing says that two are one, nor that they are not, where nobody has an identifier.
        found = self._find_person(connection, values) if others and values["patient_id"] else None
        if found is not None:
            self._learn(connection, "PATIENT", found[0], found[1:], row)
            return found[0]
        distinction = others[0][0] + 1 if others else 0
        patient = self._insert(connection, self._insert_patient, (distinction, *row))
        if others and values["patient_id"]:
            first = dict(zip(_SHOWN, others[0][1:]))
            shown = {name: values[name] for name in _SHOWN}
            if self._conflicts.record(connection, conflicts.PATIENT, str(key[0]), first, shown, witness):
                revealed.append(conflicts.PATIENT)
        return patient

    def _find_person(self, connection: Any, values: Mapping[str, Any]) -> Row | None:
        """Find the first patient with this identifier who can be this person."""
        told = [str(values[name] or "").upper() if name == "patient_sex" else values[name] for name in _TELLING]
        parameters = (*(values[name] for name in IDENTIFYING), *(value or None for value in told))
        rows = connection.execute(self._person, parameters).fetchall()
        return rows[0] if rows else None

    # Studies

    def _study(self, connection: Any, above: Above, witness: tuple, revealed: list[str]) -> tuple[int, str]:
        row = common_row("STUDY", above.study)
        study_uid = row[_STUDY_UID]
        if not study_uid:
            raise IndexFailure("index: an instance without Study Instance UID cannot be indexed")
        patient_row = common_row("PATIENT", above.patient)
        rows = connection.execute(self._known_study, (study_uid,)).fetchall()
        if rows:
            study, patient, *present = rows[0]
            self._check_patient(connection, patient, patient_row, str(study_uid), witness, revealed)
            self._learn(connection, "STUDY", study, tuple(present), row)
            return study, str(study_uid)
        patient = self._patient(connection, patient_row, witness, revealed)
        return self._insert(connection, self._insert_study, (patient, *row)), str(study_uid)

    def _check_patient(
        self, connection: Any, patient: int, row: Row, study_uid: str, witness: tuple, revealed: list[str]
    ) -> None:
        """Record a conflict if an instance names another patient than its study has.

        Raises
        ------
        Collision
            If another process has deleted the study.
        """
        rows = connection.execute(self._known_patient, (patient,)).fetchall()
        if not rows:  # deleted since the study was read
            raise Collision
        present = tuple(rows[0][1:])
        there, arrived = dict(zip(_PATIENT, present)), dict(zip(_PATIENT, row))
        same_issuer = there["issuer_of_patient_id"] == arrived["issuer_of_patient_id"]
        one_issuer = there["issuer_of_patient_id"] and arrived["issuer_of_patient_id"]
        if (
            there["patient_id"] == arrived["patient_id"]
            and (same_issuer or not one_issuer)
            and Person.from_row(there).can_be(Person.from_row(arrived))
        ):
            self._learn(connection, "PATIENT", patient, present, row)
            return
        sides = [{name: side[name] for name in _SHOWN} for side in (there, arrived)]
        if self._conflicts.record(connection, conflicts.STUDY, study_uid, *sides, witness):
            revealed.append(conflicts.STUDY)

    # Series

    def _series(
        self, connection: Any, study: int, study_uid: str, values: Values, witness: tuple, revealed: list[str]
    ) -> int:
        row = common_row("SERIES", values)
        series_uid = row[_SERIES_UID]
        if not series_uid:
            raise IndexFailure("index: an instance without Series Instance UID cannot be indexed")
        rows = connection.execute(self._known_series, (study, series_uid)).fetchall()
        if rows:
            self._learn(connection, "SERIES", rows[0][0], rows[0][1:], row)
            return rows[0][0]
        elsewhere = connection.execute(self._study_of_series, (series_uid,)).fetchall()
        series = self._insert(connection, self._insert_series, (study, *row))
        if elsewhere:
            sides = ({"study_instance_uid": elsewhere[0][0]}, {"study_instance_uid": study_uid})
            if self._conflicts.record(connection, conflicts.SERIES, str(series_uid), *sides, witness):
                revealed.append(conflicts.SERIES)
        return series

    # All levels

    def _insert(self, connection: Any, text: str, values: Row) -> int:
        number = self._backend.insert(connection, text, values)
        if number is None:
            raise Collision
        return number

    def _learn(self, connection: Any, level: str, row_id: int, present: Row, arrived: Row) -> None:
        """Fill in what the row does not know yet."""
        news = newly_known(level, present, arrived)
        if news:
            model = MODELS[level]
            changes = {getattr(model, name): PARAMETER for name in news}
            text = spelled(self._backend, model.update(changes).where(model.id == PARAMETER))
            connection.execute(text, (*news.values(), row_id))


def _select(level: str) -> ModelSelect:
    """Select the rows of a level: their number, and what they tell, in the order of `LEVEL_COLUMNS`."""
    model = MODELS[level]
    return model.select(model.id, *(getattr(model, name) for name in LEVEL_COLUMNS[level]))


def _has_key(model: type[Model]) -> Node:
    return reduce(and_, [getattr(model, name) == PARAMETER for name in IDENTIFYING])


def _may_be(name: str) -> Node:
    """Build the condition that what is given, if anything is, does not differ from what is known of a patient."""
    column = getattr(Patients, name)
    value = fn.UPPER(column) if name == "patient_sex" else column
    return (value == fn.COALESCE(PARAMETER, value)) | column.is_null()
