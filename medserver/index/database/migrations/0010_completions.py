"""When studies seemed complete, and by what evidence; which series a performed procedure step has made."""

from __future__ import annotations

_TEXT = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the tables."""
    text = _TEXT["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(
        f'CREATE TABLE "completions" ("study_instance_uid" {text} NOT NULL, "evidence" {text} NOT NULL, '
        f'"at" {text} NOT NULL, PRIMARY KEY (study_instance_uid, evidence))'
    )
    database.execute_sql(
        f'CREATE TABLE "performed_step_series" ("sop_instance_uid" {text} NOT NULL, '
        f'"series_instance_uid" {text} NOT NULL, PRIMARY KEY (series_instance_uid, sop_instance_uid))'
    )
