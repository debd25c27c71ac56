"""Which drivers of databases are imported, and that peewee works with the one that it was not let import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("psycopg", reason="the extra 'postgres' is missing")

# What peewee has of psycopg: its own names for it, and the constants of its adapter.
OF_PSYCOPG = """
import json, peewee
held = {**vars(peewee), **vars(peewee.Psycopg3Adapter)}
names = {name: repr(value) for name, value in held.items() if "psycopg" in repr(value)
         or (getattr(value, "__module__", None) or type(value).__module__).split(".")[0] == "psycopg"}
print(json.dumps({name: text for name, text in names.items() if not name.startswith("Psycopg")}, sort_keys=True))
"""


def run(program: str) -> str:
    """Run a program in an interpreter of its own."""
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_peewee_is_given_all_that_it_takes_from_psycopg_itself() -> None:
    own = json.loads(run(OF_PSYCOPG))
    assert {"psycopg", "TransactionStatus", "Json_pg3", "txn_idle"} <= own.keys()
    assert json.loads(run(f"import medserver.index.postgresql.backend\n{OF_PSYCOPG}")) == own


def test_the_index_on_sqlite_imports_no_driver_of_another_database() -> None:
    loaded = run("import sys, medserver.index.sqlite.backend\nprint(*sys.modules)").split()
    assert {"peewee", "apsw"} <= set(loaded)
    assert not {"psycopg", "psycopg2", "MySQLdb", "pymysql"} & set(loaded)


def test_what_was_left_out_can_be_imported_afterwards() -> None:
    assert run("import medserver.index, psycopg, peewee\nprint(psycopg.__name__, peewee.psycopg)") == "psycopg None\n"
