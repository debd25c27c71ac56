"""``medserver index``: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from itertools import islice
from pathlib import Path

import pydicom
import pytest

from medserver import archive, lock
from medserver.config import ConfigFile
from medserver.errors import BadUsage
from medserver.index import NewJob
from medserver.node import Node, open_node
from medserver.safekeeping.drained import set_draining
from medserver.store import paths
from tests.archive.conftest import receive, stored_paths
from tests.conftest import MakeDirectory
from tests.peers import command_line
from tests.peers.command_line import Invoked
from tests.peers.files import Sample, make_small, samples
from tests.peers.process import wait_until


@pytest.fixture(scope="module")
def filled(make_directory: MakeDirectory) -> Path:
    """Give the data folder of a node that holds all samples, ten more instances and a conflict; tests copy it."""
    directory = make_directory("filled")
    config_path = _configured(directory)
    with closing(open_node(ConfigFile(config_path))) as node:
        for sample in [*samples(), *make_small(directory / "made", 10)]:
            receive(node, sample)
        _receive_as_of_another_patient(node, sample)
    return directory / "data"


def _receive_as_of_another_patient(node: Node, sample: Sample) -> None:
    """Receive one more instance of a study, with another Patient ID."""
    patient_id = pydicom.dcmread(sample.path, stop_before_pixels=True).PatientID
    uid = f"{sample.sop_instance_uid[:-1]}{(int(sample.sop_instance_uid[-1]) + 5) % 10}"
    data_set = sample.data_set().replace(sample.sop_instance_uid.encode(), uid.encode())
    data_set = data_set.replace(patient_id.encode(), b"X" * len(patient_id))
    assert receive(node, sample, data_set, sop_instance_uid=uid) == "stored"


@pytest.fixture
def config_path(filled: Path, tmp_path: Path) -> Path:
    """Give the configuration of a node that holds all samples and ten more instances."""
    shutil.copytree(filled, tmp_path / "data")
    return _configured(tmp_path)


def _configured(directory: Path) -> Path:
    path = directory / "config.ini"
    path.write_text(f"[node]\ndata = {directory / 'data'}\n")
    return path


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "data" / "store"


def invoke(config_path: Path, *arguments: str) -> Invoked:
    return command_line.invoke("--config", config_path, "index", *arguments)


def refused(config_path: Path, *arguments: str) -> str:
    """Run a command that is a mistake, and return the line that says why."""
    result = invoke(config_path, *arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    return result.stderr


def counts(config_path: Path) -> dict[str, int]:
    return json.loads(invoke(config_path, "counts", "--json").stdout)


def objects(config_path: Path) -> list[str]:
    with closing(open_node(ConfigFile(config_path))) as node:
        return stored_paths(node)


def test_counts(config_path):
    held = counts(config_path)
    assert held["instances"] + held["duplicates"] == held["locations"] == len(objects(config_path))
    lines = invoke(config_path, "counts").stdout.splitlines()
    assert [line.split() for line in lines] == [[name, str(count)] for name, count in held.items()]


@pytest.mark.parametrize("subject", [["conflicts", "list"], ["duplicates"]])
def test_lists(config_path, subject):
    count = counts(config_path)[subject[0]]
    assert count > 0
    assert len(invoke(config_path, *subject).stdout.splitlines()) == count
    assert len(json.loads(invoke(config_path, *subject, "--json").stdout)) == count


def test_a_conflict_is_resolved_once_and_stays_so(config_path, tmp_path):
    [first, *others] = json.loads(invoke(config_path, "conflicts", "list", "--json").stdout)
    number = str(first["number"])
    assert f"{len(others) + 1} unresolved conflict" in command_line.invoke("--config", config_path, "doctor").stdout
    assert f"{len(others) + 1} unresolved" in command_line.invoke("--config", config_path, "store", "status").stdout
    assert first["subject"] in invoke(config_path, "conflicts", "show", number).stdout
    assert invoke(config_path, "conflicts", "resolve", number, "--why", "two persons", "--by", "mtra").exit_code == 0
    assert "mtra" in refused(config_path, "conflicts", "resolve", number, "--why", "again")
    assert "no conflict 4711" in refused(config_path, "conflicts", "resolve", "4711", "--why", "none")
    assert json.loads(invoke(config_path, "conflicts", "list", "--json").stdout) == others
    shown = json.loads(invoke(config_path, "conflicts", "show", number, "--json").stdout)
    assert (shown["resolved_by"], shown["resolution"]) == ("mtra", "two persons") and shown["resolved_at"]
    assert len(invoke(config_path, "conflicts", "list", "--all").stdout.splitlines()) == len(others) + 1


def test_a_duplicate_is_called_one(config_path):
    words = {line.split()[2] for line in invoke(config_path, "duplicates").stdout.splitlines()}
    assert words == {"duplicate"}


def test_check_finds_nothing(config_path):
    result = invoke(config_path, "check", "--digests")
    assert (result.exit_code, result.stdout) == (0, "nothing is wrong\n")
    assert json.loads(invoke(config_path, "check", "--json").stdout) == []


def test_check_lists_what_is_wrong(config_path, store):
    first, second = objects(config_path)[:2]
    (store / first).unlink()
    (store / second).write_bytes(b"")
    result = invoke(config_path, "check")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0].startswith(f"missing: main:{first}: ")
    assert result.stdout.splitlines()[1].startswith(f"damaged: main:{second}: ")
    found = json.loads(invoke(config_path, "check", "--json", "--restart").stdout)
    assert result.stdout.count(first) == result.stdout.count(second) == 1
    assert [(one["problem"], one["path"]) for one in found] == [("missing", first), ("damaged", second)]


def test_rebuild_takes_the_place_of_the_index_and_keeps_the_old_one(config_path, tmp_path):
    before = counts(config_path)
    result = invoke(config_path, "rebuild")
    assert result.exit_code == 0
    assert counts(config_path) == before
    [kept] = (tmp_path / "data").glob("index.db.replaced-*")
    assert kept.name in result.output
    assert not list((tmp_path / "data").glob("*.rebuilding*"))


def test_rebuild_counts_what_only_the_old_index_knew(config_path):
    assert "not brought back" not in invoke(config_path, "rebuild").output
    with closing(open_node(ConfigFile(config_path))) as node:
        node.index.add_jobs([NewJob("deliver", {"sop_instance_uid": "1.2.3"}, destination="PACS")] * 3)
        node.index.jobs.pause("deliver", "PACS")
        node.index.note_unknown_caller("CT9", "MEDSERVER", "10.0.0.9")
        set_draining(node, "main", True)
    assert [line for line in invoke(config_path, "rebuild").output.splitlines() if "not brought" in line] == [
        "not brought back: 1 unknown callers",
        "not brought back: 1 volumes that are drained, and last polls",
        "not brought back: 3 jobs, such as deliveries that wait",
        "not brought back: 1 pauses of jobs",
    ]


def test_rebuild_without_any_index(config_path, tmp_path):
    before = counts(config_path)
    for file in (tmp_path / "data").glob("index.db*"):
        file.unlink()
    assert invoke(config_path, "rebuild", "--verify").exit_code == 0
    assert counts(config_path) == before


def test_rebuild_reports_what_it_cannot_enter(config_path, store):
    before = counts(config_path)
    (store / objects(config_path)[-1]).write_bytes(b"")
    result = invoke(config_path, "rebuild", "--json")
    assert result.exit_code == 1
    assert [one["problem"] for one in json.loads(result.stdout)] == ["damaged"]
    assert counts(config_path)["locations"] == before["locations"] - 1


def test_rebuild_goes_on_with_what_it_left(config_path, tmp_path):
    before = counts(config_path)
    shutil.copy(tmp_path / "data" / "index.db", tmp_path / "data" / "index.db.rebuilding")
    assert invoke(config_path, "rebuild").exit_code == 0
    assert counts(config_path) == before


def test_rebuild_into_another_database(config_path, tmp_path):
    before = counts(config_path)
    url = f"sqlite:///{tmp_path}/other.db"
    assert invoke(config_path, "rebuild", "--into", url).exit_code == 0
    assert counts(config_path) == before
    config_path.write_text(config_path.read_text() + f"[index]\nurl = {url}\n")
    assert counts(config_path) == before
    assert "not empty" in refused(config_path, "rebuild", "--into", url)


@pytest.mark.parametrize("arguments", [[], ["counts"], ["conflicts"], ["duplicates"], ["check"], ["rebuild"]])
def test_help(config_path, arguments):
    result = invoke(config_path, *arguments, "--help")
    assert result.exit_code == 0
    assert "--help" in result.stdout


# -- interrupted ------------------------------------------------------------------------------------------------


def interrupt_check(config_path: Path, *, after: int, **arguments) -> None:
    with closing(open_node(ConfigFile(config_path))) as node:
        list(islice(archive.check(node, noted_every=1, **arguments), after))


def test_check_that_goes_on_counts_what_was_found_before(config_path, store):
    first, second = objects(config_path)[:2]
    for path in (first, second):
        (store / path).unlink()
    interrupt_check(config_path, after=2)
    (store / second).write_bytes(b"")
    result = invoke(config_path, "check")
    assert result.exit_code == 1
    assert f"continuing after main:{first}, 1 finding so far" in result.stderr
    assert result.stdout.splitlines()[-1] == "2 findings, 1 of them before the interruption"


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_check_that_finds_nothing_more_does_not_say_that_nothing_is_wrong(config_path, store, as_json):
    first, second = objects(config_path)[0], objects(config_path)[-1]
    (store / first).unlink()
    whole = (store / second).read_bytes()
    (store / second).write_bytes(b"")
    interrupt_check(config_path, after=2)
    (store / second).write_bytes(whole)
    result = invoke(config_path, "check", *as_json)
    assert result.exit_code == 1
    assert "nothing is wrong" not in result.output
    assert invoke(config_path, "check").exit_code == 1


def interrupt_rebuild(config_path: Path, store: Path, url: str, **arguments) -> None:
    """Interrupt a rebuild at its first finding: a file whose object has just been entered."""
    name = objects(config_path)[-1]
    path = store / name
    shutil.copy(path, path.with_name(f"{paths.digest_of(name)}-3.dcm"))
    with closing(open_node(ConfigFile(config_path), index_url=url)) as node:
        next(archive.rebuild(node, noted_every=1, **arguments))


def damage(path: Path) -> None:
    """Change the last byte, which only the digest tells."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_rebuild_with_verify_does_not_go_on_where_a_plain_one_stopped(config_path, store, tmp_path):
    before = counts(config_path)
    found = objects(config_path)
    damage(store / found[0])
    url = f"sqlite:///{tmp_path}/data/index.db.rebuilding"
    interrupt_rebuild(config_path, store, url)
    result = invoke(config_path, "rebuild", "--verify")
    assert result.exit_code == 1
    assert "beginning anew" in result.stderr
    assert "2 findings" in result.stdout
    assert counts(config_path)["locations"] == before["locations"] - 1


def test_rebuild_into_what_another_kind_of_rebuild_left(config_path, store, tmp_path):
    url = f"sqlite:///{tmp_path}/other.db"
    interrupt_rebuild(config_path, store, url)
    assert "interrupted rebuild without --verify" in refused(config_path, "rebuild", "--into", url, "--verify")
    assert invoke(config_path, "rebuild", "--into", url).exit_code == 1


# -- a node that runs, a disk that is not there -------------------------------------------------------------------


def test_rebuild_refuses_when_the_folder_of_the_primary_volume_is_missing(config_path, store, tmp_path):
    index = (tmp_path / "data" / "index.db").read_bytes()
    store.rename(tmp_path / "elsewhere")
    for _ in range(2):
        assert "is its disk mounted" in refused(config_path, "rebuild")
        store.mkdir(exist_ok=True)  # as the mount point without the disk
    assert (tmp_path / "data" / "index.db").read_bytes() == index
    assert not list((tmp_path / "data").glob("*.rebuilding*"))


def test_rebuild_names_the_volume_that_is_missing_though_another_one_has_the_objects(config_path, store, tmp_path):
    """Where the index is lost as well: else it tells that the volume has objects, and nothing is made without them."""
    before = counts(config_path)
    for file in (tmp_path / "data").glob("index.db*"):
        file.unlink()
    store.rename(tmp_path / "near")
    with config_path.open("a") as config:
        config.write(f"[volume main]\npath = store\n[volume near]\npath = {tmp_path}/near\nrole = replica\n")
    result = invoke(config_path, "rebuild")
    assert (result.exit_code, counts(config_path)["instances"]) == (1, before["instances"])
    assert f"the folder of the volume main, {store}, is missing or empty" in result.stderr
    assert "volume near" not in result.stderr


@pytest.mark.parametrize("arguments", [["counts"], ["conflicts", "list"], ["duplicates"], ["check"]])
def test_no_other_command_works_with_an_index_that_is_being_replaced(config_path, tmp_path, arguments):
    with lock.exclusive(tmp_path / "data"):
        assert "a new index is being made" in refused(config_path, *arguments)


def test_rebuild_and_a_running_node_exclude_each_other(make_node, tmp_path):
    node = make_node()
    node.start()
    for arguments in ([], ["--into", f"sqlite:///{tmp_path}/other.db"]):
        completed = node.cli("index", "rebuild", *arguments)
        assert completed.exit_code == 2
        assert completed.output.count("\n") == 1 and "the node is running" in completed.output
    assert node.cli("index", "check").output == "nothing is wrong\n"
    assert not (tmp_path / "other.db").exists()
    node.kill()
    # Its processes notice the end of the supervisor, and hold the lock until they have ended.
    wait_until(lambda: is_free(node.data), what="the end of the killed node")
    assert node.cli("index", "rebuild").exit_code == 0
    with lock.exclusive(node.data):
        completed = node.cli("serve")
    assert completed.exit_code == 2
    assert completed.output.count("\n") == 1 and "a new index is being made" in completed.output


def is_free(data: Path) -> bool:
    try:
        with lock.exclusive(data):
            return True
    except BadUsage:
        return False
