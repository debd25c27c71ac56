"""A migration that is interrupted or refused leaves the index as it was, and the next one begins anew."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver import lock
from medserver.archive import check
from medserver.backups.catalog import LATEST, find_backup
from medserver.backups.creation import _write
from medserver.backups.restoring import restore
from medserver.errors import BadUsage, IndexFailure, IndexLocked, OutOfResources
from medserver.index import open_backend, open_index
from medserver.host import node_uuid
from medserver.index.database.opening import MIGRATIONS
from medserver.index.nodes.records import SILENT_AFTER_S
from medserver.node import exclusive_node, open_node
from tests.migration.conftest import BEFORE, NodeOpener, config_of, content, execute, load, rows, unpack
from tests.peers.node import REPOSITORY
from tests.test_lock import HOLD

KILLED = """
import os, signal, sys
from pathlib import Path

import peewee
from playhouse.apsw_ext import APSWDatabase

from medserver.index import open_index

url, base = sys.argv[1], Path(sys.argv[2])
execute = peewee.Database.execute_sql


def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def migrate(stop_at):
    # Die instead of one statement; with 0, instead of the end of the transaction.
    statements = 0

    def counted(self, *arguments, **named):
        nonlocal statements
        statements += 1
        return die() if statements == stop_at else execute(self, *arguments, **named)

    peewee.Database.execute_sql = counted
    if stop_at == 0:
        peewee.Database.commit = APSWDatabase.commit = die
    open_index(url, base=base).close()
    os._exit(7)


for line in sys.stdin:  # one process for each, so that nothing is imported again
    if (child := os.fork()) == 0:
        migrate(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

FACTS = (
    "SELECT sop_instance_uid, digest, is_current, volume, path, state FROM locations "
    "JOIN objects ON objects.id = locations.object JOIN instances ON instances.id = objects.instance"
)
SCHEMAS = [path.stem for path in sorted(MIGRATIONS.glob("[0-9]*.py"))][:15]


def saved(kept: Path, index_url: str) -> Path:
    """Return where the index is saved before it is migrated."""
    name = "index.db.before_0016_objects" if index_url.startswith("sqlite") else "index.before_0016_objects.dump"
    return kept / "data" / name


def test_killed_at_a_statement(kept: Path, index_url: str, tmp_path: Path) -> None:
    """At every fifth or ninth, and at the end of the transaction."""
    base, is_sqlite = kept / "data", index_url.startswith("sqlite")
    before = content(index_url, base)
    expected = open_migrated(unpack(tmp_path / "other", "sqlite:///index.db"))
    arguments = [sys.executable, "-c", KILLED, index_url, str(base)]
    with subprocess.Popen(
        arguments, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for number in [0, *range(1, 1000, 5 if is_sqlite else 9)]:
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            if (code := int(process.stdout.readline())) != -9:
                break
            assert content(index_url, base) == before, number
        process.stdin.close()
    assert code == 7 and number > 40
    assert rows(index_url, base, FACTS) == expected
    assert not list(base.glob("*.unfinished"))


def open_migrated(kept: Path) -> list[tuple]:
    """Migrate without an interruption, and return what there is."""
    open_index("sqlite:///index.db", base=kept / "data").close()
    return rows("sqlite:///index.db", kept / "data", FACTS)


def test_it_is_saved_before(kept: Path, index_url: str, tmp_path: Path, new_database) -> None:
    """Whoever goes back to the version before puts the file in the place of the index, or loads it."""
    base = kept / "data"
    before = content(index_url, base)
    open_index(index_url, base=base).close()
    file = saved(kept, index_url)
    assert file.stat().st_mode & 0o777 == 0o640
    if index_url.startswith("sqlite"):
        assert content(f"sqlite:///{file}", base) == before
    else:
        url = new_database(has_schema=False)
        subprocess.run(["pg_restore", "--no-owner", "--schema=public", f"--dbname={url}", file], check=True)
        of_nodes = {"nodes", "index_lock"}
        assert content(url, base) == {name: found for name, found in before.items() if name not in of_nodes}
    written = file.stat().st_mtime_ns
    open_index(index_url, base=base).close()
    assert file.stat().st_mtime_ns == written


def test_a_new_index_is_not_saved(index_url: str, tmp_path: Path) -> None:
    open_index(index_url, base=tmp_path / "data").close()
    assert not list((tmp_path / "data").glob("index*before*"))


def test_it_is_not_begun_where_it_cannot_be_saved(
    kept: Path, index_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = kept / "data"
    before = content(index_url, base)
    (saved(kept, index_url) / "in its place").mkdir(parents=True)
    refusal = "the index is not migrated, for it cannot be saved as .* before: Is a directory"
    with pytest.raises(OutOfResources, match=refusal):
        open_index(index_url, base=base)
    assert content(index_url, base) == before
    if index_url.startswith("postgresql"):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(IndexFailure, match="the index is not migrated, .* pg_dump is not installed"):
            open_index(index_url, base=base)
        assert content(index_url, base) == before
    assert not list(base.glob("*.unfinished"))


def test_it_is_not_begun_where_there_is_no_room(kept: Path, index_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(index_url, kept / "data")
    size_bytes = open_backend(index_url, kept / "data").dump_size_bytes() * (3 if index_url.startswith("sqlite") else 1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("usage", (), {"free": size_bytes - 1}))
    with pytest.raises(OutOfResources, match="MiB are needed, and . MiB are free"):
        open_index(index_url, base=kept / "data")
    assert content(index_url, kept / "data") == before


def test_it_is_not_begun_while_the_node_runs(kept: Path, index_url: str, open_kept: NodeOpener) -> None:
    base = kept / "data"
    before = content(index_url, base)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, base], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        running.stdout.readline()
        with pytest.raises(BadUsage, match="the node is running"):
            open_kept()
        assert content(index_url, base) == before
        running.communicate("\n", timeout=lock.WAIT_S + 60)
    open_kept()
    with pytest.raises(BadUsage), lock.exclusive(base):  # the node that was opened holds it, as always
        pass


OTHER = "00000000-8b86-4011-b42d-00c04fc964ff"


def hear_of(index_url: str, base: Path, uuid: str, ago_s: float) -> None:
    """Let a host be the only one that was heard of, so long ago."""
    moment = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="microseconds")
    execute(index_url, base, f"UPDATE nodes SET uuid = '{uuid}', name = 'second', heartbeat_at = '{moment}'")


def test_it_is_not_begun_while_another_host_runs(kept: Path, index_url: str, open_kept: NodeOpener) -> None:
    base = kept / "data"
    hear_of(index_url, base, OTHER, 0)
    before = content(index_url, base)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.3):
            hear_of(index_url, base, OTHER, 0)

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with pytest.raises(IndexLocked, match="the index has to be migrated, and second uses it: stop medserver there"):
            open_kept()
    finally:
        ended.set()
        beating.join()
    with exclusive_node(config_of(kept, f"index.url={index_url}").current, "work") as held, pytest.raises(IndexLocked):
        open_kept(lock_owner=held.owner)  # the other one is kept from being heard
    others = {"index_lock", "nodes"}
    found = content(index_url, base)
    assert all(found[name] == rows_before for name, rows_before in before.items() if name not in others)


@pytest.mark.parametrize(("uuid", "ago_s"), [(OTHER, SILENT_AFTER_S - 1), (OTHER, -4 * SILENT_AFTER_S), ("", 0)])
def test_a_host_that_was_stopped_is_waited_for(
    kept: Path, index_url: str, open_kept: NodeOpener, uuid: str, ago_s: float
) -> None:
    """This one itself is not: it has the lock of its data folder."""
    hear_of(index_url, kept / "data", uuid or node_uuid(kept / "data"), ago_s)
    open_kept()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_earlier_schema_is_migrated(schema: str, index_url: str, tmp_path: Path, new_database) -> None:
    kept = unpack(tmp_path / "kept", "sqlite:///index.db")
    base = tmp_path / "data"
    load(kept / "data" / "index.db", index_url, base, schema)
    open_index(index_url, base=base).close()
    assert [row[:5] for row in rows(index_url, base, FACTS)] == [row[:5] for row in open_migrated(kept)]


@pytest.mark.parametrize("schema", [name for name in SCHEMAS if "0011" <= name <= BEFORE])
def test_a_backup_of_an_earlier_schema_is_restored(schema: str, index_url: str, tmp_path: Path, new_database) -> None:
    kept = unpack(tmp_path / "kept", "sqlite:///index.db")
    base, is_sqlite = kept / "data", index_url.startswith("sqlite")
    earlier = f"sqlite:///{tmp_path}/earlier.db" if is_sqlite else new_database(has_schema=False)
    load(base / "index.db", earlier, tmp_path, schema)
    expected = open_migrated(kept)
    config_file = config_of(kept, f"index.url={index_url}")
    backend, dump = open_backend(earlier, tmp_path), tmp_path / "dump"
    counted = backend.dump(dump, lambda: False)
    with closing(open_node(config_file)) as node:
        _write(node.primary_volume, dump, datetime(2026, 1, 31, 14, tzinfo=UTC), backend.name, counted)
        backup = find_backup(node.volumes.values(), LATEST)
    with exclusive_node(config_file.current, "restore") as held:
        done = restore(config_file, backup, held=held)
    assert done.after.instances >= 29
    found = rows(index_url, base, FACTS)
    assert {row[:5] for row in expected} <= {row[:5] for row in found}
    with closing(open_node(config_file)) as node:
        found = {(finding.problem.value, finding.volume) for finding in check(node)}
    assert found <= {("missing", "main"), ("damaged", "near"), ("surplus", "main")}  # what it was left with
