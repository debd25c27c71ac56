"""Decisions about conflicts, patients without Patient ID, and what 0010 made tables for and did not fill in.

Studies without Patient ID shared a patient where the names were equal, and were conflicts where they were not.

A conflict gets columns for what was decided about it: when, by whom and why.

The series that performed procedure steps name, and the requests for storage commitment as evidence of complete studies.
It can be repeated after an interruption: what is there stays.
"""

from __future__ import annotations

import json

PAGE_ROWS = 500

_COMPLETIONS = """
    INSERT INTO completions (study_instance_uid, evidence, "at")
    SELECT studies.study_instance_uid, 'commitment', MAX(commitments.requested_at)
    FROM commitments
    JOIN commitment_instances ON commitment_instances.commitment = commitments.id
    JOIN instances ON instances.sop_instance_uid = commitment_instances.sop_instance_uid
    JOIN series ON series.id = instances.series
    JOIN studies ON studies.id = series.study
    WHERE commitments.role = 'scp' AND commitments.state <> 'pending'
    GROUP BY studies.study_instance_uid
    ON CONFLICT (study_instance_uid, evidence) DO NOTHING
"""


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Fill the tables in, and add the columns."""
    if "resolved_at" not in {column.name for column in database.get_columns("conflicts")}:
        text = "TEXT" if hasattr(database, "pragma") else 'TEXT COLLATE "C"'
        for name in ("resolved_at", "resolved_by", "resolution"):
            database.execute_sql(f'ALTER TABLE conflicts ADD COLUMN "{name}" {text}')
    place = "?" if hasattr(database, "pragma") else "%s"
    page = f"SELECT id, sop_instance_uid, content FROM performed_steps WHERE id > {place} ORDER BY id LIMIT {PAGE_ROWS}"
    insert = (
        "INSERT INTO performed_step_series (sop_instance_uid, series_instance_uid) "
        f"VALUES ({place}, {place}) ON CONFLICT DO NOTHING"
    )
    after = 0
    while rows := database.execute_sql(page, (after,)).fetchall():
        for after, sop_instance_uid, content in rows:
            for series_instance_uid in _series(content):
                database.execute_sql(insert, (sop_instance_uid, series_instance_uid))
    database.execute_sql(_COMPLETIONS)
    _divide_patients(database, place)
    database.execute_sql("DELETE FROM conflicts WHERE kind = 'patient' AND subject = ''")


def _divide_patients(database, place: str) -> None:  # noqa: ANN001
    """Give each study without Patient ID a patient of its own: the first keeps the one that they shared."""
    columns = [column.name for column in database.get_columns("patients") if column.name not in ("id", "distinction")]
    names = ", ".join(f'"{name}"' for name in columns)
    copy = (
        f"INSERT INTO patients ({names}, distinction) SELECT {names}, (SELECT MAX(other.distinction) + 1 FROM patients "
        "AS other WHERE other.patient_id = patients.patient_id "
        "AND other.issuer_of_patient_id = patients.issuer_of_patient_id) "
        f"FROM patients WHERE id = {place} RETURNING id"
    )
    shared = (
        "SELECT studies.id, studies.patient FROM studies JOIN patients ON patients.id = studies.patient "
        "WHERE patients.patient_id = '' AND EXISTS (SELECT 1 FROM studies AS first WHERE "
        f"first.patient = studies.patient AND first.id < studies.id) ORDER BY studies.id LIMIT {PAGE_ROWS}"
    )
    while rows := database.execute_sql(shared).fetchall():
        for study, patient in rows:
            [[own]] = database.execute_sql(copy, (patient,)).fetchall()
            database.execute_sql(f"UPDATE studies SET patient = {place} WHERE id = {place}", (own, study))


def _series(content: str) -> set[str]:
    """Return the Series Instance UIDs in the Performed Series Sequence of a DICOM JSON object."""
    try:
        items = json.loads(content).get("00400340", {}).get("Value", ())
        named = [item.get("0020000E", {}).get("Value", ()) for item in items]
    except (ValueError, AttributeError):  # what cannot be read names nothing
        return set()
    return {value for values in named for value in values if isinstance(value, str) and value}
