"""Which clients of databases Huey imports, and that it works with those that it was not let import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# What Huey has of the clients: its own names for them.
OF_CLIENTS = """
import json, sys, huey.storage
held = {**vars(huey.storage), "redis_client": huey.storage.PriorityRedisStorage.redis_client}
prefixes = ("<class 'redis.", "<module 'psycopg'")
names = {name: repr(value) for name, value in held.items() if repr(value).startswith(prefixes)}
print(json.dumps(names))
"""


def run(program: str) -> str:
    """Run a program in an interpreter of its own."""
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_huey_is_given_all_that_it_takes_from_its_clients_itself() -> None:
    pytest.importorskip("psycopg", reason="the extra 'postgres' is missing")
    own = json.loads(run(OF_CLIENTS))
    assert own.keys() == {"ConnectionError", "ConnectionPool", "Redis", "TimeoutError", "psycopg", "redis_client"}
    introduced = "from medserver.queue.clients import *\nintroduce_psycopg()\nintroduce_redis()\n"
    assert json.loads(run(introduced + OF_CLIENTS)) == own


def test_a_queue_on_the_index_imports_no_client_of_another_database() -> None:
    program = "import sys, medserver.queue.messages, medserver.queue.storages\nprint(*sys.modules)"
    loaded = set(run(program).split())
    assert "huey" in loaded
    assert not {"asyncio", "psycopg", "redis"} & loaded


def test_who_only_opens_a_queue_does_not_import_huey() -> None:
    assert "huey" not in run("import sys, medserver.queue\nprint(*sys.modules)").split()
