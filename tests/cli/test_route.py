"""``medserver route``: it shows what rules are, and decides as the reception does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import Node, open_node
from tests.archive.conftest import receive
from tests.peers.files import Sample, make_series

ENTRIES = """
[ae ARCHIVE]
address = 127.0.0.1:1
transfer_syntaxes = j2k

[ae RESEARCH]
address = 127.0.0.1:2

[route research]
to = RESEARCH
Modality = CT
set = PatientName = ANON
map = StationName = A -> B
    StationName = C -> D
remove = StudyDate, StudyTime
hours = 20-6

[route all]
to = ARCHIVE, RESEARCH, CT1
when = study
quiet = 5 min
complete_by = mpps

[route mr]
to = ARCHIVE
Modality = MR
"""


@pytest.fixture
def node(config_path: Path) -> Iterator[Node]:
    text = config_path.read_text().replace("[node]", f"[node]\ndata = {config_path.parent}/data")
    config_path.write_text(text + ENTRIES)
    opened = open_node(ConfigFile(config_path))
    yield opened
    opened.close()


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    [made] = make_series(tmp_path / "made", 1, rows=16, columns=16)
    return made


TOLD = """\
research: to RESEARCH, set PatientName = ANON; map StationName = A -> B and 1 more; remove StudyDate, StudyTime, \
as it is stored, within the hours 20-6
all: to ARCHIVE, unchanged, as j2k, when nothing of its study was received for 5 min, or by mpps
all: not to RESEARCH, the rule 'research' sends it there
all: not to CT1, it came from there
mr: no, Modality is not MR
"""


def test_what_is_stored_is_decided_as_it_was(node, invoke, sample):
    receive(node, sample)
    assert invoke("route", "test", sample.sop_instance_uid).stdout == TOLD
    assert invoke("route", "test", str(sample.path), "--from", "CT1").stdout == TOLD
    jobs = {(job.destination, job.payload["route"]) for job in node.index.jobs.list() if "route" in job.payload}
    found = json.loads(invoke("route", "test", sample.sop_instance_uid, "--json").stdout)
    assert jobs == {
        (each["destination"], rule["name"])
        for rule in found
        for each in rule["destinations"]
        if each["verdict"] == "sends"
    }
    assert [(rule["wants"], rule["begins_with"]) for rule in found][:2] == [(True, "deliver"), (True, "hold")]
    assert [[each["verdict"] for each in rule["destinations"]] for rule in found] == [
        ["sends"], ["sends", "earlier rule", "sender"], ["condition"],
    ]  # fmt: skip


def test_a_file_from_somebody_else(node, invoke, sample):
    for caller in ([], ["--from", "OTHER"]):
        told = invoke("route", "test", str(sample.path), *caller).stdout
        assert "all: to CT1, unchanged" in told
    told = invoke("route", "test", sample.sop_instance_uid)
    assert told.exit_code != 0 and told.stderr.startswith(f"medserver: no instance {sample.sop_instance_uid} is stored")


def test_nothing_is_sent(invoke, config_path, sample):
    config_path.write_text(config_path.read_text() + "[route back]\nto = CT1\n")
    back = invoke("route", "test", str(sample.path), "--from", "CT1")
    assert (back.exit_code, back.stdout) == (1, "back: not to CT1, it came from there\n")


@pytest.mark.parametrize("what", ["", "no-such-file", "1.2.x", "a\nb", "."])
def test_what_is_neither_a_file_nor_a_uid(invoke, what):
    result = invoke("route", "test", what)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert result.stderr.endswith("no such file, and no SOP Instance UID\n")


def test_the_list_shows_what_is_changed(node, invoke):
    told = invoke("route", "list").stdout
    assert "set PatientName = ANON; map StationName = A -> B and 1 more" in told
    [research, *others] = json.loads(invoke("route", "list", "--json").stdout)
    assert (research["set"], research["map"], research["remove"]) == (
        {"PatientName": "ANON"}, {"StationName": {"A": "B", "C": "D"}}, ["StudyDate", "StudyTime"],
    )  # fmt: skip
    assert all(rule["version"][:12] in told and len(rule["version"]) == 64 for rule in [research, *others])
