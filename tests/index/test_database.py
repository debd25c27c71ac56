"""Opening a database: URLs, schema, and what each kind of database has to give."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import apsw
import pytest
from peewee import Model

from medserver.archive.decisions import note_of
from medserver.dicom.attributes import ATTRIBUTES, LEVELS
from medserver.dicom.storage_commitment import Reference
from medserver.errors import ConfigError, IndexFailure
from medserver.index import Index, NewCommitment, NewJob, Resolution, open_index
from medserver.index.database import models
from medserver.index.database.columns import TABLES, match_columns
from medserver.index.database.opening import MIGRATIONS, open_backend
from medserver.index.sqlite.backend import check_version
from tests.index.samples import CT, record

ALL_MODELS = [
    model for model in vars(models).values()
    if isinstance(model, type) and issubclass(model, Model) and model is not Model
]  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database that has no schema yet."""
    if request.param == "sqlite":
        return "sqlite:///index.db"
    return request.getfixturevalue("new_database")(has_schema=False)


@pytest.mark.parametrize(
    "url", ["", "index.db", "mysql://host/x", "sqlite://index.db", "sqlite:///", "sqlite:///:memory:"]
)
def test_urls_that_name_no_database(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        open_index(url, base=tmp_path)


def test_a_relative_path_begins_at_the_base(tmp_path: Path) -> None:
    open_index("sqlite:///folder/the index.db", base=tmp_path).close()
    assert (tmp_path / "folder" / "the index.db").is_file()


def test_a_path_may_be_absolute(tmp_path: Path) -> None:
    open_index(f"sqlite:///{tmp_path}/absolute.db", base=Path("/nowhere")).close()
    assert (tmp_path / "absolute.db").is_file()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(IndexFailure):
        open_index("sqlite:///index.db", base=tmp_path)


def test_an_unreachable_server_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(IndexFailure):
        open_index(f"postgresql:///none?host={tmp_path}", base=tmp_path)


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.7.0"])
def test_an_unsafe_sqlite_is_refused(version: str) -> None:
    with pytest.raises(IndexFailure, match="corrupt"):
        check_version(version)


def test_the_sqlite_in_use_is_safe() -> None:
    check_version("3.51.3")
    check_version(apsw.sqlite_lib_version())


def test_sqlite_keeps_what_is_committed_when_the_process_dies(tmp_path: Path) -> None:
    with open_index("sqlite:///index.db", base=tmp_path) as index:
        connection = index.backend.connect(writing=True)
        modes = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
        assert modes == ["wal", 1, 1]
        connection.close()


def test_opening_again_keeps_what_is_there(index_url: str, tmp_path: Path) -> None:
    for expected in ("stored", "same"):
        with open_index(index_url, base=tmp_path) as index:
            assert index.add(record()).outcome == expected


def test_many_may_open_an_empty_database_at_once(index_url: str, tmp_path: Path) -> None:
    failures: list[Exception] = []
    start = threading.Barrier(8)

    def open_one(number: int) -> None:
        start.wait()
        try:
            with open_index(index_url, base=tmp_path) as index:
                index.add(record(number=number))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_index(index_url, base=tmp_path) as index:
        assert index.counts().instances == 8


def test_a_schema_from_the_future_is_refused(index_url: str, tmp_path: Path) -> None:
    open_index(index_url, base=tmp_path).close()
    database = open_backend(index_url, tmp_path).database
    with database.connection_context():
        database.execute_sql(
            "INSERT INTO schema_migrations (name, applied) VALUES ('9999_later', '2099-01-01')"
        )
    with pytest.raises(IndexFailure, match="9999_later"):
        open_index(index_url, base=tmp_path)


def test_orders_of_deletion_that_wait_are_still_carried_out(index_url: str, tmp_path: Path) -> None:
    """Earlier versions had the order in its job only."""
    key = ["1.2.3", "d" * 64, "1.2.840.10008.1.2"]
    with open_index(index_url, base=tmp_path) as index:
        index.add_jobs([NewJob("delete", {"objects": [key], "by": "somebody", "reason": ""})] * 2)
    database = open_backend(index_url, tmp_path).database
    with database.connection_context():
        database.execute_sql("DROP TABLE deletions")
        database.execute_sql("DELETE FROM schema_migrations WHERE name = '0011_deletions'")
    open_index(index_url, base=tmp_path).close()
    with database.connection_context():
        assert list(database.execute_sql("SELECT * FROM deletions").fetchall()) == [tuple(key)]


def test_what_was_stored_before_the_tables_of_completions_is_in_them(index_url: str, tmp_path: Path) -> None:
    """It is filled in by a migration of its own, which can be repeated."""
    content = '{"00400340":{"vr":"SQ","Value":[{"0020000E":{"vr":"UI","Value":["1.2.8"]}},{}]}}'
    with open_index(index_url, base=tmp_path) as index:
        index.add(record(study=1, number=1))
        index.performed_steps.add("1.2.9", "IN PROGRESS", content, "CT1", ["1.2.1"])
        index.performed_steps.add("1.2.10", "IN PROGRESS", "no JSON", "CT1", ["1.2.1"])
        references = (Reference(CT, "1.2.1.1.1"),)
        accepted = index.commitments.accept(
            NewCommitment("scp", "2.25.1", "CT1", "ct", references), lambda number: NewJob("commit"), 10
        )
        index.commitments.finish_check(accepted.number)
        requested_at = index.commitments.get(accepted.number).requested_at
    database = open_backend(index_url, tmp_path).database
    for _ in range(2):
        with database.connection_context():
            database.execute_sql("DELETE FROM schema_migrations WHERE name >= '0015' AND name < '0016'")
        with open_index(index_url, base=tmp_path) as index:
            assert [step.sop_instance_uid for step in index.performed_steps.of_series("1.2.8")] == ["1.2.9"]
            assert index.completions.of_study("1.2.1") == {"commitment": requested_at}


def test_decisions_about_conflicts_of_before_are_noted(index_url: str, tmp_path: Path) -> None:
    """Jobs write the notes that there were not when it was decided."""
    decided: list[Resolution] = []

    def jobs_of(resolution: Resolution) -> list[NewJob]:
        decided.append(resolution)
        return []

    with open_index(index_url, base=tmp_path) as index:
        for study, name in enumerate(("Doe^John", "Roe^Jane", "Poe^Ann")):
            index.add(record(study=study, patient_id="X", patient_name=name))
        index.resolve_conflict(1, "mtra", "two persons", jobs_of)
    database = open_backend(index_url, tmp_path).database
    with database.connection_context():
        database.execute_sql("DROP TABLE promotions")
        database.execute_sql("DELETE FROM schema_migrations WHERE name = '0017_promotions'")
    with open_index(index_url, base=tmp_path) as index:
        [job] = index.jobs.list()
        assert (job.kind, job.payload) == ("note_decision", note_of(decided[0]))


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in sorted(MIGRATIONS.glob("[0-9]*.py"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_tables_are_those_of_the_models(index: Index) -> None:
    database = index.backend.database
    with database.connection_context():
        for model in ALL_MODELS:
            columns = {column.name for column in database.get_columns(model._meta.table_name)}
            assert columns == set(model._meta.columns), model


def test_every_indexed_attribute_has_an_index(index: Index) -> None:
    database = index.backend.database
    with database.connection_context():
        for level in LEVELS:
            first = {row.columns[0].strip('"') for row in database.get_indexes(TABLES[level])}
            for attribute in ATTRIBUTES:
                if attribute.level == level and attribute.indexed:
                    assert set(match_columns(attribute)) <= first, attribute.keyword


def test_a_connection_is_not_lent_within_a_transaction(index: Index) -> None:
    connection = index.backend.connect()
    assert index.backend.usable(connection)
    index.backend.begin(connection)
    assert not index.backend.usable(connection)
    index.backend.rollback(connection)
    assert index.backend.usable(connection)
    connection.close()


def test_postgresql_compares_by_code_point(new_database, tmp_path: Path) -> None:
    url = new_database()
    with open_index(url, base=tmp_path) as index:
        connection = index.backend.connect()
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
        ).fetchall()
        connection.close()
    assert rows == []


def test_the_database_is_one_that_other_tools_can_read(tmp_path: Path) -> None:
    with open_index("sqlite:///index.db", base=tmp_path) as index:
        index.add(record())
    with sqlite3.connect(tmp_path / "index.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
