"""``medserver ae``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.index import RejectedCall, open_index
from tests.peers.ports import free_port


@pytest.fixture
def callers(config_path: Path):
    """Give a function that lets callers be refused."""
    config = ConfigFile(config_path).current

    def note(*rows: tuple[str, str, str]) -> None:
        config.node.data.mkdir(exist_ok=True)
        index = open_index(config.index.url, base=config.node.data)
        for row in rows:
            index.note_unknown_caller(RejectedCall(*row))
        index.close()

    return note


def test_list(invoke):
    result = invoke("ae", "list")
    assert result.exit_code == 0
    assert [line.split("  ")[0] for line in result.output.splitlines()] == ["NAME", "CT1", "WS"]
    described = json.loads(invoke("ae", "list", "--json").output)
    assert described[1] == {
        "name": "WS",
        "ae_title": "VIEWER",
        "host": None,
        "port": None,
        "sources": ["10.0.1.0/24"],
        "allow": ["find", "move"],
        "tls": "no",
        "certificates": [],
        "private_sop_classes": [],
        "transfer_syntaxes": [],
    }


def test_add_and_remove(invoke, config_path):
    before = config_path.read_text()
    result = invoke(
        "ae", "add", "MR 1", "--ae-title", "MR1", "--address", "10.0.0.6:104", "--allow", "echo,store"
    )
    assert result.exit_code == 0, result.output
    assert config_path.read_text().startswith(before)
    remote = ConfigFile(config_path).current.remote_by_name("MR 1")
    assert (remote.ae_title, remote.port, remote.allow) == ("MR1", 104, {"echo", "store"})
    assert invoke("ae", "remove", "MR 1").exit_code == 0
    assert config_path.read_text().strip() == before.strip()


def test_add_by_default_allows_little(invoke, config_path):
    assert invoke("ae", "add", "MR1", "--sources", "10.0.0.6").exit_code == 0
    assert ConfigFile(config_path).current.remote_by_name("MR1").allow == {"echo", "store"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["CT1", "--address", "10.0.0.6"], 2, "already"),
        (["A\n[ae B]\naddress=1.2.3.4", "--address", "10.0.0.6"], 2, "line end"),
        (["A][", "--address", "10.0.0.6"], 2, "square bracket"),
        (["A", "--address", "10.0.0.6\nallow = get"], 2, "line end"),
        (["A", "--address", "10.0.0.6", "--ae-title", "A\r\nport = 1"], 2, "line end"),
        (["A", "--address", "10.0.0.6", "--allow", "all"], 78, "no service 'all'"),
        (["A"], 78, "address or sources is needed"),
        (["A", "--address", "10.0.0.6", "--private-sop-classes", "1.2.x"], 78, "not a UID"),
    ],
)
def test_add_refuses(invoke, config_path, arguments, code, message):
    before = config_path.read_text()
    result = invoke("ae", "add", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert config_path.read_text() == before


def test_pending_without_callers(invoke):
    assert invoke("ae", "pending").output == "no unknown AE was rejected\n"
    assert json.loads(invoke("ae", "pending", "--json").output) == []


def test_the_command_that_pending_shows_lets_the_caller_in(invoke, callers, config_path):
    callers(
        ("MR '1", "ANY-SCP", "10.0.0.9"), ("MR '1", "ANY-SCP", "10.0.0.9"), ("CT1", "MEDSERVER", "10.0.0.5")
    )
    lines = invoke("ae", "pending").output.splitlines()
    assert len(lines) == 2, "CT1 is known since"
    assert "MR '1 from 10.0.0.9 called ANY-SCP, attempts: 2" in lines[0]
    words = shlex.split(lines[1])
    assert words[0] == "medserver" and words[2] == str(config_path)
    result = invoke(*words[3:])
    assert result.exit_code == 0, result.output
    assert "AE title of this node is MEDSERVER" in result.output
    remote = ConfigFile(config_path).current.remotes_for("MR '1", "10.0.0.9")
    assert (remote.name, remote.allow, remote.port) == ("MR__1", {"echo", "store"}, None)
    assert json.loads(invoke("ae", "pending", "--json").output) == []


def test_hostile_callers_are_shown_harmless_and_cannot_be_approved(invoke, callers, config_path):
    hostile = "\x1b[2J\n[ae X]"
    callers(
        (hostile, "$(reboot)", "10.0.0.9"),
        ("`reboot`;x", "MEDSERVER", "10.0.0.9"),
        ("-h", "MEDSERVER", "::1"),
    )
    output = invoke("ae", "pending").output
    assert "\x1b" not in output
    assert len(output.splitlines()) == 6
    shown = [shlex.split(line.strip()) for line in output.splitlines() if line.startswith("    medserver")]
    assert sorted(words[-1] for words in shown) == ["-h", "`reboot`;x"]
    result = invoke("ae", "approve", "--", hostile)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    for words in shown:
        assert invoke(*words[3:]).exit_code == 0
    remotes = ConfigFile(config_path).current
    assert remotes.remotes_for("`reboot`;x", "10.0.0.9").name == "_reboot__x"
    assert remotes.remotes_for("-h", "::1").name == "h"


def test_approve_with_a_port_makes_a_destination(invoke, callers, config_path):
    callers(("US", "MEDSERVER", "::ffff:10.0.0.9"), ("US6", "MEDSERVER", "2001:db8::1"))
    assert invoke("ae", "approve", "US", "--port", "104", "--allow", "echo").exit_code == 0
    assert invoke("ae", "approve", "US6", "--port", "104", "--name", "second").exit_code == 0
    config = ConfigFile(config_path).current
    assert (config.destination("US").host, config.destination("US").port) == ("10.0.0.9", 104)
    assert config.remotes_for("US6", "2001:db8::1").name == "second"


def test_approve_asks_which(invoke, callers, config_path):
    callers(
        ("US", "MEDSERVER", "10.0.0.9"), ("US", "MEDSERVER", "10.0.0.8"), ("CT1", "MEDSERVER", "10.9.9.9")
    )
    result = invoke("ae", "approve", "US")
    assert result.exit_code == 2 and "10.0.0.8, 10.0.0.9: choose one with --from" in result.stderr
    assert invoke("ae", "approve", "US", "--from", "10.0.0.8").exit_code == 0
    assert "already" in invoke("ae", "approve", "CT1").stderr
    assert invoke("ae", "approve", "CT1", "--name", "CT1-new").exit_code == 0
    assert "no AE NOBODY was rejected" in invoke("ae", "approve", "NOBODY").stderr
    assert ConfigFile(config_path).current.remotes_for("CT1", "10.9.9.9").name == "CT1-new"


def test_echo_reaches_dcmtk(invoke, config_path, dcmtk):
    storescp = dcmtk.start_storescp("STORESCP")
    config_path.write_text(f"[ae DEST]\nae_title = STORESCP\naddress = 127.0.0.1:{storescp.address.port}\n")
    finished = invoke("ae", "echo", "DEST")
    assert finished.exit_code == 0, finished.stderr
    assert finished.stdout.startswith("DEST: ") and finished.stdout.endswith(" ms\n")
    config_path.write_text(config_path.read_text() + f"[ae NOBODY]\naddress = 127.0.0.1:{free_port()}\n")
    finished = invoke("ae", "echo", "--json")
    answers = json.loads(finished.stdout)
    assert finished.exit_code == 69
    assert [(answer["name"], answer["ok"]) for answer in answers] == [("DEST", True), ("NOBODY", False)]
    assert "NOBODY@127.0.0.1" in answers[1]["problem"]


def test_add_with_a_certificate_requires_tls(invoke, config_path):
    fingerprint = "sha256:" + "ab" * 32
    added = invoke("ae", "add", "CT2", "--address", "10.0.0.8:104", "--certificates", fingerprint)
    assert f"TLS required, certificates {fingerprint}" in added.output
    security = ConfigFile(config_path).current.remote_by_name("CT2").security
    assert (security.level, security.pins) == ("required", {fingerprint})
    refused = invoke("ae", "add", "CT3", "--address", "10.0.0.9:104", "--tls", "required")
    assert (refused.exit_code, "is missing" in refused.stderr) == (78, True)
