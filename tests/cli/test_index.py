"""``medserver index``: what it prints, what it leaves, and its exit codes."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from itertools import islice
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from medserver import archive, lock
from medserver.config import ConfigFile
from medserver.errors import BadUsage
from medserver.index import NewJob, RejectedCall
from medserver.node import Node, open_node
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.drained import set_draining
from medserver.store import paths
from tests.archive.conftest import receive, stored_paths
from tests.archive.test_rebuild import variant
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


@pytest.mark.parametrize("subject", [["conflicts", "list"], ["duplicates", "list"]])
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
    lines = invoke(config_path, "conflicts", "show", number).stdout.splitlines()
    assert [line.split()[0] for line in lines][:4] == ["kind", "subject", "stored", "received"]
    assert lines[1].endswith(first["subject"])
    assert invoke(config_path, "conflicts", "resolve", number, "--why", "two persons", "--by", "mtra").exit_code == 0
    assert "mtra" in refused(config_path, "conflicts", "resolve", number, "--why", "again")
    assert "no conflict 4711" in refused(config_path, "conflicts", "resolve", "4711", "--why", "none")
    assert json.loads(invoke(config_path, "conflicts", "list", "--json").stdout) == others
    shown = json.loads(invoke(config_path, "conflicts", "show", number, "--json").stdout)
    assert (shown["resolved_by"], shown["resolution"]) == ("mtra", "two persons") and shown["resolved_at"]
    assert len(invoke(config_path, "conflicts", "list", "--all").stdout.splitlines()) == len(others) + 1


def test_a_rebuilt_index_knows_what_was_decided_about_conflicts(config_path):
    listed = json.loads(invoke(config_path, "conflicts", "list", "--json").stdout)
    assert invoke(config_path, "conflicts", "resolve", str(listed[0]["number"]), "--why", "two persons").exit_code == 0
    before = json.loads(invoke(config_path, "conflicts", "list", "--all", "--json").stdout)
    for verify in ((), ("--verify",)):
        result = invoke(config_path, "rebuild", *verify)
        assert result.exit_code == 0 and "conflict" not in result.stderr
        after = json.loads(invoke(config_path, "conflicts", "list", "--all", "--json").stdout)
        assert without_numbers(after) == without_numbers(before)
        assert [one["resolution"] for one in after if one["resolved_at"]] == ["two persons"]


def without_numbers(conflicts: list[dict]) -> list[dict]:
    return sorted(({**one, "number": 0} for one in conflicts), key=json.dumps)


# -- duplicates -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_path(tmp_path: Path) -> Path:
    """Give the configuration of a node with an instance, object 1, and two duplicates of it: 2 and 3."""
    path = _configured(tmp_path)
    [sample] = make_small(tmp_path / "made")
    with closing(open_node(ConfigFile(path))) as node:
        receive(node, sample)
        receive(node, sample, variant(sample, SeriesDescription="x" * 100, ImageComments="right"))
        dataset = pydicom.dcmread(sample.path)
        dataset.PixelData = bytes(len(dataset.PixelData))
        dataset.save_as(sample.path)
        receive(node, sample)
    return path


def test_a_duplicate_is_called_one(small_path):
    lines = [line.split() for line in invoke(small_path, "duplicates", "list").stdout.splitlines()]
    assert [(line[0], line[3]) for line in lines] == [("2", "duplicate"), ("3", "duplicate")]
    listed = json.loads(invoke(small_path, "duplicates", "list", "--json").stdout)
    assert [(one["number"], one["is_current"], len(one["copies"])) for one in listed] == [(2, False, 1), (3, False, 1)]


def test_a_duplicate_is_shown_beside_the_current_object(small_path):
    result = invoke(small_path, "duplicates", "show", "2")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "duplicate 2" and "current object 1" in lines
    assert sum(line.startswith("  copy ") and line.endswith(", good") for line in lines) == 2
    assert f"(0008,103E) SeriesDescription: {'x' * 61}... | Axial" in lines
    assert "(0020,4000) ImageComments: right | absent" in lines
    assert "attributes that differ (duplicate | current object)" in lines
    assert len([line for line in lines if line.startswith("(")]) == 2
    assert invoke(small_path, "duplicates", "show", "3").stdout.splitlines()[-1] == "(7FE0,0010) PixelData: differs"
    shown = json.loads(invoke(small_path, "duplicates", "show", "2", "--json").stdout)
    assert (shown["duplicate"]["number"], shown["current"]["number"], shown["promotions"]) == (2, 1, [])
    assert {one["keyword"] for one in shown["differences"]} == {"SeriesDescription", "ImageComments"}


def test_a_duplicate_is_promoted(small_path):
    result = invoke(small_path, "duplicates", "promote", "2", "--why", "the first was cut", "--by", "mtra")
    assert (result.exit_code, result.stdout) == (0, "object 2 is the current one now\n")
    assert [line.split()[0] for line in invoke(small_path, "duplicates", "list").stdout.splitlines()] == ["1", "3"]
    shown = invoke(small_path, "duplicates", "show", "1").stdout
    assert "object 2 was made the current one by mtra: the first was cut" in shown
    [decided] = json.loads(invoke(small_path, "duplicates", "show", "2", "--json").stdout)["promotions"]
    assert (decided["by"], decided["why"]) == ("mtra", "the first was cut")
    jobs = json.loads(invoke_jobs(small_path))
    assert [job["kind"] for job in jobs] == ["note_decision"]


def invoke_jobs(config_path: Path) -> str:
    return command_line.invoke("--config", config_path, "jobs", "list", "--json").stdout


def test_what_cannot_be_promoted_is_refused_in_a_line(small_path):
    assert "object 1 is the current one already" in refused(small_path, "duplicates", "promote", "1")
    assert "there is no object 4711" in refused(small_path, "duplicates", "promote", "4711")
    assert "there is no object 4711" in refused(small_path, "duplicates", "show", "4711")
    with closing(open_node(ConfigFile(small_path))) as node:
        order_deletion(node, node.index.versions.get(3).copies, by="test", reason="")
        [copy] = node.index.versions.get(2).copies
        Path(node.primary_volume.root, copy.path).write_bytes(b"x")
    assert "its deletion was ordered" in refused(small_path, "duplicates", "promote", "3")
    for _ in range(2):
        result = invoke(small_path, "duplicates", "promote", "2")
        assert result.exit_code != 0 and result.stderr.splitlines()[-1].startswith("medserver: ")
    assert "no copy of the object is good" in result.stderr
    assert "not compared" in invoke(small_path, "duplicates", "show", "2").stdout
    assert "object 2 was made" not in invoke(small_path, "duplicates", "show", "1").stdout


def test_what_was_compressed_here_is_told_as_such(small_path):
    with closing(open_node(ConfigFile(small_path))) as node:
        [found] = node.index.select([])
        assert archive.compress_object(node, found, JPEG2000Lossless)
    words = [line.split()[3] for line in invoke(small_path, "duplicates", "list").stdout.splitlines()]
    assert words == ["original", "duplicate", "duplicate"]
    shown = invoke(small_path, "duplicates", "show", "1").stdout
    assert "received; the original of object 4" in shown and "(0" not in shown
    assert "made from object 1: compressed without loss" in shown and "not compared" not in shown
    assert "not compared: the pixel data" in invoke(small_path, "duplicates", "show", "3").stdout
    assert "already, as object 4, made from it" in refused(small_path, "duplicates", "promote", "1")
    invoke(small_path, "duplicates", "promote", "2")
    result = invoke(small_path, "duplicates", "promote", "1")
    assert result.stdout == "object 4, the form that was made from object 1, is the current one now\n"
    with closing(open_node(ConfigFile(small_path))) as node:
        node.index.release(node.index.versions.get(1).copies)
    assert "original of object 4, and not stored any more" in invoke(small_path, "duplicates", "show", "1").stdout


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


def test_check_removes_what_nobody_needs(config_path, store):
    first, second = objects(config_path)[:2]
    copy = f"{paths.directory_of(first)}/{paths.file_name(paths.digest_of(first), 1)}"
    shutil.copy(store / first, store / copy)
    result = invoke(config_path, "check")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == f"surplus: main:{copy}: it is stored as {first}"
    with lock.shared(config_path.parent / "data"):
        assert invoke(config_path, "check", "--remove-surplus").exit_code == 2
    assert (store / copy).exists()
    result = invoke(config_path, "check", "--remove-surplus", "--restart")
    assert (result.exit_code, result.stdout) == (0, "nothing is wrong\n")
    assert f"removed: surplus: main:{copy}" in result.stderr
    assert not (store / copy).exists() and (store / first).exists() and (store / second).exists()


def test_check_keeps_what_is_in_the_place_of_a_bad_copy(config_path, store):
    [first] = objects(config_path)[:1]
    copy = f"{paths.directory_of(first)}/{paths.file_name(paths.digest_of(first), 1)}"
    shutil.copy(store / first, store / copy)
    (store / first).write_bytes((store / first).read_bytes()[:-1] + b"\x55")
    result = invoke(config_path, "check", "--remove-surplus")
    assert result.exit_code == 1
    assert f"surplus: main:{copy}" in result.stdout
    assert (store / copy).exists()


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
        node.index.note_unknown_caller(RejectedCall("CT9", "MEDSERVER", "10.0.0.9"))
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


@pytest.mark.parametrize("arguments", [["counts"], ["conflicts", "list"], ["duplicates", "list"], ["check"]])
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
