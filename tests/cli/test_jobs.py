"""``medserver jobs`` and ``medserver worker``: what they print, what they change, and their errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.index import JobFilter, Lane, NewJob
from medserver.node import Node, open_node
from tests.crash.campaign import kill, process_ids
from tests.peers.node import REPOSITORY
from tests.peers.process import Server


@pytest.fixture
def node(config_path: Path) -> Iterator[Node]:
    """Give the node of the configuration, with jobs in every state."""
    config_path.write_text(config_path.read_text().replace("[node]", f"[node]\ndata = {config_path.parent}/data"))
    opened = open_node(ConfigFile(config_path))
    until = opened.clock() + timedelta(seconds=60)
    opened.index.add_jobs([NewJob("copy", {"n": n}, "BACKUP") for n in range(3)])
    opened.index.add_jobs([NewJob("check", {"uid": "1.2"})])
    dead, running = (
        opened.index.jobs.claim(Lane("copy", "BACKUP"), owner=name, lease_until=until, concurrency=2,
                                destination_concurrency=2)[0]
        for name in "ab"
    )  # fmt: skip
    opened.index.jobs.fail(dead, "no such\nvolume", None)
    assert running.id == 2
    yield opened
    opened.close()


def states(node: Node) -> dict[int, str]:
    return {job.id: job.state for job in node.index.jobs.list()}


def test_the_summary(node, invoke):
    lines = [line.split() for line in invoke("jobs").stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        ["KIND", "DESTINATION", "STATE", "JOBS"],
        ["check", "-", "waiting", "1"],
        ["copy", "BACKUP", "dead", "1"],
        ["copy", "BACKUP", "running", "1"],
        ["copy", "BACKUP", "waiting", "1"],
    ]
    counted = json.loads(invoke("jobs", "--json").stdout)
    assert [(one["kind"], one["state"], one["count"], one["paused"]) for one in counted][1] == (
        "copy", "dead", 1, False,
    )  # fmt: skip


def test_the_summary_of_nothing(node, invoke):
    node.index.jobs.drop([1, 3, 4])
    node.index.jobs.complete(node.index.jobs.list())
    assert invoke("jobs").stdout == invoke("jobs", "list").stdout == "no jobs\n"
    assert json.loads(invoke("jobs", "list", "--json").stdout) == []


def test_list_filters(node, invoke):
    def listed(*options: str) -> list[int]:
        return [job["id"] for job in json.loads(invoke("jobs", "list", "--json", *options).stdout)]

    assert listed() == [1, 2, 3, 4]
    assert listed("--kind", "copy") == listed("--destination", "BACKUP") == [1, 2, 3]
    assert listed("--destination", "") == [4]
    assert listed("--state", "dead") == [1]
    assert listed("--limit", "2") == [1, 2]
    result = invoke("jobs", "list", "--limit", "2")
    assert "no such\\nvolume" in result.stdout and "more than these 2" in result.stderr


def test_show(node, invoke):
    lines = dict(line.split(maxsplit=1) for line in invoke("jobs", "show", "1").stdout.splitlines())
    assert (lines["kind"], lines["state"], lines["last_error"]) == ("copy", "dead", "no such\\nvolume")
    assert json.loads(invoke("jobs", "show", "4", "--json").stdout)["payload"] == {"uid": "1.2"}


def test_retry(node, invoke):
    assert invoke("jobs", "retry", "1").stdout == "1 job retried\n"
    assert node.index.jobs.get(1).attempts == 0
    assert invoke("jobs", "retry", "--kind", "copy").stdout == "0 jobs retried\n"
    assert json.loads(invoke("jobs", "retry", "--kind", "copy", "--state", "waiting", "--json").stdout) == {
        "retried": [1, 3]
    }


def test_drop(node, invoke):
    assert invoke("jobs", "drop", "--kind", "copy").stdout == "1 job dropped\n"
    assert states(node) == {2: "running", 3: "waiting", 4: "waiting"}
    assert invoke("jobs", "drop", "4").stdout == "1 job dropped\n"
    result = invoke("jobs", "drop", "2", "3")
    assert result.exit_code == 2 and result.stderr == "medserver: 1 job dropped, the others run\n"


def test_pause_and_resume(node, invoke):
    def paused() -> list[str]:
        return [f"{one['kind']} {one['destination']}" for one in json.loads(invoke("jobs", "--json").stdout)
                if one["paused"] and one["state"] == "waiting"]  # fmt: skip

    assert invoke("jobs", "pause", "copy").stdout == "copy is paused\n"
    assert paused() == ["copy BACKUP"]
    assert invoke("jobs", "resume", "copy", "BACKUP").stdout == "copy for BACKUP is resumed, but the kind is paused\n"
    assert invoke("jobs", "resume", "copy").stdout == "copy is resumed\n"
    assert paused() == []
    invoke("jobs", "pause", "copy", "BACKUP")
    assert paused() == ["copy BACKUP"] and "paused" in invoke("jobs").stdout
    invoke("jobs", "pause", "deliver", "VIEWER")
    assert invoke("jobs").stdout.splitlines()[-1] == "deliver for VIEWER is paused"  # of which there are no jobs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "99"], "there is no job 99: it is done, or was dropped"),
        (["retry", "1", "99"], "there is no job 99: it is done, or was dropped"),
        (["drop"], "which jobs? name IDs, or --kind"),
        (["drop", "1", "--kind", "copy"], "name jobs by ID, or by options, not both"),
        (["retry", "--kind", "copy", "--state", "running"], "a job that runs can be neither retried nor dropped"),
        (["pause", "copi"], "no kind of job 'copi' (did you mean 'copy'?)"),
    ],
)
def test_errors_are_one_line(node, invoke, arguments, message):
    before = states(node)
    result = invoke("jobs", *arguments)
    assert result.exit_code == 2 and result.stderr == f"medserver: {message}\n"
    assert states(node) == before


def test_all_pages_are_changed(node, invoke):
    node.index.add_jobs([NewJob("many") for _ in range(1_200)])
    assert invoke("jobs", "drop", "--kind", "many", "--state", "waiting").stdout == "1200 jobs dropped\n"
    assert list(node.index.jobs.list(JobFilter("many"))) == []


def test_a_worker_alone_stops_when_asked(make_node):
    node = make_node()
    worker = Server(
        [sys.executable, "-m", "medserver", "--config", node.config, "worker"],
        log=node.directory / "worker.log",
        environment={"PYTHONPATH": str(REPOSITORY)},
    )
    worker.wait_for_line("working pid=")
    assert worker.stop() == 0
    assert "stopped" in worker.output


def test_the_node_has_workers_and_replaces_them(make_node):
    node = make_node(options={"jobs.workers": 2, "node.processes": 1}).start()
    node.server.wait_for(lambda: len(process_ids(node)) == 1 + 4, what="placer, acceptor and two workers")
    worker = process_ids(node)[-1]
    kill(worker)
    node.server.wait_for(lambda: len({*process_ids(node)} - {worker}) == 1 + 4, what="another worker")
    assert node.stop() == 0
