"""``medserver processing rules|test``, and what ``config check``, ``route test`` and ``outbox`` say of the rules."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.processing import types
from medserver.processing.parameters import Parameter
from medserver.processing.types import find_type
from medserver.routing.deliveries import REQUEST
from tests.processing import phantoms
from tests.processing.rules_node import receive, run_all

ENTRIES = """
[ae WS1]
address = 127.0.0.1:1

[route send]
to = WS1
PatientID = P1

[processing smooth]
type = denoise, reformat
orientation = sagittal
sigma = 2
Modality = CT
to = sender, WS1
quiet = 5 min

[processing sent]
type = copy
when = instance
delivered_to = WS1

[processing never]
type = sharpen
Modality = MR
"""


@pytest.fixture
def rules(config_path: Path) -> Path:
    """Give a configuration with rules."""
    text = config_path.read_text().replace("[node]", f"[node]\ndata = {config_path.parent}/data")
    config_path.write_text(text + ENTRIES)
    return config_path


@pytest.fixture
def node(rules: Path) -> Iterator[Node]:
    opened = open_node(ConfigFile(rules))
    yield opened
    opened.close()


@pytest.fixture
def instance() -> Dataset:
    return phantoms.ct_slice(np.zeros((16, 16), np.uint16))


def file_of(instance: Dataset, folder: Path) -> str:
    [path] = phantoms.write(folder, [instance]).iterdir()
    return str(path)


TOLD = """\
smooth: processed by denoise, then reformat, when nothing of its series was received for 5 min, the results are sent \
to sender, WS1
sent: processed by copy, at once, the results are stored only
never: no, Modality is not MR
"""


def test_rules_are_listed(invoke, rules) -> None:
    listed = invoke("processing", "rules")
    assert listed.exit_code == 0
    assert "denoise, reformat" in listed.stdout and "orientation = sagittal, sigma = 2" in listed.stdout
    assert "everything, what is sent to WS1" in listed.stdout
    smooth, sent, never = json.loads(invoke("processing", "rules", "--json").stdout)
    assert smooth["parameters"] == {"orientation": "sagittal", "sigma": "2"}
    assert (smooth["conditions"], smooth["to"], sent["when"]) == ({"Modality": "CT"}, ["sender", "WS1"], "instance")
    assert all(rule["version"][:12] in listed.stdout for rule in (smooth, sent, never))


def test_no_rules(invoke, instance, tmp_path) -> None:
    assert invoke("processing", "rules").stdout == "there are no rules: no [processing NAME]\n"
    tested = invoke("processing", "test", file_of(instance, tmp_path / "made"))
    assert (tested.exit_code, tested.stdout) == (1, "there are no rules: no [processing NAME]\n")


def test_it_is_decided_as_at_reception(node, invoke, instance, tmp_path) -> None:
    receive(node, instance)
    path = file_of(instance, tmp_path / "made")
    for what in (instance.SOPInstanceUID, path):
        tested = invoke("processing", "test", what)
        assert (tested.exit_code, tested.stdout) == (0, TOLD)
    found = json.loads(invoke("processing", "test", path, "--json").stdout)
    waiting = {job.payload["route"]: job.kind for job in node.index.jobs.list() if job.payload.get("action") == REQUEST}
    assert waiting == {one["name"]: one["begins_with"] for one in found if one["wants"]}
    assert waiting == {"smooth": "hold", "sent": REQUEST}
    assert [one["verdict"] for one in found] == ["processes", "processes", "condition"]


def test_why_it_is_not_processed(invoke, rules, instance, tmp_path) -> None:
    instance.PatientID = "P2"
    told = invoke("processing", "test", file_of(instance, tmp_path / "a")).stdout
    assert "sent: not processed, it is not sent to WS1" in told
    item = Dataset()
    item.Manufacturer, item.ContributionDescription = "medserver", "denoise {}"
    instance.ContributingEquipmentSequence = [item]
    path = file_of(instance, tmp_path / "b")
    told = invoke("processing", "test", path).stdout
    assert "smooth: not processed, it was made by denoise or reformat before" in told
    own = invoke("processing", "test", path, "--from", "MEDSERVER")
    assert "sent: not processed, it is a result of this node" in own.stdout
    assert own.exit_code == 1


def test_what_is_neither_a_file_nor_a_uid(invoke, rules) -> None:
    assert invoke("processing", "test", "no-such-file").exit_code == 2
    assert invoke("processing", "test", "1.2.3").exit_code == 66


def test_route_test_tells_it_beside_the_routes(invoke, rules, instance, tmp_path) -> None:
    path = file_of(instance, tmp_path / "made")
    told = invoke("route", "test", path)
    assert told.stdout.endswith(TOLD) and told.stdout.startswith("send: to WS1")
    assert [one["name"] for one in json.loads(invoke("route", "test", path, "--json").stdout)] == [
        "send", "smooth", "sent", "never",
    ]  # fmt: skip
    instance.PatientID = "P2"
    other = invoke("route", "test", file_of(instance, tmp_path / "other"))
    assert other.exit_code == 0, "it is not sent, but processed"


MISTAKES = {
    "type = denoize": "[processing r] there is no type of processing 'denoize': did you mean 'denoise'?",
    "type = copy, denoize": "[processing r] there is no type of processing 'denoize': did you mean 'denoise'?",
    "type = denoise\nsigmma = 2": "[processing r] there is no parameter 'sigmma', did you mean 'sigma'?",
    "type = denoise\nsigma = 200": "[processing r] sigma is 200, and not 0.1 to 20",
    "type = denoise\nreformat.orientation = axial": "[processing r] reformat.orientation: reformat is none of denoise",
    "type = denoise, reformat\nreformat.orientation = up": "[processing r] orientation is 'up', and not axial",
    "type = denoise\noutputs = 0": "[processing r] outputs: '0' is no number from 1",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_told(invoke, config_path, text) -> None:
    config_path.write_text(f"{config_path.read_text()}\n[processing fine]\ntype = copy\n\n[processing r]\n{text}\n")
    for command in (("config", "check"), ("processing", "rules")):
        told = invoke(*command)
        [line] = told.stderr.splitlines()
        assert told.exit_code == 78 and MISTAKES[text] in line


@pytest.fixture
def plug_in(monkeypatch) -> None:
    """Have a type of a plug-in that is unlike ours."""
    copy = find_type("copy")
    parameters = (Parameter("rows", "Rows", "integer"),)
    added = dataclasses.replace(copy, name="added", is_partial=False, parameters=parameters)
    monkeypatch.setattr(types, "plug_ins", lambda: (added,))


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("outputs = 1-3", "added makes all of its outputs, or none"),
        ("rows = 4", "rows is a condition on the attribute Rows: write added.rows for the parameter"),
    ],
)
def test_mistakes_with_plug_ins(invoke, config_path, plug_in, option: str, problem: str) -> None:
    config_path.write_text(f"{config_path.read_text()}\n[processing r]\ntype = added\n{option}\n")
    told = invoke("config", "check")
    assert told.exit_code == 78 and f"[processing r] {problem}" in told.stderr


def test_a_plug_in_that_cannot_be_loaded(invoke, config_path, monkeypatch) -> None:
    def broken() -> tuple:
        raise ImportError("no module named torch")

    monkeypatch.setattr(types, "plug_ins", broken)
    config_path.write_text(f"{config_path.read_text()}\n[processing r]\ntype = copy\n")
    told = invoke("config", "check")
    assert told.exit_code == 78 and "the types of processing cannot be loaded: ImportError: no module" in told.stderr


def test_a_rule_without_mistakes(invoke, rules) -> None:
    assert "no mistakes" in invoke("config", "check").check().stdout


def test_the_node_starts_and_warns(make_node) -> None:
    node = make_node(options={})
    node.set_section("processing r", {"type": "denoise", "sigma": 200})
    node.start()
    assert "rule cannot be applied" in node.output and "sigma is 200" in node.output
    assert node.stop() == 0


def test_the_outbox_shows_what_waits_to_be_processed(node, rules, invoke, instance) -> None:
    receive(node, instance)
    told = invoke("outbox").check().stdout
    [line] = [line for line in told.splitlines() if "completeness" in line]
    assert line.startswith("this node") and "no entry" not in told.replace("[ae WS1]", "")
    [held] = [one for one in json.loads(invoke("outbox", "list", "--json").stdout) if one["rule"] == "smooth"]
    shown = invoke("outbox", "show", str(held["id"])).check().stdout
    for text in ("this node", "by denoise, then reformat", "sigma = 2", "sender, WS1", "then processed: a work item"):
        assert text in shown
    assert json.loads(invoke("outbox", "show", str(held["id"]), "--json").check().stdout)["action"] == REQUEST


def test_what_has_lost_its_rule(node, rules, invoke, instance) -> None:
    receive(node, instance)
    text = rules.read_text()
    rules.write_text(text.replace("[processing smooth]", "[processing other]").replace("sigma = 2", "sigma = 3"))
    told = invoke("outbox").check().stdout
    assert "1 instance that was to be processed waits for a decision: no rule 'smooth' has this processed" in told
    assert "--unchanged" not in told and "nothing can be sent to :" not in told
    assert invoke("outbox", "send", "smooth", "--unchanged").exit_code == 2
    assert invoke("outbox", "send", "smooth", "--by", "send").exit_code == 2
    assert invoke("outbox", "send", "smooth", "--by", "other").check().stdout == "1 delivery will be done\n"
    assert {one["rule"] for one in json.loads(invoke("outbox", "list", "--destination", "", "--json").stdout)} == {
        "other", "sent",
    }  # fmt: skip


def test_what_has_lost_its_rule_is_processed_as_decided(node, rules, invoke, instance) -> None:
    receive(node, instance)
    before = "[processing smooth]\ntype = denoise, reformat\norientation = sagittal\nsigma"
    assert before in rules.read_text()
    rules.write_text(rules.read_text().replace(before, "[processing smooth]\ntype = sharpen\nradius"))
    assert "1 instance that was" not in invoke("outbox").stdout, "the rule says something else now"
    rules.write_text(rules.read_text().replace("[processing smooth]", "[processing other]"))
    invoke("outbox", "send", "smooth", "--as-decided").check()
    node.index.jobs.retry([job.id for job in node.index.jobs.list() if job.kind == "hold"])
    run_all(node)
    listed = json.loads(invoke("workitem", "list", "--json").stdout)
    types = {item["00404018"]["Value"][0]["00080100"]["Value"][0] for item in listed}
    assert "denoise" in types


def test_what_has_lost_its_rule_is_dropped(node, rules, invoke, instance) -> None:
    receive(node, instance)
    rules.write_text(rules.read_text().replace("[processing smooth]", "[processing other]").replace("sigma = 2", ""))
    dropped = invoke("outbox", "drop", "--rule", "smooth", "--waits-for", "decision")
    assert dropped.check().stdout == "1 delivery dropped\n"
