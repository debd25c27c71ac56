"""A lane rests after its destination could not be reached: until when, why, and after how many failures in a row."""

from __future__ import annotations


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Add the columns."""
    text, number = ("TEXT", "INTEGER") if hasattr(database, "pragma") else ('TEXT COLLATE "C"', "BIGINT")
    database.execute_sql(f'ALTER TABLE "job_lanes" ADD COLUMN "rests_until" {text}')
    database.execute_sql(f'ALTER TABLE "job_lanes" ADD COLUMN "rest_reason" {text}')
    database.execute_sql(f'ALTER TABLE "job_lanes" ADD COLUMN "failures" {number} NOT NULL DEFAULT 0')
